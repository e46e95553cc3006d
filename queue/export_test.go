package queue

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// PartitionState is what a store holds of a partition and a group there.
type PartitionState struct {
	Head     uint64
	Events   []*Event // all, by position
	Floor    uint64
	Owned    bool
	Attempts int
}

// Partitions reads everything that is stored of a topic. Its error tells of
// positions that are not dense, or rows that contradict one another.
func (q *Queue) Partitions(ctx context.Context, topic, name string) (all []PartitionState, inbox int, err error) {
	err = q.store.View(ctx, func(tx *kv.Txn) error {
		n, err := eventlog.ReadTopic(ctx, tx, q.keys, topic)
		if err != nil || n == 0 {
			return err
		}
		all = make([]PartitionState, n)
		heads, err := eventlog.ReadHeads(ctx, tx, q.keys, topic, n, eventlog.AllShards)
		if err != nil {
			return err
		}
		origin, _, err := group.ReadOrigin(ctx, tx, q.opts.Prefix, topic, name, n)
		if err != nil {
			return err
		}
		stored, err := group.NewRows(q.opts.Prefix, topic, name, n, origin).All(ctx, tx)
		if err != nil {
			return err
		}
		for p := range all {
			all[p] = PartitionState{Head: heads[p*eventlog.Shards/n].Last[p%(n/eventlog.Shards)], Floor: stored[p].Floor, Owned: stored[p].Owner != group.Token{}, Attempts: int(stored[p].Retry.Attempts)}
		}
		prefix := q.keys.Events(topic)
		for pair, err := range tx.Scan(ctx, layout.PrefixRange(prefix), nil) {
			if err != nil {
				return err
			}
			rest, _ := bytes.CutPrefix(pair.Key, prefix)
			p, seq, err := eventlog.ParsePosition(rest)
			if err != nil {
				return err
			}
			ev, err := readEvent(topic, p, seq, bytes.Clone(pair.Value))
			if err != nil {
				return err
			}
			all[p].Events = append(all[p].Events, ev)
			if want := uint64(len(all[p].Events)); seq != want {
				return fmt.Errorf("partition %d has position %d where %d is due", p, seq, want)
			}
		}
		for p := range all {
			if got := uint64(len(all[p].Events)); got != all[p].Head {
				return fmt.Errorf("partition %d has %d events, and its head says %d", p, got, all[p].Head)
			}
			if all[p].Floor > all[p].Head {
				return fmt.Errorf("partition %d has its floor at %d, above its head at %d", p, all[p].Floor, all[p].Head)
			}
		}
		rows, err := count(ctx, tx, q.keys.Inbox(topic))
		inbox = int(rows)
		return err
	})
	return all, inbox, err
}

// GroupExists tells whether a group was made.
func (q *Queue) GroupExists(ctx context.Context, topic, name string) (exists bool, err error) {
	err = q.store.View(ctx, func(tx *kv.Txn) error {
		n, err := eventlog.ReadTopic(ctx, tx, q.keys, topic)
		if err == nil && n > 0 {
			_, exists, err = group.ReadOrigin(ctx, tx, q.opts.Prefix, topic, name, n)
		}
		return err
	})
	return exists, err
}

func readEvent(topic string, partition int, seq uint64, row []byte) (*Event, error) {
	parsed, err := eventlog.ParseEvent(topic, partition, seq, row)
	ev := newEvent(topic, partition, &parsed, 0)
	return &ev, err
}
