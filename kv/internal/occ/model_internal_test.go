package occ

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
)

// history is the naive reference: every commit with its keys, kept for ever.
type history []struct {
	version kv.Version
	*kv.Commit
}

// conflicts says what the contract of kv.Driver says, word by word.
func (h history) conflicts(read kv.Version, c *kv.Commit) bool {
	for _, other := range h {
		if other.version <= read {
			continue
		}
		for _, w := range other.Writes {
			if writes(c, w.Key) || locks(c, w.Key) {
				return true
			}
		}
		for _, key := range other.Locks {
			if writes(c, key) {
				return true
			}
		}
	}
	return false
}

// keysAfter counts the keys committed after read.
func (h history) keysAfter(read kv.Version) (n int) {
	for _, other := range h {
		if other.version > read {
			n += len(other.Writes) + len(other.Locks)
		}
	}
	return n
}

func writes(c *kv.Commit, key []byte) bool {
	return slices.ContainsFunc(c.Writes, func(w kv.Write) bool { return string(w.Key) == string(key) })
}

func locks(c *kv.Commit, key []byte) bool {
	return slices.ContainsFunc(c.Locks, func(k []byte) bool { return string(k) == string(key) })
}

// request draws a commit of few keys out of few, each written or locked.
func request(t *rapid.T) *kv.Commit {
	c := &kv.Commit{}
	for i, kind := range rapid.SliceOfN(rapid.IntRange(0, 3), 6, 6).Draw(t, "kinds") {
		switch key := []byte{'a' + byte(i)}; kind {
		case 0:
			c.Writes = append(c.Writes, kv.Write{Key: key})
		case 1:
			c.Locks = append(c.Locks, key)
		}
	}
	return c
}

// TestModel runs random interleavings of transactions against the reference.
// Between Begin and Pin, as between any other steps, others commit.
func TestModel(t *testing.T) {
	errApply := errors.New("refused")
	rapid.Check(t, func(t *rapid.T) {
		last := kv.Version(rapid.IntRange(0, 1000).Draw(t, "last"))
		limit := rapid.SampledFrom([]int{0, 1, 5, 20}).Draw(t, "limit")
		ctl := New(Options{Last: last, MaxMemory: limit})
		ctl.clock.now = func() time.Time { return time.Unix(0, 0) } // dense versions show errors by one
		var h history
		type txn struct {
			*Ticket
			pinned bool
		}
		var open []*txn
		draw := func(t *rapid.T, pinned bool) *txn {
			of := slices.DeleteFunc(slices.Clone(open), func(x *txn) bool { return x.pinned != pinned })
			if len(of) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(of).Draw(t, "txn")
		}
		end := func(x *txn) {
			x.Release()
			open = slices.DeleteFunc(open, func(y *txn) bool { return y == x })
		}
		watermark := ctl.Watermark()
		commit := func(t *rapid.T) {
			x, c := draw(t, true), request(t)
			before, applied := ctl.Published(), kv.Version(0)
			v, err := ctl.Commit(x.Ticket, c, func(v kv.Version) error {
				applied = v
				require.Equal(t, before, ctl.Published(), "not yet")
				return nil
			})
			switch {
			case errors.Is(err, kv.ErrTxnTooOld):
				require.NotZero(t, limit, "1 M keys were not reached")
				require.Greater(t, h.keysAfter(x.read), limit, "too old without need")
			case err != nil:
				require.ErrorIs(t, err, kv.ErrConflict)
				require.True(t, h.conflicts(x.read, c), "conflicts without need")
			default:
				require.False(t, h.conflicts(x.read, c), "a conflict was missed")
				require.Greater(t, v, before)
				require.Equal(t, v, ctl.Published())
				h = append(h, struct {
					version kv.Version
					*kv.Commit
				}{v, c})
			}
			if err != nil {
				require.Zero(t, v)
				require.Zero(t, applied)
				require.Equal(t, before, ctl.Published())
			} else {
				require.Equal(t, v, applied)
			}
			end(x)
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(*rapid.T) { open = append(open, &txn{Ticket: ctl.Begin()}) },
			"begin and pin": func(*rapid.T) {
				x := &txn{ctl.Begin(), true}
				x.Pin(ctl.Published())
				open = append(open, x)
			},
			"pin": func(t *rapid.T) {
				x := draw(t, false)
				x.Pin(ctl.Published())
				x.pinned = true
			},
			"commit":        commit,
			"commit, again": commit, // twice as often
			"commit that the engine refuses": func(t *rapid.T) {
				x, before := draw(t, true), ctl.Published()
				_, err := ctl.Commit(x.Ticket, request(t), func(kv.Version) error { return errApply })
				require.Error(t, err)
				require.Equal(t, before, ctl.Published())
				end(x)
			},
			"release": func(t *rapid.T) {
				x := draw(t, rapid.Bool().Draw(t, "pinned"))
				end(x)
				x.Release()
			},
			"": func(t *rapid.T) {
				w := ctl.Watermark()
				require.GreaterOrEqual(t, w, watermark, "the watermark never goes back")
				require.LessOrEqual(t, w, ctl.Published())
				watermark = w
				for _, x := range open {
					require.LessOrEqual(t, w, x.read, "it never passes an open transaction")
				}
				if len(open) == 0 {
					require.Equal(t, ctl.Published(), w)
				}
				require.Equal(t, len(open), ctl.opened)
				if limit > 0 {
					require.LessOrEqual(t, len(ctl.memory.queue)-ctl.memory.head, limit)
				}
				require.LessOrEqual(t, len(ctl.memory.marks), len(ctl.memory.queue)-ctl.memory.head)
			},
		})
		// A transaction that overlaps nothing always commits, and after it
		// nothing is remembered.
		for _, x := range slices.Clone(open) {
			end(x)
		}
		x := ctl.Begin()
		x.Pin(ctl.Published())
		_, err := ctl.Commit(x, request(t), func(kv.Version) error { return nil })
		require.NoError(t, err)
		x.Release()
		require.Empty(t, ctl.memory.marks)
		require.Empty(t, ctl.memory.queue)
	})
}

// TestOldestIsStillChecked: commits right after the oldest open transaction's
// snapshot are remembered however many follow, and forgotten once it has ended.
func TestOldestIsStillChecked(t *testing.T) {
	ctl := New(Options{})
	ctl.clock.now = func() time.Time { return time.Unix(0, 0) }
	begin := func() *Ticket {
		x := ctl.Begin()
		x.Pin(ctl.Published())
		return x
	}
	commit := func(x *Ticket, key string) error {
		defer x.Release()
		_, err := ctl.Commit(x, &kv.Commit{Writes: []kv.Write{{Key: []byte(key)}}}, func(kv.Version) error { return nil })
		return err
	}
	oldest, second := begin(), begin()
	require.NoError(t, commit(begin(), "first"))
	third := begin()
	for range 10 {
		require.NoError(t, commit(begin(), "other"))
	}
	require.Len(t, ctl.memory.marks, 2)
	require.ErrorIs(t, commit(oldest, "first"), kv.ErrConflict)
	require.ErrorIs(t, commit(second, "first"), kv.ErrConflict)
	require.NoError(t, commit(third, "first"))
	require.NoError(t, commit(begin(), "last"))
	require.Empty(t, ctl.memory.marks)
}

// TestLargeMemoryIsGivenBack: what many keys needed is not kept, also if few
// of them are left when the last transaction that needs them ends.
func TestLargeMemoryIsGivenBack(t *testing.T) {
	ctl := New(Options{})
	begin := func() *Ticket {
		x := ctl.Begin()
		x.Pin(ctl.Published())
		return x
	}
	commit := func(x *Ticket, keys int) {
		c := &kv.Commit{}
		for i := range keys {
			c.Writes = append(c.Writes, kv.Write{Key: binary.BigEndian.AppendUint32(nil, uint32(i))})
		}
		_, err := ctl.Commit(x, c, func(kv.Version) error { return nil })
		require.NoError(t, err)
	}
	oldest := begin()
	commit(begin(), 100_000)
	last := begin()
	oldest.Release()
	commit(begin(), 1)
	require.Len(t, ctl.memory.queue, 1, "the others are forgotten")
	last.Release()
	commit(begin(), 1)
	require.Empty(t, ctl.memory.marks)
	require.Less(t, cap(ctl.memory.queue), 10_000)
}
