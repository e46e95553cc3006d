package eventlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// MaxMoveRows bounds the rows that one transaction of a Sequencer moves, as
// access.MaxTxnBytes bounds its bytes. So many amortize the commit; more would only
// make others wait.
const MaxMoveRows = 2048

// Sequencer moves a topic's inbox rows to its log and gives each the next position
// of its partition. It reads a shard's inbox in key order, which is the order of
// commits where that matters (see InboxPos), from the shard's hint.
//
// Because of the hint a transaction does not read again the keys of all rows that
// were ever moved. The hint may not pass a row that can still appear. So it goes at
// most to the store's watermark, as read before the snapshot was taken: every
// transaction with a lower version has ended before that, and what it published is
// in the snapshot. (A watermark that is read after the snapshot could pass a
// transaction that committed in between.) While rows are left the hint goes at most
// to the end of what was moved, too. (A hint "after the last row moved" alone could
// pass a transaction that is slow.)
//
// Two processes may work on one shard: both write its head, so one conflicts and
// starts again. One Sequencer is for one goroutine.
type Sequencer struct {
	store      *access.Store
	keys       Keys
	topic      string
	partitions int

	// hints are at or above those of the store: a pass that moves nothing writes no
	// head, and only this Sequencer knows what the pass saw to be empty.
	hints [Shards]InboxPos

	first int // the shard that the next pass begins with
}

// NewSequencer returns the Sequencer of a topic with so many partitions.
func NewSequencer(store *access.Store, keys Keys, topic string, partitions int) *Sequencer {
	return &Sequencer{store: store, keys: keys, topic: topic, partitions: partitions}
}

// Moved is what a pass has done.
type Moved struct {
	Rows   int
	Shards uint32 // the shards where rows may be left, a bit for each
	Ends   []End  // the partitions that have grown
	Below  int    // rows found below the hint, in a pass from the start

	hints [Shards]InboxPos // as they are after the pass
	first int              // the first shard that the pass had no room for
	bytes int              // that the pass writes
}

// End is the newest event of a partition.
type End struct {
	Partition int
	Last      uint64
}

// Move makes one pass over the shards in which, a bit for each. fromStart
// ignores the hints, to find rows that should not be there.
//
// An error that wraps kv.ErrCommitUnknown means that the pass may have been
// done; the next one finds out, because it begins with the stored heads.
func (s *Sequencer) Move(ctx context.Context, which uint32, fromStart bool) (Moved, error) {
	watermark, err := s.store.Watermark(ctx)
	if err != nil {
		return Moved{}, fmt.Errorf("queue: sequencing: %w", err)
	}
	var m Moved
	o := &kv.TxnOptions{}
	if s.store.Info().NoSync {
		// A crash may undo a pass, whole, and the next one repeats it: nobody has
		// acted on it by then. A transactional handler's commit, which comes
		// after it in the order of commits, makes it durable if it is durable
		// itself; a plain handler waits for it.
		o.Durability = kv.NoSync
	}
	err = s.store.Run(ctx, o, func(tx *kv.Txn) error {
		m = Moved{} // a conflict may have ended an earlier run
		return s.pass(ctx, tx, which, watermark, fromStart, &m)
	})
	if err != nil {
		return Moved{}, fmt.Errorf("queue: sequencing: %w", err)
	}
	s.hints, s.first = m.hints, m.first
	return m, nil
}

// Strays returns those of the shards in which, a bit for each, that have a row
// below the hint. What it reads, tombstones most of all, can be much, so each shard
// has a snapshot of its own, and nobody waits for a transaction that writes.
func (s *Sequencer) Strays(ctx context.Context, which uint32) (uint32, error) {
	var found uint32
	for shard := range Shards {
		if which&(1<<shard) == 0 {
			continue
		}
		err := s.store.View(ctx, func(tx *kv.Txn) error {
			heads, err := ReadHeads(ctx, tx, s.keys, s.topic, s.partitions, 1<<shard)
			if err != nil {
				return err
			}
			prefix := append(s.keys.Inbox(s.topic), byte(shard))
			below := kv.Range{Start: prefix, End: heads[shard].Hint.Append(prefix[:len(prefix):len(prefix)])}
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

func (s *Sequencer) pass(ctx context.Context, tx *kv.Txn, which uint32, watermark kv.Version, fromStart bool, m *Moved) error {
	heads, err := ReadHeads(ctx, tx, s.keys, s.topic, s.partitions, which)
	if err != nil {
		return err
	}
	inbox := s.keys.Inbox(s.topic)
	c, err := tx.Cursor(ctx, layout.PrefixRange(inbox), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	m.hints, m.first = s.hints, s.first
	// Each shard gets its share, so that a flood in one does not starve others. A
	// row that is larger than that is moved all the same while there is room for
	// it in the transaction; the shard for which there is none is the next pass's
	// first.
	share := MaxMoveRows / bits.OnesCount32(which)
	room := min(access.MaxTxnBytes, tx.Info().Limits.MaxTxnSize/2)
	full := false
	for i := range Shards {
		shard := (s.first + i) % Shards
		if which&(1<<shard) == 0 {
			continue
		}
		b := shardMove{s: s, tx: tx, cursor: c, shard: shard, head: &heads[shard], share: share, watermark: watermark,
			room: room / bits.OnesCount32(which), left: room - m.bytes, must: m.Rows == 0}
		b.prefix = slices.Concat(inbox, []byte{byte(shard)})
		b.hint = maxPos(s.hints[shard], heads[shard].Hint)
		if fromStart {
			b.from = InboxPos{}
		} else {
			b.from = b.hint
		}
		if err := b.run(ctx); err != nil {
			return err
		}
		m.hints[shard] = b.head.Hint
		m.Rows += b.rows
		m.bytes += b.bytes
		m.Below += b.below
		if !b.exhausted && b.rows == 0 && !full {
			full, m.first = true, shard
		}
		if !b.exhausted {
			m.Shards |= 1 << shard
		}
		for i, grown := range b.grown {
			if grown {
				m.Ends = append(m.Ends, End{shard*len(b.head.Last) + i, b.head.Last[i]})
			}
		}
	}
	return nil
}

// shardMove moves the rows of one shard in one transaction.
type shardMove struct {
	s         *Sequencer
	tx        *kv.Txn
	cursor    *kv.Cursor
	shard     int
	prefix    []byte // of the shard's inbox
	from      InboxPos
	hint      InboxPos
	watermark kv.Version
	head      *Head
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
	events := b.s.keys.Events(b.s.topic)
	for ok := b.cursor.Seek(ctx, b.from.Append(b.prefix[:len(b.prefix):len(b.prefix)])); ; ok = b.cursor.Next(ctx) {
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
			return fmt.Errorf("%w: inbox of shard %d of topic %q", access.ErrCorrupt, b.shard, b.s.topic)
		}
		pos := parseInboxPos(rest)
		r := rowenc.NewReader(row)
		partition := PartitionOf(r.Uint64(), b.s.partitions)
		at := partition - b.shard*len(b.head.Last)
		if at < 0 || at >= len(b.head.Last) {
			return fmt.Errorf("%w: inbox of shard %d of topic %q has a row of another shard", access.ErrCorrupt, b.shard, b.s.topic)
		}
		if b.grown == nil {
			b.grown = make([]bool, len(b.head.Last))
		}
		b.head.Last[at]++
		b.grown[at] = true
		key = AppendPosition(append(key[:0], events...), partition, b.head.Last[at])
		value = append(value[:0], row...)
		binary.BigEndian.PutUint64(value, uint64(pos.Version)) // see rowHeadSize
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
	limit := InboxPos{Version: b.watermark}
	if !b.exhausted {
		limit = minPos(limit, last)
	}
	b.head.Hint = maxPos(b.hint, limit)
	if b.below > 0 && !b.exhausted {
		b.head.Hint = limit // it goes back, because there can be more rows below it
	}
	if b.rows == 0 {
		return nil
	}
	return b.tx.Set(b.s.keys.Head(b.s.topic, b.shard), b.head.Append(nil))
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
	return len(b.prefix) + 1 + inboxPosSize + binary.MaxVarintLen64*(1+len(b.head.Last))
}
