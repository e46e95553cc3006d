package queue

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Topic is a handle to a topic: what operators and tools look at. The topic need not
// exist.
type Topic struct {
	q    *Queue
	name string
}

// Topic returns a handle. It reads and writes nothing.
func (q *Queue) Topic(name string) Topic { return Topic{q, name} }

// TopicStats is how much a topic holds, in one snapshot.
type TopicStats struct {
	Partitions int    // 0 if the topic does not exist
	Events     uint64 // in the log
	Inbox      uint64 // published, and not in the log yet
}

// Stats reads how much the topic holds. It reads the topic's 16 heads and counts the
// keys of the inbox, so its cost grows with the inbox.
func (t Topic) Stats(ctx context.Context, tx *kv.Txn) (TopicStats, error) {
	s, err := t.stats(ctx, tx)
	if err != nil {
		return TopicStats{}, fmt.Errorf("queue: stats: %w", err)
	}
	return s, nil
}

func (t Topic) stats(ctx context.Context, tx *kv.Txn) (s TopicStats, err error) {
	if s.Partitions, err = eventlog.ReadTopic(ctx, tx, t.q.keys, t.name); err != nil {
		return s, err
	}
	if s.Partitions > 0 {
		heads, err := eventlog.ReadHeads(ctx, tx, t.q.keys, t.name, s.Partitions, eventlog.AllShards)
		if err != nil {
			return s, err
		}
		for _, h := range heads {
			for _, last := range h.Last {
				s.Events += last
			}
		}
	}
	s.Inbox, err = count(ctx, tx, t.q.keys.Inbox(t.name))
	return s, err
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
