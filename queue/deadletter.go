package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// DeadLetter is an event that a group has given up: it failed MaxAttempts times,
// or its handler returned Cancel. It stays until it is removed.
type DeadLetter struct {
	Event  *Event
	Reason string    // of the last failure, at most 1 KiB of it
	At     time.Time // when it was given up, by the clock of the process that did
}

const deadFormat = 1

// appendDead makes the row of a dead letter, given the event's row in the log.
func appendDead(dst []byte, attempts uint32, at time.Time, reason string, logRow []byte) []byte {
	dst = binary.AppendUvarint(append(dst, deadFormat), uint64(attempts))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixMilli()))
	return append(rowenc.AppendSized(dst, reason), logRow...)
}

func parseDead(topic string, partition int, seq uint64, row []byte) (*DeadLetter, error) {
	r := rowenc.NewReader(row)
	r.Format(deadFormat)
	attempts := r.Uvarint()
	at := time.UnixMilli(int64(r.Uint64()))
	reason := r.String()
	if r.Failed() {
		return nil, fmt.Errorf("%w: dead letter", r.Err(&access.RowErrors))
	}
	ev, err := parseEventRow(topic, partition, seq, r.Rest())
	if err != nil {
		return nil, err
	}
	ev.Attempt = int(attempts)
	return &DeadLetter{Event: ev, Reason: reason, At: at}, nil
}

// DeadLetters walks what a group has given up in a topic, by partition and
// position. An error is yielded once, as the last element.
func (q *Queue) DeadLetters(ctx context.Context, tx *kv.Txn, topic, group string) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		prefix := q.deadPrefix(group, topic)
		for pair, err := range tx.Scan(ctx, layout.PrefixRange(prefix), nil) {
			var letter *DeadLetter
			if err == nil {
				rest, _ := bytes.CutPrefix(pair.Key, prefix)
				var partition int
				var seq uint64
				if partition, seq, err = eventlog.ParsePosition(rest); err == nil {
					letter, err = parseDead(topic, partition, seq, bytes.Clone(pair.Value))
				}
			}
			if !yield(letter, err) || err != nil {
				return
			}
		}
	}
}

// reasonOf is an error's text, bounded.
func reasonOf(err error) string {
	s := err.Error()
	if len(s) > maxErrorSize {
		s = s[:maxErrorSize]
	}
	return s
}
