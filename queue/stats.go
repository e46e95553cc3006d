package queue

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Stats is how far a group is with a topic, in one snapshot.
type Stats struct {
	Events uint64 // in the log
	Done   uint64 // of those, handled or given up
	Inbox  uint64 // published, and not in the log yet
	Dead   uint64 // dead letters that are there
}

// Lag is how many events are not done yet.
func (s Stats) Lag() uint64 { return s.Events - s.Done + s.Inbox }

// Stats reads how far a group is with a topic; a group that does not exist has
// done nothing. It reads the topic's 16 heads and the group's checkpoints, and
// counts the keys of the inbox and of the dead letters, so it costs the more of
// those there are.
func (q *Queue) Stats(ctx context.Context, tx *kv.Txn, topic, group string) (Stats, error) {
	var s Stats
	partitions, err := eventlog.ReadTopic(ctx, tx, q.keys, topic)
	if err == nil && partitions > 0 {
		err = q.progress(ctx, tx, topic, group, partitions, &s)
	}
	if err == nil {
		s.Inbox, err = count(ctx, tx, q.keys.Inbox(topic))
	}
	if err == nil {
		s.Dead, err = count(ctx, tx, q.deadPrefix(group, topic))
	}
	if err != nil {
		return Stats{}, fmt.Errorf("queue: stats: %w", err)
	}
	return s, nil
}

// progress sums up heads and checkpoints.
func (q *Queue) progress(ctx context.Context, tx *kv.Txn, topic, group string, partitions int, s *Stats) error {
	heads, err := eventlog.ReadHeads(ctx, tx, q.keys, topic, partitions, eventlog.AllShards)
	if err != nil {
		return err
	}
	for _, h := range heads {
		for _, last := range h.Last {
			s.Events += last
		}
	}
	begin, _, err := readGroup(ctx, tx, q, topic, group, partitions)
	if err != nil {
		return err
	}
	cps := checkpoints{prefix: q.checkpointPrefix(group, topic), start: begin}
	all, err := cps.all(ctx, tx, partitions)
	if err != nil {
		return err
	}
	for _, cp := range all {
		s.Done += cp.floor
	}
	return nil
}

// count counts the keys that begin with prefix.
func count(ctx context.Context, tx *kv.Txn, prefix []byte) (uint64, error) {
	n := uint64(0)
	for _, err := range tx.Scan(ctx, layout.PrefixRange(prefix), &kv.ScanOptions{KeysOnly: true}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
