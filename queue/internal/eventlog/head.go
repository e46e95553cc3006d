package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

const (
	topicFormat = 1
	headFormat  = 1
)

// EnsureTopic returns how many partitions a topic has. It creates one that is not
// there, with so many; two processes that do so at once conflict.
func EnsureTopic(ctx context.Context, store *access.Store, keys Keys, name string, partitions int) (int, error) {
	have := 0
	err := store.UpdateKnown(ctx, "a topic", func(tx *kv.Txn) error {
		var err error
		if have, err = ReadTopic(ctx, tx, keys, name); have != 0 || err != nil {
			return err
		}
		have = partitions
		return tx.Set(keys.Topic(name), AppendTopic(nil, partitions, time.Now()))
	})
	if err != nil {
		return 0, fmt.Errorf("queue: topic %q: %w", name, err)
	}
	return have, nil
}

// ReadTopic returns how many partitions a topic has, 0 if it does not exist.
func ReadTopic(ctx context.Context, tx *kv.Txn, keys Keys, name string) (int, error) {
	row, err := tx.Get(ctx, keys.Topic(name))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return ParseTopic(row)
}

// AppendTopic appends the row of a topic.
func AppendTopic(dst []byte, partitions int, created time.Time) []byte {
	dst = binary.AppendUvarint(append(dst, topicFormat), uint64(partitions))
	return binary.BigEndian.AppendUint64(dst, uint64(created.UnixMilli()))
}

// ParseTopic returns how many partitions a topic's row says that it has.
func ParseTopic(row []byte) (int, error) {
	r := rowenc.NewReader(row)
	r.Format(topicFormat)
	n := r.Uvarint()
	r.Uint64() // created
	if err := r.Done(&access.RowErrors); err != nil {
		return 0, err
	}
	if n == 0 || n%Shards != 0 || n > MaxPartitions {
		return 0, fmt.Errorf("%w: %d partitions", access.ErrCorrupt, n)
	}
	return int(n), nil
}

// Head is the end of a shard's log: how far each of its partitions goes, and where
// in the inbox there can still be rows. Whoever moves rows writes the head, so of
// two who move rows of a shard at once one conflicts.
type Head struct {
	Last []uint64 // the newest event of each partition of the shard, 0 if it has none

	// Hint: every row of the inbox below it has been moved, and none can appear
	// there any more. See Sequencer.
	Hint InboxPos
}

// Append appends the row of the head.
func (h *Head) Append(dst []byte) []byte {
	dst = h.Hint.Append(append(dst, headFormat))
	dst = binary.AppendUvarint(dst, uint64(len(h.Last)))
	for _, seq := range h.Last {
		dst = binary.AppendUvarint(dst, seq)
	}
	return dst
}

// ParseHead reads the row of a shard of so many partitions; nil is one in
// which nothing was published.
func ParseHead(row []byte, partitions int) (Head, error) {
	h := Head{Last: make([]uint64, partitions)}
	if row == nil {
		return h, nil
	}
	r := rowenc.NewReader(row)
	r.Format(headFormat)
	if b := r.Take(inboxPosSize); b != nil {
		h.Hint = parseInboxPos(b)
	}
	if n := r.Uvarint(); !r.Failed() && n != uint64(partitions) {
		return h, fmt.Errorf("%w: a shard with %d partitions instead of %d", access.ErrCorrupt, n, partitions)
	}
	for i := range h.Last {
		h.Last[i] = r.Uvarint()
	}
	return h, r.Done(&access.RowErrors)
}

// ReadHeads returns the heads of a topic's shards, with one batch get.
func ReadHeads(ctx context.Context, tx *kv.Txn, keys Keys, topic string, partitions int, which uint32) ([Shards]Head, error) {
	var heads [Shards]Head
	var at []int
	var ks [][]byte
	for s := range Shards {
		if which&(1<<s) != 0 {
			at, ks = append(at, s), append(ks, keys.Head(topic, s))
		}
	}
	rows, err := tx.BatchGet(ctx, ks)
	if err != nil {
		return heads, err
	}
	for i, s := range at {
		if heads[s], err = ParseHead(rows[i], partitions/Shards); err != nil {
			return heads, fmt.Errorf("%w: head of shard %d of topic %q", err, s, topic)
		}
	}
	return heads, nil
}
