package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
)

const (
	topicFormat = 1
	headFormat  = 1
)

// ensureTopic returns how many partitions a topic has. One that is not there
// is created, with so many; two processes that do so at once conflict.
func (q *Queue) ensureTopic(ctx context.Context, name string, partitions int) (int, error) {
	have := 0
	err := q.updateKnown(ctx, "a topic", func(tx *kv.Txn) error {
		var err error
		if have, err = readTopic(ctx, tx, q.keys, name); have != 0 || err != nil {
			return err
		}
		have = partitions
		return tx.Set(q.keys.topic(name), appendTopic(nil, partitions, time.Now()))
	})
	if err != nil {
		return 0, fmt.Errorf("queue: topic %q: %w", name, err)
	}
	return have, nil
}

// readTopic returns how many partitions a topic has, 0 if it does not exist.
func readTopic(ctx context.Context, tx *kv.Txn, keys keyspace, name string) (int, error) {
	row, err := tx.Get(ctx, keys.topic(name))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseTopic(row)
}

func appendTopic(dst []byte, partitions int, created time.Time) []byte {
	dst = binary.AppendUvarint(append(dst, topicFormat), uint64(partitions))
	return binary.BigEndian.AppendUint64(dst, uint64(created.UnixMilli()))
}

// parseTopic returns how many partitions a topic's row says that it has.
func parseTopic(row []byte) (int, error) {
	r := reader{b: row}
	r.format(topicFormat)
	n := r.uvarint()
	r.uint64() // created
	if err := r.end(); err != nil {
		return 0, err
	}
	if n == 0 || n%shards != 0 || n > maxPartitions {
		return 0, fmt.Errorf("%w: %d partitions", ErrCorrupt, n)
	}
	return int(n), nil
}

// head is the end of a shard's log: how far each of its partitions goes, and
// where in the inbox there can still be rows. Whoever moves rows writes it, so
// that of two who do it at once one conflicts.
type head struct {
	last []uint64 // the newest event of each partition of the shard, 0 if it has none

	// hint: every row of the inbox below it has been moved, and none can
	// appear there any more. See sequencer.
	hint inboxPos
}

func (h *head) append(dst []byte) []byte {
	dst = h.hint.append(append(dst, headFormat))
	dst = binary.AppendUvarint(dst, uint64(len(h.last)))
	for _, seq := range h.last {
		dst = binary.AppendUvarint(dst, seq)
	}
	return dst
}

// parseHead reads the row of a shard of so many partitions; nil is one in
// which nothing was published.
func parseHead(row []byte, partitions int) (head, error) {
	h := head{last: make([]uint64, partitions)}
	if row == nil {
		return h, nil
	}
	r := reader{b: row}
	r.format(headFormat)
	if b := r.take(inboxPosSize); b != nil {
		h.hint = parseInboxPos(b)
	}
	if n := r.uvarint(); r.err == nil && n != uint64(partitions) {
		return h, fmt.Errorf("%w: a shard with %d partitions instead of %d", ErrCorrupt, n, partitions)
	}
	for i := range h.last {
		h.last[i] = r.uvarint()
	}
	return h, r.end()
}

// readHeads returns the heads of a topic's shards, with one batch get.
func readHeads(ctx context.Context, tx *kv.Txn, keys keyspace, topic string, partitions int, which uint32) ([shards]head, error) {
	var heads [shards]head
	var at []int
	var ks [][]byte
	for s := range shards {
		if which&(1<<s) != 0 {
			at, ks = append(at, s), append(ks, keys.head(topic, s))
		}
	}
	rows, err := tx.BatchGet(ctx, ks)
	if err != nil {
		return heads, err
	}
	for i, s := range at {
		if heads[s], err = parseHead(rows[i], partitions/shards); err != nil {
			return heads, fmt.Errorf("%w: head of shard %d of topic %q", err, s, topic)
		}
	}
	return heads, nil
}

// allShards has a bit for each shard.
const allShards = 1<<shards - 1
