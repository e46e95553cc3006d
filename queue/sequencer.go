package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// Bounds of one sequencing transaction. Rows and bytes amortize the commit;
// more of them would only make others wait.
const (
	maxMoveRows  = 2048
	maxMoveBytes = 4 << 20
)

// sequencer moves a topic's inbox rows to its log, giving each the next
// position of its partition. It reads a shard's inbox in key order, which is
// the order of commits where that matters (see inboxPos), from the shard's hint.
//
// The hint is why a transaction does not read again the keys of all rows that
// were ever moved. It may not pass a row that can still appear: so it goes at
// most to the store's watermark, as read before the snapshot was taken. Every
// transaction with a lower version has ended before that, so what it published
// is in the snapshot. It goes at most to the end of what was moved, too. (Read
// after the snapshot, the watermark could pass a transaction that committed in
// between; and "after the last row moved" could pass one that is slow.)
//
// Two processes may work on one shard: both write its head, so one conflicts
// and starts again. One sequencer is for one goroutine.
type sequencer struct {
	store      *kv.Store
	keys       keyspace
	topic      string
	partitions int

	// hints at or above those of the store: what was seen to be empty in a
	// pass that moved nothing, and so wrote no head.
	hints [shards]inboxPos

	first int // the shard that the next pass begins with
}

// moved is what a pass has done.
type moved struct {
	rows   int
	shards uint32           // those where rows may be left
	ends   []partitionEnd   // partitions that have grown
	below  int              // rows found below the hint, in a pass from the start
	hints  [shards]inboxPos // as they are after the pass
	first  int              // the first shard that the pass had no room for
	bytes  int              // that the pass writes
}

// partitionEnd is the newest event of a partition.
type partitionEnd struct {
	partition int
	last      uint64
}

// move makes one pass over the shards in which, a bit for each. fromStart
// ignores the hints, to find rows that should not be there.
//
// An error that wraps kv.ErrCommitUnknown means that the pass may have been
// done; the next one finds out, since it begins with the stored heads.
func (s *sequencer) move(ctx context.Context, which uint32, fromStart bool) (moved, error) {
	watermark, err := s.store.Watermark(ctx)
	if err != nil {
		return moved{}, fmt.Errorf("queue: sequencing: %w", err)
	}
	var m moved
	o := &kv.TxnOptions{}
	if s.store.Info().NoSync {
		// A crash may undo a pass, whole, and the next one repeats it: nobody has
		// acted on it by then. A transactional handler's commit, which comes
		// after it in the order of commits, makes it durable if it is durable
		// itself; a plain handler waits for it.
		o.Durability = kv.NoSync
	}
	err = s.store.Run(ctx, o, func(tx *kv.Txn) error {
		m = moved{} // a conflict may have ended an earlier run
		return s.pass(ctx, tx, which, watermark, fromStart, &m)
	})
	if err != nil {
		return moved{}, fmt.Errorf("queue: sequencing: %w", err)
	}
	s.hints, s.first = m.hints, m.first
	return m, nil
}

// strays returns those of the shards in which, a bit for each, that have a row
// below the hint. What it reads, tombstones most of all, can be much, so each shard
// has a snapshot of its own, and nobody waits for a transaction that writes.
func (s *sequencer) strays(ctx context.Context, which uint32) (uint32, error) {
	var found uint32
	for shard := range shards {
		if which&(1<<shard) == 0 {
			continue
		}
		err := s.store.View(ctx, func(tx *kv.Txn) error {
			heads, err := readHeads(ctx, tx, s.keys, s.topic, s.partitions, 1<<shard)
			if err != nil {
				return err
			}
			prefix := append(s.keys.inboxTopic(s.topic), byte(shard))
			below := kv.Range{Start: prefix, End: heads[shard].hint.append(prefix[:len(prefix):len(prefix)])}
			for _, err := range tx.Scan(ctx, below, &kv.ScanOptions{KeysOnly: true, Limit: 1}) {
				if err != nil {
					return err
				}
				found |= 1 << shard
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("queue: checking hints: %w", err)
		}
	}
	return found, nil
}

func (s *sequencer) pass(ctx context.Context, tx *kv.Txn, which uint32, watermark kv.Version, fromStart bool, m *moved) error {
	heads, err := readHeads(ctx, tx, s.keys, s.topic, s.partitions, which)
	if err != nil {
		return err
	}
	inbox := s.keys.inboxTopic(s.topic)
	c, err := tx.Cursor(ctx, withPrefix(inbox), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	m.hints, m.first = s.hints, s.first
	// Each shard gets its share, so that a flood in one does not starve others. A
	// row that is larger than that is moved all the same while there is room for
	// it in the transaction; the shard for which there is none is the next pass's
	// first.
	share := maxMoveRows / bits.OnesCount32(which)
	room := min(maxMoveBytes, tx.Info().Limits.MaxTxnSize/2)
	full := false
	for i := range shards {
		shard := (s.first + i) % shards
		if which&(1<<shard) == 0 {
			continue
		}
		b := shardMove{s: s, tx: tx, cursor: c, shard: shard, head: &heads[shard], share: share, watermark: watermark,
			room: room / bits.OnesCount32(which), left: room - m.bytes, must: m.rows == 0}
		b.prefix = slices.Concat(inbox, []byte{byte(shard)})
		b.hint = maxPos(s.hints[shard], heads[shard].hint)
		if fromStart {
			b.from = inboxPos{}
		} else {
			b.from = b.hint
		}
		if err := b.run(ctx); err != nil {
			return err
		}
		m.hints[shard] = b.head.hint
		m.rows += b.rows
		m.bytes += b.bytes
		m.below += b.below
		if !b.exhausted && b.rows == 0 && !full {
			full, m.first = true, shard
		}
		if !b.exhausted {
			m.shards |= 1 << shard
		}
		for i, grown := range b.grown {
			if grown {
				m.ends = append(m.ends, partitionEnd{shard*len(b.head.last) + i, b.head.last[i]})
			}
		}
	}
	return nil
}

// shardMove moves the rows of one shard in one transaction.
type shardMove struct {
	s         *sequencer
	tx        *kv.Txn
	cursor    *kv.Cursor
	shard     int
	prefix    []byte // of the shard's inbox
	from      inboxPos
	hint      inboxPos
	watermark kv.Version
	head      *head
	share     int  // rows it may move
	room      int  // bytes it may write, unless its first row alone has more
	left      int  // bytes that the transaction has room for
	must      bool // nothing was moved yet, so the first row is, whatever its size

	rows, bytes int
	below       int
	grown       []bool // partitions of the shard; nil if none has
	exhausted   bool   // every row that the snapshot has was moved
}

func (b *shardMove) run(ctx context.Context) error {
	last := b.from // everything before it has been moved
	var key, value []byte
	events := b.s.keys.events(b.s.topic)
	for ok := b.cursor.Seek(ctx, b.from.append(b.prefix[:len(b.prefix):len(b.prefix)])); ; ok = b.cursor.Next(ctx) {
		if !ok {
			if err := b.cursor.Err(); err != nil {
				return err
			}
			b.exhausted = true
			break
		}
		rest, ours := bytes.CutPrefix(b.cursor.Key(), b.prefix)
		if !ours {
			b.exhausted = true
			break
		}
		row := b.cursor.Value()
		if !b.fits(len(row)) {
			break
		}
		if b.rows == 0 {
			b.bytes = b.headSize()
		}
		if len(rest) != inboxPosSize || len(row) < rowHeadSize {
			return fmt.Errorf("%w: inbox of shard %d of topic %q", ErrCorrupt, b.shard, b.s.topic)
		}
		pos := parseInboxPos(rest)
		r := reader{b: row}
		partition := partitionOf(r.uint64(), b.s.partitions)
		at := partition - b.shard*len(b.head.last)
		if at < 0 || at >= len(b.head.last) {
			return fmt.Errorf("%w: inbox of shard %d of topic %q has a row of another shard", ErrCorrupt, b.shard, b.s.topic)
		}
		if b.grown == nil {
			b.grown = make([]bool, len(b.head.last))
		}
		b.head.last[at]++
		b.grown[at] = true
		key = appendEvent(append(key[:0], events...), partition, b.head.last[at])
		value = append(value[:0], row...)
		binary.BigEndian.PutUint64(value, uint64(pos.version)) // see rowHeadSize
		if err := b.tx.Set(key, value); err != nil {
			return err
		}
		if err := b.tx.Delete(b.cursor.Key()); err != nil {
			return err
		}
		b.rows++
		b.bytes += 2*len(key) + len(row) + len(rest)
		last = pos.next()
		if pos.compare(b.hint) < 0 {
			b.below++
		}
	}
	limit := inboxPos{version: b.watermark}
	if !b.exhausted {
		limit = minPos(limit, last)
	}
	b.head.hint = maxPos(b.hint, limit)
	if b.below > 0 && !b.exhausted {
		b.head.hint = limit // back, for there can be more of them
	}
	if b.rows == 0 {
		return nil
	}
	return b.tx.Set(b.s.keys.head(b.s.topic, b.shard), b.head.append(nil))
}

// fits tells whether one more row, of that size, is to be moved.
func (b *shardMove) fits(size int) bool {
	switch {
	case b.rows == b.share:
		return false
	case b.rows > 0:
		return b.bytes+size <= min(b.room+b.headSize(), b.left)
	}
	return b.must || b.headSize()+size <= b.left
}

// headSize is at least what writing the head takes.
func (b *shardMove) headSize() int {
	return len(b.prefix) + 1 + inboxPosSize + binary.MaxVarintLen64*(1+len(b.head.last))
}

func minPos(a, b inboxPos) inboxPos {
	if a.compare(b) < 0 {
		return a
	}
	return b
}

func maxPos(a, b inboxPos) inboxPos {
	if a.compare(b) < 0 {
		return b
	}
	return a
}
