package eventlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

const uniqueFormat = 1

// Unique is what a message is remembered by.
type Unique struct {
	Topic, Value string
	For          time.Duration // how long it is remembered
}

// Remember returns which of uniques were there already, and are remembered still.
// It remembers the others, for a time by the clocks of the processes that publish.
// (A read version is no clock: on an embedded store it is the last commit's.)
//
// Two transactions with one Unique write the same row, so the later one conflicts
// and, run again, finds the row.
func Remember(ctx context.Context, tx *kv.Txn, keys Keys, uniques []Unique) (known []bool, err error) {
	ks := make([][]byte, len(uniques))
	for i, u := range uniques {
		ks[i] = keys.Unique(u.Topic, u.Value)
	}
	rows, err := tx.BatchGet(ctx, ks)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	known = make([]bool, len(uniques))
	inCall := map[string]bool{}
	for i, u := range uniques {
		until, err := ParseUnique(rows[i])
		if err != nil {
			return nil, err
		}
		if known[i] = now.Before(until) || inCall[string(ks[i])]; known[i] {
			continue
		}
		inCall[string(ks[i])] = true
		until = now.Add(u.For)
		if err := tx.Set(ks[i], AppendUnique(nil, until)); err != nil {
			return nil, err
		}
		if err := tx.Set(keys.Expiry(u.Topic, until, u.Value), AppendExpiry(nil)); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// AppendExpiry appends the row that says when a message is forgotten: its key says
// all.
func AppendExpiry(dst []byte) []byte { return append(dst, uniqueFormat) }

// AppendUnique appends the row that remembers a message.
func AppendUnique(dst []byte, until time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, uniqueFormat), uint64(until.UnixMilli()))
}

// ParseUnique returns until when a row is valid; no row is not.
func ParseUnique(row []byte) (time.Time, error) {
	if row == nil {
		return time.Time{}, nil
	}
	r := rowenc.NewReader(row)
	r.Format(uniqueFormat)
	ms := r.Uint64()
	return time.UnixMilli(int64(ms)), r.Done(&access.RowErrors)
}

// maxForget is how many rows one transaction forgets.
const maxForget = 500

// Forget removes what a topic remembers of messages beyond their time, up to a
// bound, and reports whether there may be more. Two processes may do it at once.
func Forget(ctx context.Context, store *access.Store, keys Keys, topic string) (more bool, err error) {
	prefix := keys.Expiries(topic)
	err = store.Update(ctx, func(tx *kv.Txn) error {
		more = false
		now := time.Now()
		var expired, uniques [][]byte
		size, room := 0, store.TxnRoom()
		due := kv.Range{Start: prefix, End: binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], uint64(now.UnixMilli()))}
		for pair, err := range tx.Scan(ctx, due, &kv.ScanOptions{KeysOnly: true, Limit: maxForget}) {
			if err != nil {
				return err
			}
			rest, _ := bytes.CutPrefix(pair.Key, prefix)
			if len(rest) < 8 {
				return fmt.Errorf("%w: key of a message that is remembered", access.ErrCorrupt)
			}
			unique, rest, err := keyenc.DecodeString(rest[8:])
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("%w: key of a message that is remembered", access.ErrCorrupt)
			}
			key := keys.Unique(topic, unique)
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
			until, err := ParseUnique(rows[i])
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
