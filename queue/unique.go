package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
)

// DefaultUniqueFor is how long Message.Unique is remembered.
const DefaultUniqueFor = 24 * time.Hour

// MaxUniqueSize of Message.Unique, in bytes.
const MaxUniqueSize = 256

const uniqueFormat = 1

// drop returns which of messages are not to be published, because one with the
// same topic and Unique was, and is remembered; nil if none has a Unique. It
// remembers the others, for a time by the clocks of the processes that publish. (A
// read version is no clock: on an embedded store it is the last commit's.)
//
// Two transactions with one Unique write the same row, so the later one conflicts
// and, run again, finds it.
func (q *Queue) drop(ctx context.Context, tx *kv.Txn, messages []Message) ([]bool, error) {
	var keys [][]byte
	var at []int
	for i := range messages {
		if messages[i].Unique != "" {
			keys, at = append(keys, q.keys.unique(messages[i].Topic, messages[i].Unique)), append(at, i)
		}
	}
	if keys == nil {
		return nil, nil
	}
	rows, err := tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	dropped := make([]bool, len(messages))
	inCall := map[string]bool{}
	for n, i := range at {
		m := &messages[i]
		until, err := parseUnique(rows[n])
		if err != nil {
			return nil, err
		}
		if dropped[i] = now.Before(until) || inCall[string(keys[n])]; dropped[i] {
			continue
		}
		inCall[string(keys[n])] = true
		keep := m.UniqueFor
		orDefault(&keep, DefaultUniqueFor)
		until = now.Add(keep)
		if err := tx.Set(keys[n], appendUnique(nil, until)); err != nil {
			return nil, err
		}
		if err := tx.Set(q.keys.expiry(m.Topic, until, m.Unique), []byte{uniqueFormat}); err != nil {
			return nil, err
		}
	}
	return dropped, nil
}

func appendUnique(dst []byte, until time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, uniqueFormat), uint64(until.UnixMilli()))
}

// parseUnique returns until when a row is valid; no row is not.
func parseUnique(row []byte) (time.Time, error) {
	if row == nil {
		return time.Time{}, nil
	}
	r := reader{b: row}
	r.format(uniqueFormat)
	ms := r.uint64()
	return time.UnixMilli(int64(ms)), r.end()
}

// maxForget is how many rows one transaction forgets.
const maxForget = 500

// forget removes what is remembered of messages of a topic beyond its time, up to
// a bound, and reports whether there may be more. Two processes may do it at once.
func (q *Queue) forget(ctx context.Context, topic string) (more bool, err error) {
	prefix := q.keys.expiries(topic)
	err = q.store.Update(ctx, func(tx *kv.Txn) error {
		more = false
		now := time.Now()
		var expired, uniques [][]byte
		size, room := 0, q.txnRoom()
		due := kv.Range{Start: prefix, End: binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], uint64(now.UnixMilli()))}
		for pair, err := range tx.Scan(ctx, due, &kv.ScanOptions{KeysOnly: true, Limit: maxForget}) {
			if err != nil {
				return err
			}
			rest, _ := bytes.CutPrefix(pair.Key, prefix)
			if len(rest) < 8 {
				return fmt.Errorf("%w: key of a message that is remembered", ErrCorrupt)
			}
			unique, rest, err := keyenc.DecodeString(rest[8:])
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("%w: key of a message that is remembered", ErrCorrupt)
			}
			key := q.keys.unique(topic, unique)
			if size += len(pair.Key) + len(key); size > room && len(expired) > 0 {
				more = true
				break
			}
			expired, uniques = append(expired, bytes.Clone(pair.Key)), append(uniques, key)
		}
		if len(expired) == 0 {
			return nil
		}
		more = more || len(expired) == maxForget
		rows, err := tx.BatchGet(ctx, uniques)
		if err != nil {
			return err
		}
		for i, key := range expired {
			if err := tx.Delete(key); err != nil {
				return err
			}
			// The message may have been published again since, and is remembered
			// for longer then.
			until, err := parseUnique(rows[i])
			if err != nil {
				return err
			}
			if rows[i] != nil && until.Before(now) {
				if err := tx.Delete(uniques[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("queue: forgetting: %w", err)
	}
	return more, nil
}
