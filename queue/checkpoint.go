package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// token says who may advance a group in a partition: a member, and a random
// part that is new each time the partition changes hands, so that what a
// member began in an earlier term cannot be taken for what it does in this one.
// The zero token is nobody's.
type token [16]byte

func (t token) member() cluster.ID { return cluster.ID(t[:8]) }

// newToken draws the token of a new term of member.
func newToken(member cluster.ID) token {
	var t token
	copy(t[:8], member[:])
	_, _ = rand.Read(t[8:]) // never fails, says its document
	return t
}

const checkpointFormat = 1

// checkpoint is how far a group has come in a partition.
type checkpoint struct {
	owner token

	// floor: every event up to it is done, or a dead letter.
	floor uint64

	// crashes counts how often the partition was taken from an owner that had
	// died with it, since the floor last rose. From the second time on, events
	// are run one by one, each with a trial written before; see lane.
	crashes uint32
	trial   trial // of event floor+1

	retry retryState // of event floor+1
}

// trial is how an event is found that kills processes. Of those that were with
// handlers when a process died, one did it. They are suspects, and from then on a
// process tries one suspect at a time: when it dies, only that one has failed. So
// others do not become dead letters for being next to it.
type trial uint8

const (
	noTrial   trial = iota
	started         // it was given to a handler
	suspect         // its process died when it was started or alone
	alone           // it was given to a handler as a suspect
	trialsEnd       // is none
)

// died is what a trial becomes when the process has died, and whether the event
// has failed by that.
func (t trial) died() (next trial, failed bool) {
	switch t {
	case started, suspect:
		return suspect, false
	case alone:
		return suspect, true
	}
	return noTrial, false
}

// ended is what a trial becomes when the process goes on without it.
func (t trial) ended() trial {
	if t == alone || t == suspect {
		return suspect
	}
	return noTrial
}

// retryState is what is known of an event that did not succeed.
type retryState struct {
	attempts uint32        // that have failed
	due      time.Time     // when it may be handed out again; zero is at once
	wait     time.Duration // how long before due that was decided
	err      string        // why the last attempt failed
}

// remaining returns how long to wait from now on. It is never more than what was
// decided, so that a step of the clock does not stop a partition.
func (r *retryState) remaining(now time.Time) time.Duration {
	if r.due.IsZero() {
		return 0
	}
	return min(max(r.due.Sub(now), 0), r.wait)
}

// maxErrorSize bounds the text of an error in a checkpoint or a dead letter.
const maxErrorSize = 1 << 10

func (c *checkpoint) append(dst []byte) []byte {
	dst = append(append(dst, checkpointFormat), c.owner[:]...)
	dst = binary.AppendUvarint(dst, c.floor)
	dst = binary.AppendUvarint(dst, uint64(c.crashes))
	dst = append(dst, byte(c.trial))
	dst = binary.AppendUvarint(dst, uint64(c.retry.attempts))
	due := uint64(0)
	if !c.retry.due.IsZero() {
		due = uint64(c.retry.due.UnixMilli())
	}
	dst = binary.AppendUvarint(dst, due)
	dst = binary.AppendUvarint(dst, uint64(c.retry.wait.Milliseconds()))
	return rowenc.AppendSized(dst, c.retry.err)
}

// parseCheckpoint reads a checkpoint's row.
func parseCheckpoint(row []byte) (checkpoint, error) {
	r := rowenc.NewReader(row)
	var c checkpoint
	r.Format(checkpointFormat)
	copy(c.owner[:], r.Take(uint64(len(c.owner))))
	c.floor = r.Uvarint()
	c.crashes = uint32(r.Uvarint())
	if b := r.Take(1); b != nil {
		if c.trial = trial(b[0]); c.trial >= trialsEnd {
			r.Fail()
		}
	}
	c.retry.attempts = uint32(r.Uvarint())
	if due := r.Uvarint(); due != 0 {
		c.retry.due = time.UnixMilli(int64(due))
	}
	c.retry.wait = time.Duration(r.Uvarint()) * time.Millisecond
	c.retry.err = r.String()
	return c, r.Done(&access.RowErrors)
}

// checkpoints reads and writes the checkpoints of one group in one topic.
type checkpoints struct {
	prefix []byte // of their keys
	start  start
}

func (c *checkpoints) key(partition int) []byte {
	return eventlog.AppendPartition(c.prefix[:len(c.prefix):len(c.prefix)], partition)
}

// of makes a checkpoint of a row that was read; no row is where the group starts.
func (c *checkpoints) of(partition int, row []byte) (checkpoint, error) {
	if row == nil {
		return checkpoint{floor: c.start.floor(partition)}, nil
	}
	cp, err := parseCheckpoint(row)
	if err != nil {
		return cp, fmt.Errorf("%w: checkpoint of partition %d", err, partition)
	}
	return cp, nil
}

// read returns the checkpoints of partitions, with one batch get.
func (c *checkpoints) read(ctx context.Context, tx *kv.Txn, partitions []int) ([]checkpoint, error) {
	keys := make([][]byte, len(partitions))
	for i, p := range partitions {
		keys[i] = c.key(p)
	}
	rows, err := tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	cps := make([]checkpoint, len(partitions))
	for i, p := range partitions {
		if cps[i], err = c.of(p, rows[i]); err != nil {
			return nil, err
		}
	}
	return cps, nil
}

func (c *checkpoints) write(tx *kv.Txn, partition int, cp *checkpoint) error {
	return tx.Set(c.key(partition), cp.append(nil))
}

// all returns the checkpoint of every partition of a topic, with one scan.
func (c *checkpoints) all(ctx context.Context, tx *kv.Txn, partitions int) ([]checkpoint, error) {
	cps := make([]checkpoint, partitions)
	for p := range cps {
		cps[p].floor = c.start.floor(p)
	}
	for pair, err := range tx.Scan(ctx, layout.PrefixRange(c.prefix), nil) {
		if err != nil {
			return nil, err
		}
		rest, _ := bytes.CutPrefix(pair.Key, c.prefix)
		if len(rest) != 4 || int(binary.BigEndian.Uint32(rest)) >= partitions {
			return nil, fmt.Errorf("%w: checkpoint of a partition that the topic does not have", ErrCorrupt)
		}
		p := int(binary.BigEndian.Uint32(rest))
		if cps[p], err = c.of(p, pair.Value); err != nil {
			return nil, err
		}
	}
	return cps, nil
}

const groupFormat = 1

// start is where a group begins in the partitions that it has no checkpoint of.
type start struct {
	floors []uint64 // one for each partition; nil is the beginning of the log
}

func (s *start) floor(partition int) uint64 {
	if s.floors == nil {
		return 0
	}
	return s.floors[partition]
}

// Start says where a group begins that does not exist yet.
type Start uint8

const (
	// FromOldest begins with the oldest event in the log, so that a new group
	// gets everything. The default.
	FromOldest Start = iota

	// FromNewest begins with what is published after the group was made. What
	// was published shortly before may be among it.
	FromNewest
)

// ensureGroup returns where a group starts, and registers it if it is new.
func (q *Queue) ensureGroup(ctx context.Context, topic, group string, partitions int, from Start) (start, error) {
	var s start
	err := q.store.UpdateKnown(ctx, "a group", func(tx *kv.Txn) error {
		var exists bool
		var err error
		if s, exists, err = readGroup(ctx, tx, q, topic, group, partitions); exists || err != nil {
			return err
		}
		if from == FromNewest {
			heads, err := eventlog.ReadHeads(ctx, tx, q.keys, topic, partitions, eventlog.AllShards)
			if err != nil {
				return err
			}
			for _, h := range heads {
				s.floors = append(s.floors, h.Last...)
			}
		}
		return tx.Set(q.groupKey(topic, group), s.appendAt(nil, time.Now()))
	})
	if err != nil {
		return s, fmt.Errorf("queue: group %q of topic %q: %w", group, topic, err)
	}
	return s, nil
}

// readGroup returns where a group starts, and whether it exists.
func readGroup(ctx context.Context, tx *kv.Txn, q *Queue, topic, group string, partitions int) (s start, exists bool, err error) {
	row, err := tx.Get(ctx, q.groupKey(topic, group))
	if errors.Is(err, kv.ErrNotFound) {
		return s, false, nil
	}
	if err == nil {
		s, err = parseGroup(row, partitions)
	}
	return s, true, err
}

// appendAt makes the row of a group that is made now.
func (s *start) appendAt(dst []byte, now time.Time) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, groupFormat), uint64(now.UnixMilli()))
	dst = binary.AppendUvarint(dst, uint64(len(s.floors)))
	for _, f := range s.floors {
		dst = binary.AppendUvarint(dst, f)
	}
	return dst
}

func parseGroup(row []byte, partitions int) (start, error) {
	r := rowenc.NewReader(row)
	r.Format(groupFormat)
	r.Uint64() // created
	var s start
	if n := r.Uvarint(); n > 0 && !r.Failed() {
		if n != uint64(partitions) {
			return s, fmt.Errorf("%w: a group that starts in %d partitions of %d", ErrCorrupt, n, partitions)
		}
		s.floors = make([]uint64, n)
		for i := range s.floors {
			s.floors[i] = r.Uvarint()
		}
	}
	return s, r.Done(&access.RowErrors)
}
