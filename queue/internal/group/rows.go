package group

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Rows reads and writes what a group has stored of one topic.
type Rows struct {
	partitions  int
	origin      Origin
	checkpoints []byte // prefix of the checkpoints' keys
	dead        []byte // prefix of the dead letters' keys
}

// NewRows returns the Rows of a group that begins at origin in a topic of so many
// partitions. prefix is that of all keys of the queue.
func NewRows(prefix []byte, topic, group string, partitions int, origin Origin) *Rows {
	return &Rows{
		partitions: partitions, origin: origin,
		checkpoints: CheckpointPrefix(prefix, topic, group),
		dead:        DeadPrefix(prefix, topic, group),
	}
}

// Key returns the key of a group's row in a queue with this prefix.
func Key(prefix []byte, topic, group string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(prefix, layout.KindGroup), topic), group)
}

// CheckpointPrefix returns the prefix of the keys of a group's checkpoints in a topic.
func CheckpointPrefix(prefix []byte, topic, group string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(prefix, layout.KindCheckpoint), group), topic)
}

// DeadPrefix returns the prefix of the keys of a group's dead letters in a topic.
func DeadPrefix(prefix []byte, topic, group string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(prefix, layout.KindDead), group), topic)
}

// key returns the key of a partition's checkpoint.
func (r *Rows) key(partition int) []byte {
	return eventlog.AppendPartition(r.checkpoints[:len(r.checkpoints):len(r.checkpoints)], partition)
}

// deadKey returns the key of the dead letter of an event.
func (r *Rows) deadKey(partition int, seq uint64) []byte {
	return eventlog.AppendPosition(r.dead[:len(r.dead):len(r.dead)], partition, seq)
}

// parse makes a checkpoint of a row that was read; no row is where the group begins.
func (r *Rows) parse(partition int, row []byte) (Checkpoint, error) {
	if row == nil {
		return Checkpoint{Floor: r.origin.floor(partition)}, nil
	}
	cp, err := ParseCheckpoint(row)
	if err != nil {
		return cp, fmt.Errorf("%w: checkpoint of partition %d", err, partition)
	}
	return cp, nil
}

// Read returns the checkpoints of partitions, with one batch get.
func (r *Rows) Read(ctx context.Context, tx *kv.Txn, partitions []int) ([]Checkpoint, error) {
	keys := make([][]byte, len(partitions))
	for i, p := range partitions {
		keys[i] = r.key(p)
	}
	rows, err := tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	cps := make([]Checkpoint, len(partitions))
	for i, p := range partitions {
		if cps[i], err = r.parse(p, rows[i]); err != nil {
			return nil, err
		}
	}
	return cps, nil
}

// Put writes a partition's checkpoint.
func (r *Rows) Put(tx *kv.Txn, partition int, cp *Checkpoint) error {
	return tx.Set(r.key(partition), cp.Append(nil))
}

// All returns the checkpoint of every partition of the topic, with one scan.
func (r *Rows) All(ctx context.Context, tx *kv.Txn) ([]Checkpoint, error) {
	cps := make([]Checkpoint, r.partitions)
	for p := range cps {
		cps[p].Floor = r.origin.floor(p)
	}
	for pair, err := range tx.Scan(ctx, layout.PrefixRange(r.checkpoints), nil) {
		if err != nil {
			return nil, err
		}
		rest, _ := bytes.CutPrefix(pair.Key, r.checkpoints)
		if len(rest) != 4 || int(binary.BigEndian.Uint32(rest)) >= r.partitions {
			return nil, fmt.Errorf("%w: checkpoint of a partition that the topic does not have", access.ErrCorrupt)
		}
		p := int(binary.BigEndian.Uint32(rest))
		if cps[p], err = r.parse(p, pair.Value); err != nil {
			return nil, err
		}
	}
	return cps, nil
}
