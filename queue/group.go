package queue

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// Group is a handle to one group of one topic: what operators and tools look at.
// Neither need exist.
type Group struct {
	q           *Queue
	topic, name string
}

// Group returns a handle. It reads and writes nothing.
func (q *Queue) Group(topic, group string) Group { return Group{q, topic, group} }

// Stats reads how far the group is with the topic; a group that does not exist has
// done nothing. It reads the topic's 16 heads and the group's checkpoints, and
// counts the keys of the inbox and of the dead letters, so its cost grows with both.
func (g Group) Stats(ctx context.Context, tx *kv.Txn) (Stats, error) {
	s, err := g.stats(ctx, tx)
	if err != nil {
		return Stats{}, fmt.Errorf("queue: stats: %w", err)
	}
	return s, nil
}

func (g Group) stats(ctx context.Context, tx *kv.Txn) (s Stats, err error) {
	topic, err := g.q.Topic(g.topic).stats(ctx, tx)
	if err != nil {
		return s, err
	}
	s.Events, s.Inbox = topic.Events, topic.Inbox
	if topic.Partitions > 0 {
		if s.Done, err = g.done(ctx, tx, topic.Partitions); err != nil {
			return s, err
		}
	}
	s.Dead, err = count(ctx, tx, group.DeadPrefix(g.q.opts.Prefix, g.topic, g.name))
	return s, err
}

// done sums up the group's checkpoints.
func (g Group) done(ctx context.Context, tx *kv.Txn, partitions int) (done uint64, err error) {
	origin, _, err := group.ReadOrigin(ctx, tx, g.q.opts.Prefix, g.topic, g.name, partitions)
	if err != nil {
		return 0, err
	}
	all, err := group.NewRows(g.q.opts.Prefix, g.topic, g.name, partitions, origin).All(ctx, tx)
	if err != nil {
		return 0, err
	}
	for _, cp := range all {
		done += cp.Floor
	}
	return done, nil
}

// DeadLetter is an event that a group has given up: it failed MaxAttempts times,
// or its handler returned Cancel. It stays in the store; nothing removes it yet.
type DeadLetter struct {
	Event  *Event
	Reason string    // of the last failure, at most 1 KiB of it
	At     time.Time // when it was given up, by the clock of the process that did
}

// DeadLetters walks what the group has given up in the topic, by partition and
// position. An error is yielded once, as the last element.
func (g Group) DeadLetters(ctx context.Context, tx *kv.Txn) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		prefix := group.DeadPrefix(g.q.opts.Prefix, g.topic, g.name)
		for pair, err := range tx.Scan(ctx, layout.PrefixRange(prefix), nil) {
			var letter *DeadLetter
			if err == nil {
				rest, _ := bytes.CutPrefix(pair.Key, prefix)
				letter, err = parseDeadLetter(g.topic, rest, bytes.Clone(pair.Value))
			}
			if !yield(letter, err) || err != nil {
				return
			}
		}
	}
}

// parseDeadLetter reads a row, given the end of its key.
func parseDeadLetter(topic string, position, row []byte) (*DeadLetter, error) {
	partition, seq, err := eventlog.ParsePosition(position)
	if err != nil {
		return nil, err
	}
	d, err := group.ParseDead(topic, partition, seq, row)
	if err != nil {
		return nil, err
	}
	ev := newEvent(topic, partition, &d.Event, int(d.Attempts))
	return &DeadLetter{Event: &ev, Reason: d.Reason, At: d.At}, nil
}
