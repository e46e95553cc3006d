package queue

import (
	"context"

	"github.com/tito-db/tito-go/kv"
)

// KeyIn returns a key of each partition of a topic.
func KeyIn(partitions int) []string {
	keys := make([]string, partitions)
	for n, left := uint64(0), partitions; left > 0; n++ {
		key := string(appendEvent(nil, 0, n)[4:])
		if p := partitionOf(hashKey(key), partitions); keys[p] == "" {
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
func (q *Queue) Terms(ctx context.Context, tx *kv.Txn, topic, group string, partitions int) ([]Term, error) {
	cps := checkpoints{prefix: q.keys.checkpoints(group, topic)}
	all, err := cps.all(ctx, tx, partitions)
	terms := make([]Term, len(all))
	for p, cp := range all {
		terms[p] = Term{
			Owned: cp.owner != token{}, ByQueue: cp.owner.member() == q.id, Floor: cp.floor,
			Crashes: int(cp.crashes), Attempts: int(cp.retry.attempts), Started: cp.started, Waits: cp.retry.err,
		}
	}
	return terms, err
}

// Members counts the rows of processes.
func (q *Queue) Members(ctx context.Context, tx *kv.Txn) (int, error) {
	n, err := count(ctx, tx, q.keys.kind(kindMember))
	return int(n), err
}
