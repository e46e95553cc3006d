package queue

import (
	"bytes"
	"context"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// KeyIn returns a key of each partition of a topic.
func KeyIn(partitions int) []string {
	keys := make([]string, partitions)
	for n, left := uint64(0), partitions; left > 0; n++ {
		key := string(eventlog.AppendPosition(nil, 0, n)[4:])
		if p := eventlog.PartitionOf(keyhash.Of(key), partitions); keys[p] == "" {
			keys[p] = key
			left--
		}
	}
	return keys
}

// Term is what a checkpoint says of who works on a partition.
type Term struct {
	Owned    bool
	ByQueue  bool // by the queue that was asked
	Floor    uint64
	Crashes  int
	Attempts int
	Started  bool
	Waits    string // why the next event comes again
}

// Terms reads the checkpoints of a group.
func (q *Queue) Terms(ctx context.Context, tx *kv.Txn, topic, name string, partitions int) ([]Term, error) {
	all, err := group.NewRows(q.opts.Prefix, topic, name, partitions, group.Origin{}).All(ctx, tx)
	terms := make([]Term, len(all))
	for p, cp := range all {
		terms[p] = Term{
			Owned: cp.Owner != group.Token{}, ByQueue: cp.Owner.Process() == q.id, Floor: cp.Floor,
			Crashes: int(cp.Crashes), Attempts: int(cp.Retry.Attempts), Started: cp.Quarantine == group.Started || cp.Quarantine == group.Isolated, Waits: cp.Retry.Err,
		}
	}
	return terms, err
}

// Beat has a queue's process show itself, and look at the others, without waiting
// for its time.
func (q *Queue) Beat() { q.cluster.Hurry() }

// Members counts the rows of processes.
func (q *Queue) Members(ctx context.Context, tx *kv.Txn) (int, error) {
	n, err := count(ctx, tx, cluster.KeyPrefix(q.opts.Prefix))
	return int(n), err
}

// Log is what was published to a topic.
type Log struct {
	Inbox  []string   // payloads without a position yet
	Events [][]*Event // of each partition
	Heads  []uint64   // of each partition, as the sequencer keeps it
}

// ReadLog reads all of a topic.
func (q *Queue) ReadLog(ctx context.Context, tx *kv.Txn, topic string, partitions int) (Log, error) {
	l := Log{Events: make([][]*Event, partitions)}
	for pair, err := range tx.Scan(ctx, layout.PrefixRange(q.keys.Inbox(topic)), nil) {
		if err != nil {
			return l, err
		}
		ev, err := readEvent(topic, 0, 0, bytes.Clone(pair.Value))
		if err != nil {
			return l, err
		}
		l.Inbox = append(l.Inbox, string(ev.Payload))
	}
	prefix := q.keys.Events(topic)
	for pair, err := range tx.Scan(ctx, layout.PrefixRange(prefix), nil) {
		if err != nil {
			return l, err
		}
		p, seq, err := eventlog.ParsePosition(pair.Key[len(prefix):])
		if err != nil {
			return l, err
		}
		ev, err := readEvent(topic, p, seq, bytes.Clone(pair.Value))
		if err != nil {
			return l, err
		}
		l.Events[p] = append(l.Events[p], ev)
	}
	heads, err := eventlog.ReadHeads(ctx, tx, q.keys, topic, partitions, eventlog.AllShards)
	for _, h := range heads {
		l.Heads = append(l.Heads, h.Last...)
	}
	return l, err
}
