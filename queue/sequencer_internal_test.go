package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/hooked"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// bench is what tests of the sequencer and of deliveries work with: a store, and
// the parts of a queue that they call themselves, on one goroutine.
type bench struct {
	testing.TB
	store *kv.Store
	h     *hooked.Driver
	q     *Queue
	n     int // topics so far
	topic string
}

const benchPartitions = 16

func newBench(t testing.TB, open OpenStore) *bench {
	b := &bench{TB: t, h: &hooked.Driver{}}
	b.store = open(t, &kv.Options{Wrap: b.h.Wrap})
	b.h.Reset(nil)
	b.q = b.queue()
	return b
}

// everywhere runs body with n = 0, 1, 2 and so on, for it to do something before
// the n-th driver call of a program, until n is not below the number of calls that
// body returns; then it has been done after all of them. Where each commit waits
// for a disk or a network it takes every third call only.
func (b *bench) everywhere(body func(n int) (calls int)) {
	b.Helper()
	stride := 1
	if !b.store.Info().NoSync {
		stride = 3
	}
	n := 0
	for ; ; n += stride {
		if calls := body(n); n >= calls {
			break
		}
	}
	require.Greater(b, n, 2, "the program makes too few calls for this to prove something")
}

func (b *bench) queue() *Queue {
	q, err := Open(b.store, &Options{Partitions: benchPartitions})
	require.NoError(b, err)
	return q
}

// fresh goes on with a topic that nobody has used, which is created.
func (b *bench) fresh() {
	b.n++
	b.topic = fmt.Sprint("topic", b.n)
	b.h.Reset(nil)
	_, err := eventlog.EnsureTopic(b.Context(), b.q.store, b.q.keys, b.topic, benchPartitions)
	require.NoError(b, err)
}

func (b *bench) sequencer() *eventlog.Sequencer {
	return eventlog.NewSequencer(b.q.store, b.q.keys, b.topic, benchPartitions)
}

// begin begins a transaction that publishes payload under key, if it commits.
func (b *bench) begin(key, payload string) *kv.Txn {
	b.Helper()
	tx, err := b.store.Begin(b.Context(), nil)
	require.NoError(b, err)
	b.Cleanup(tx.Rollback)
	b.publishIn(tx, key, payload)
	return tx
}

func (b *bench) publishIn(tx *kv.Txn, key, payload string) {
	b.Helper()
	require.NoError(b, b.q.Publish(b.Context(), tx, Message{Topic: b.topic, Key: key, Payload: []byte(payload)}))
}

// publish publishes payloads under one key, each in a transaction of its own.
func (b *bench) publish(key string, payloads ...string) {
	b.Helper()
	for _, p := range payloads {
		b.commit(b.begin(key, p))
	}
}

func (b *bench) commit(tx *kv.Txn) {
	b.Helper()
	require.NoError(b, tx.Commit(b.Context()))
}

func (b *bench) move(s *eventlog.Sequencer, which uint32) eventlog.Moved {
	b.Helper()
	m, err := s.Move(b.Context(), which, false)
	require.NoError(b, err)
	return m
}

// log returns the payloads of a key's events, and checks that the topic's
// positions are dense.
func (b *bench) log(key string) []string {
	b.Helper()
	all, _, err := b.q.Partitions(b.Context(), b.topic, "none")
	require.NoError(b, err)
	var log []string
	for _, p := range all {
		for _, ev := range p.Events {
			if ev.Key == key {
				log = append(log, string(ev.Payload))
			}
		}
	}
	return log
}

// finish moves what is left, with a sequencer that knows only what is stored, and
// checks that nothing is in the inbox then.
func (b *bench) finish() {
	b.Helper()
	b.move(b.sequencer(), eventlog.AllShards)
	_, inbox, err := b.q.Partitions(b.Context(), b.topic, "none")
	require.NoError(b, err)
	require.Zero(b, inbox, "rows left in the inbox, below the hint")
}

// A transaction that is slow to commit, so that rows with higher versions have
// been moved, is found whenever it does: before each driver call of a pass, and
// after it. Its version is below those, so a hint after the last row moved would
// pass it, and so would a watermark that is read when the snapshot is there.
func TestInvariant2SlowPublisher(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			s := b.sequencer()
			b.publish("k", "first")
			b.move(s, eventlog.AllShards)
			slow := b.begin("k", "slow")
			b.publish("k", "fast1", "fast2")
			b.h.Reset(map[int]func(){n: func() { b.commit(slow) }})
			b.move(s, eventlog.AllShards)
			calls := b.h.Calls
			b.h.Reset(nil)
			if n >= calls {
				b.commit(slow)
			}
			b.publish("k", "later")
			b.move(s, eventlog.AllShards)
			require.ElementsMatch(t, []string{"first", "slow", "fast1", "fast2", "later"}, b.log("k"))
			b.finish()
			return calls
		})
	})
}

// The same with a pass that moves nothing itself, and so keeps its hint to
// itself; the row may be of the very version that the watermark stood at.
func TestInvariant2SlowPublisherEmptyInbox(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			s := b.sequencer()
			b.publish("k", "first")
			b.move(s, eventlog.AllShards)
			slow := b.begin("k", "slow")
			require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set([]byte("other"), []byte("x")) }))
			b.h.Reset(map[int]func(){n: func() { b.commit(slow) }})
			b.move(s, eventlog.AllShards)
			calls := b.h.Calls
			b.h.Reset(nil)
			if n >= calls {
				b.commit(slow)
			}
			b.move(s, eventlog.AllShards)
			require.Equal(t, []string{"first", "slow"}, b.log("k"))
			b.finish()
			return calls
		})
	})
}

// T2 conflicts with T1 and follows it. Whichever calls of a pass the two commit
// between, T1's event has the lower position.
func TestInvariant3ConflictOrder(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		shared := []byte("row")
		b.everywhere(func(n int) int {
			last := 0
			b.everywhere(func(m int) int {
				b.fresh()
				s := b.sequencer()
				b.publish("k", "first")
				b.publish("other", "first")
				t1 := b.begin("k", "t1")
				require.NoError(t, t1.Set(shared, []byte("t1")))
				second := func() {
					t2 := b.begin("k", "t2") // sees what t1 wrote
					require.NoError(t, t2.Set(shared, []byte("t2")))
					b.commit(t2)
				}
				commits := 0
				both := func() {
					commits++
					b.commit(t1)
					second()
				}
				at := map[int]func(){n: func() { commits++; b.commit(t1) }, n + m: func() { commits++; second() }}
				if m == 0 {
					at = map[int]func(){n: both}
				}
				b.h.Reset(at)
				b.move(s, eventlog.AllShards)
				calls := b.h.Calls
				b.h.Reset(nil)
				b.h.Reset(nil)
				switch {
				case n >= calls:
					both()
				case n+m >= calls && m > 0:
					second()
				}
				b.move(s, eventlog.AllShards)
				require.Equal(t, []string{"first", "t1", "t2"}, b.log("k"), "t1 before call %d, t2 before call %d", n, n+m)
				last = calls
				return max(calls-n, 3)
			})
			return last
		})
	})
}

// Two sequencers on one shard, the second's whole pass at each call of the
// first's: every event gets one position, and none is lost, also when the rows
// that the two know differ, and whoever goes on.
func TestInvariant2TwoSequencers(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			one, two := b.sequencer(), b.sequencer()
			b.publish("k", "1", "2")
			b.move(two, eventlog.AllShards)
			b.publish("k", "3", "4")
			slow := b.begin("k", "slow")
			b.h.Reset(map[int]func(){n: func() {
				b.publish("k", "5")
				b.move(two, eventlog.AllShards)
			}})
			b.move(one, eventlog.AllShards)
			calls := b.h.Calls
			b.h.Reset(nil)
			b.commit(slow)
			b.publish("k", "6")
			b.move(one, eventlog.AllShards)
			b.publish("k", "7")
			b.move(two, eventlog.AllShards)
			log := b.log("k")
			require.Len(t, log, 8-boolToInt(n >= calls))
			for _, want := range []string{"1", "2", "3", "4", "slow", "6", "7"} {
				require.Contains(t, log, want)
			}
			b.finish()
			return calls
		})
	})
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A pass that stops at its limit of rows leaves the rest to the next, with the
// hint no further than what it moved.
func TestSequencerBatchLimit(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		s := b.sequencer()
		const total = eventlog.MaxMoveRows/eventlog.Shards*2 + 10
		var want []string
		tx := b.begin("k", "0") // one transaction: all rows have one version
		want = append(want, "0")
		slow := b.begin("k", "slow")
		for i := 1; i < total; i++ {
			want = append(want, fmt.Sprint(i))
			b.publishIn(tx, "k", fmt.Sprint(i))
		}
		b.commit(tx)
		shard := uint32(1) << eventlog.ShardOf(keyhash.Of("k"))
		m := b.move(s, eventlog.AllShards)
		require.Equal(t, eventlog.MaxMoveRows/eventlog.Shards, m.Rows)
		require.Equal(t, shard, m.Shards, "the shard has more")
		require.Equal(t, want[:m.Rows], b.log("k"))
		m = b.move(b.sequencer(), eventlog.AllShards) // one that knows what is stored
		require.Equal(t, eventlog.MaxMoveRows/eventlog.Shards, m.Rows)
		b.commit(slow)
		m = b.move(s, shard)
		require.Equal(t, 11, m.Rows)
		require.Zero(t, m.Shards)
		log := b.log("k")
		require.Contains(t, log, "slow")
		require.Equal(t, want, slices.DeleteFunc(log, func(p string) bool { return p == "slow" }))
		b.finish()
	})
}

// Bytes bound a pass too. All eventlog.Shards together stay within one transaction,
// however large the rows are, and all of them get ahead.
func TestSequencerLargeRows(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		large := bytes.Repeat([]byte("x"), MaxPayloadSize)
		keys := map[int]string{} // one for each shard
		for i := 0; len(keys) < eventlog.Shards; i++ {
			keys[eventlog.ShardOf(keyhash.Of(fmt.Sprint(i)))] = fmt.Sprint(i)
		}
		for range 2 {
			for _, k := range keys {
				b.publish(k, string(large))
			}
		}
		s := b.sequencer()
		left := uint32(eventlog.AllShards)
		for pass := 0; left != 0; pass++ {
			require.Less(t, pass, 2*eventlog.Shards, "shards are left behind")
			m := b.move(s, eventlog.AllShards)
			require.Positive(t, m.Rows)
			left = m.Shards
			if pass == eventlog.Shards/2 {
				for _, k := range keys { // a flood in the first eventlog.Shards starves none
					require.NotEmpty(t, b.log(k))
				}
			}
		}
		for _, k := range keys {
			require.Len(t, b.log(k), 2)
		}
		b.finish()
	})
}

// Heads have room in a pass too, however many partitions there are.
func TestSequencerLargeHeads(t *testing.T) {
	b := &bench{TB: t, h: &hooked.Driver{}, topic: "topic"}
	b.store = MemoryStore(t, &kv.Options{MaxTxnSize: 64 << 10})
	b.q = b.queue()
	s := eventlog.NewSequencer(b.q.store, b.q.keys, b.topic, eventlog.MaxPartitions)
	require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.Set(b.q.keys.Topic(b.topic), eventlog.AppendTopic(nil, eventlog.MaxPartitions, time.Now()))
	}))
	for shard := range eventlog.Shards { // each partition has so many events already
		h := eventlog.Head{Last: slices.Repeat([]uint64{1 << 20}, eventlog.MaxPartitions/eventlog.Shards)}
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			return tx.Set(b.q.keys.Head(b.topic, shard), h.Append(nil))
		}))
	}
	const total = 1000
	for range total / 50 {
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			for range 50 {
				b.publishIn(tx, "", "some payload")
			}
			return nil
		}))
	}
	rows := 0
	for pass := 0; rows < total; pass++ {
		require.Less(t, pass, total/10)
		rows += b.move(s, eventlog.AllShards).Rows
	}
}

// Rows below the hint cannot be, but if they are a pass from the start finds
// them, and its hint goes back as long as there are more of them.
func TestSequencerRowsBelowHint(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		s := b.sequencer()
		b.publish("k", "0")
		b.publish("k", "1")
		b.move(s, eventlog.AllShards)
		const below = eventlog.MaxMoveRows/eventlog.Shards + 5
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			m := Message{Topic: b.topic, Key: "k", Payload: []byte("below")}
			hash := keyhash.Of("k")
			for i := range below {
				key := eventlog.InboxPos{Version: 1, Count: uint64(i)}.Append(append(b.q.keys.Inbox(b.topic), byte(eventlog.ShardOf(hash))))
				if err := tx.Set(key, m.row().AppendRow(nil, hash)); err != nil {
					return err
				}
			}
			return nil
		}))
		require.Zero(t, b.move(s, eventlog.AllShards).Rows, "a pass reads rows below its hint again")
		m, err := s.Move(t.Context(), eventlog.AllShards, true)
		require.NoError(t, err)
		require.Equal(t, eventlog.MaxMoveRows/eventlog.Shards, m.Below)
		require.NotZero(t, m.Shards)
		require.Equal(t, 5, b.move(s, m.Shards).Rows)
		require.Len(t, b.log("k"), below+2)
		b.finish()
	})
}

// What was moved is not read again: each pass seeks to where the last one ended.
// So a pass costs the same however much was moved before it.
func TestInvariant9HintAdvances(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		store, seen := seekStore(t, open)
		b := &bench{TB: t, store: store, h: &hooked.Driver{}}
		b.q = b.queue()
		b.fresh()
		s := b.sequencer()
		shard := eventlog.ShardOf(keyhash.Of("k"))
		var before []byte
		for i := range 20 {
			b.publish("k", fmt.Sprint(i))
			seen.seeks, seen.moves = nil, 0
			b.move(s, 1<<shard)
			require.Len(t, seen.seeks, 1)
			require.LessOrEqual(t, seen.moves, 2+i, "rows that were moved are read again")
			require.Positive(t, bytes.Compare(seen.seeks[0], before)+boolToInt(i < 2), "the hint stands still")
			before = seen.seeks[0]
		}
	})
}

// seekStore opens a store that notes where cursors go.
func seekStore(t testing.TB, open OpenStore) (*kv.Store, *seekLog) {
	l := &seekLog{}
	return open(t, &kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		l.Driver = d
		return l
	}}), l
}

type seekLog struct {
	kv.Driver
	seeks [][]byte
	moves int
}

func (l *seekLog) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := l.Driver.Begin(ctx, o)
	return seekTxn{t, l}, err
}

type seekTxn struct {
	kv.DriverTxn
	l *seekLog
}

func (t seekTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	return seekCursor{c, t.l}, err
}

type seekCursor struct {
	kv.DriverCursor
	l *seekLog
}

func (c seekCursor) Next(ctx context.Context) bool {
	c.l.moves++
	return c.DriverCursor.Next(ctx)
}

func (c seekCursor) Seek(ctx context.Context, key []byte) bool {
	c.l.seeks = append(c.l.seeks, bytes.Clone(key))
	return c.DriverCursor.Seek(ctx, key)
}

// A pass whose commit ended unknown lands late: before the next pass, at each of
// its calls, or after it. Events get one position all the same.
func TestInvariant2LateCommit(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			s := b.sequencer()
			b.publish("k", "1", "2")
			b.h.Postpone = true
			_, err := s.Move(t.Context(), eventlog.AllShards, false)
			require.ErrorIs(t, err, kv.ErrCommitUnknown)
			b.publish("k", "3")
			var landed error
			b.h.Reset(map[int]func(){n: func() { landed = b.h.Land(t.Context()) }})
			b.move(s, eventlog.AllShards)
			calls := b.h.Calls
			b.h.Reset(nil)
			if n >= calls {
				landed = b.h.Land(t.Context())
				require.ErrorIs(t, landed, kv.ErrConflict)
			}
			require.True(t, landed == nil || errors.Is(landed, kv.ErrConflict))
			b.h.Reset(nil)
			b.move(s, eventlog.AllShards)
			require.Equal(t, []string{"1", "2", "3"}, b.log("k"))
			b.finish()
			return calls
		})
	})
}
