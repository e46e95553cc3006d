package queue_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// The invariants of docs/design.md are proved by the tests whose names begin with
// TestInvariant, by TestSweep and TestSweepDrivers, which break each driver call of
// a topic's life, and by TestModel and TestModelDrivers, which run random ones.

// drained runs a worker until idle says that it has done everything.
func drained(t testing.TB, e *engine, q *queue.Queue, s queue.Subscription, idle func() bool) {
	t.Helper()
	w, err := q.Subscribe(s)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	for !idle() {
		select {
		case <-e.committed:
		case err := <-ran:
			require.NoError(t, err)
			return
		}
	}
	cancel()
	require.NoError(t, <-ran)
}

// lag returns how much a group has to do.
func lag(t testing.TB, e *engine, topic, group string) uint64 {
	q, err := queue.Open(e.store, nil)
	require.NoError(t, err)
	var stats queue.Stats
	require.NoError(t, e.store.View(t.Context(), func(tx *kv.Txn) (err error) {
		stats, err = q.Stats(t.Context(), tx, topic, group)
		return err
	}))
	return stats.Lag()
}

func quick() *queue.Options {
	return &queue.Options{Partitions: 16, MinPoll: time.Millisecond, MaxPoll: 4 * time.Millisecond, MemberTTL: 200 * time.Millisecond}
}

// An event exists if and only if its transaction committed: not if that was
// rolled back, to a savepoint or whole, conflicted, or failed; and if its commit
// ended unknown, if it happened.
func TestInvariant1ExistsIfCommitted(t *testing.T) {
	queue.Stores(t, func(t *testing.T, open queue.OpenStore) {
		ctx := t.Context()
		e := newEngine(t, open)
		var faults kvfault.Faulty
		p := e.process(t, &faults)
		q, err := queue.Open(p.store, quick())
		require.NoError(t, err)
		row := []byte("row")
		var want []string
		try := func(name string, exists bool, wantErr error, do func(tx *kv.Txn) error) {
			err := p.store.Run(ctx, &kv.TxnOptions{MaxAttempts: 1}, func(tx *kv.Txn) error {
				if err := q.Publish(ctx, tx, queue.Message{Topic: "topic", Key: "k", Payload: []byte(name)}); err != nil {
					return err
				}
				return do(tx)
			})
			require.ErrorIs(t, err, wantErr, name)
			if exists {
				want = append(want, name)
			}
		}
		nothing := func(*kv.Txn) error { return nil }
		try("committed", true, nil, nothing)
		try("rolled back", false, errHandler, func(*kv.Txn) error { return errHandler })
		try("savepoint", true, nil, func(tx *kv.Txn) error {
			sp, err := tx.Savepoint()
			require.NoError(t, err)
			require.NoError(t, q.Publish(ctx, tx, queue.Message{Topic: "topic", Key: "k", Payload: []byte("undone")}))
			return tx.RollbackTo(sp)
		})
		try("conflict", false, kv.ErrConflict, func(tx *kv.Txn) error {
			require.NoError(t, e.store.Update(ctx, func(tx *kv.Txn) error { return tx.Set(row, row) }))
			return tx.Set(row, row)
		})
		faults.Inject(kvfault.Rule{Call: kv.CallCommit, Err: kv.ErrUnavailable})
		try("unavailable", false, kv.ErrUnavailable, nothing)
		faults.Inject(kvfault.Rule{Call: kv.CallCommit, Err: errFault})
		try("unknown, not done", false, kv.ErrCommitUnknown, nothing)
		faults.Inject(kvfault.Rule{Call: kv.CallCommit, After: true, Err: errFault})
		try("unknown, done", true, kv.ErrCommitUnknown, nothing)
		try("last", true, nil, nothing)
		var got []string
		drained(t, e, q, queue.Subscription{Topic: "topic", Group: "group", Handler: func(_ context.Context, ev *queue.Event) error {
			got = append(got, string(ev.Payload))
			return nil
		}}, func() bool { return lag(t, e, "topic", "group") == 0 })
		require.Equal(t, want, got)
		p.end(t)
	})
}

// Several publishers, whose transactions conflict, and three processes that
// sequence and work at the same time: every committed event has one position, in
// the order of commits, and is done once.
func TestInvariant23Concurrent(t *testing.T) {
	queue.Stores(t, func(t *testing.T, open queue.OpenStore) {
		for _, kind := range []string{"tx", "txbatch"} {
			t.Run(kind, func(t *testing.T) {
				e := newEngine(t, open)
				e.shared = true
				s := newScenario(t, e, kind, "")
				s.restart = 1 // partitions change hands
				const processes, rounds = 3, 12
				var procs []*process
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, processes)
				for range processes {
					p := e.process(t, &kvfault.Faulty{})
					procs = append(procs, p)
					q := s.queue(p.store)
					sub := s.subscription()
					sub.Concurrency = 2
					w, err := q.Subscribe(sub)
					require.NoError(t, err)
					go func() { ran <- w.Run(ctx) }()
				}
				var publishers sync.WaitGroup
				for i, p := range procs {
					publishers.Go(func() {
						q := s.queue(p.store)
						for n := range rounds {
							s.tolerate(s.publish(p.store, q, scenarioRounds[(i+n)%len(scenarioRounds)]))
						}
					})
				}
				publishers.Wait()
				for !s.idle() {
					<-e.committed
				}
				cancel()
				for range processes {
					require.NoError(t, <-ran)
				}
				for _, p := range procs {
					p.end(t)
				}
				s.broken = slices.DeleteFunc(s.broken, func(string) bool { return true }) // zombies may be at work too
				s.verify()
			})
		}
	})
}

// Delivery is at least once until an event is done: whatever a plain handler's
// process had done but not yet written comes again, from the floor, in order.
func TestInvariant5AtLeastOnce(t *testing.T) {
	queue.Stores(t, func(t *testing.T, open queue.OpenStore) {
		e := newEngine(t, open)
		const total = 20
		var seen [][]string // by process
		for life := 0; ; life++ {
			var faults kvfault.Faulty
			p := e.process(t, &faults)
			q, err := queue.Open(p.store, quick())
			require.NoError(t, err)
			if life == 0 {
				for i := range total {
					publish(t, p.store, q, queue.Message{Topic: "topic", Key: "k", Payload: []byte(fmt.Sprint(i))})
				}
			}
			seen = append(seen, nil)
			w, err := q.Subscribe(queue.Subscription{Topic: "topic", Group: "group", Handler: func(_ context.Context, ev *queue.Event) error {
				seen[life] = append(seen[life], string(ev.Payload))
				if len(seen[life]) == 5 && life < 3 { // it dies when the handler has returned
					faults.Inject(kvfault.Rule{Every: true, Err: kv.ErrClosed})
				}
				return nil
			}})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- w.Run(ctx) }()
			if life == 3 {
				for lag(t, e, "topic", "group") > 0 {
					<-e.committed
				}
				cancel()
				require.NoError(t, <-ran)
				p.end(t)
				break
			}
			require.ErrorIs(t, <-ran, kv.ErrClosed)
			cancel()
			p.end(t)
		}
		next := 0 // the event that is due if nothing comes again
		for _, life := range seen {
			first := -1
			for i, payload := range life {
				var n int
				_, err := fmt.Sscan(payload, &n)
				require.NoError(t, err)
				if i == 0 {
					first = n
					require.LessOrEqual(t, first, next, "an event was left out")
				}
				require.Equal(t, first+i, n, "in order")
			}
			next = max(next, first+len(life))
		}
		require.Equal(t, total, next)
	})
}

// An event never starts before the one that it follows is done, also when that
// fails, while others of other partitions go on; with all kinds of handlers at
// full concurrency.
func TestInvariant7Order(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		const keys, each1 = 10, 20
		var mu sync.Mutex
		running := map[int]bool{}
		done := map[int]uint64{} // partition: the last event that was
		failed := map[string]bool{}
		one := func(ev *queue.Event) error {
			mu.Lock()
			again := ev.Seq <= done[ev.Partition]
			wrong := running[ev.Partition] || ev.Seq > done[ev.Partition]+1
			running[ev.Partition] = true
			mu.Unlock()
			<-time.After(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			running[ev.Partition] = false
			if wrong {
				b.Errorf("event %d of partition %d started too early", ev.Seq, ev.Partition)
			}
			if again && (kind == "plain" || kind == "tx") {
				b.Errorf("event %d of partition %d came again", ev.Seq, ev.Partition)
			}
			name := fmt.Sprint(ev.Partition, "/", ev.Seq)
			if ev.Seq%5 == 3 && !failed[name] {
				failed[name] = true
				return errHandler
			}
			done[ev.Partition] = max(done[ev.Partition], ev.Seq)
			return nil
		}
		s := each(kind, func(_ context.Context, ev *queue.Event) error { return one(ev) })
		s.BatchSize = 7
		stop := b.run(s)
		for range each1 {
			for k := range keys {
				b.publish(fmt.Sprint(k), "x")
			}
		}
		b.pass(2 * time.Minute)
		require.NoError(b, stop())
		total := uint64(0)
		for _, n := range done {
			total += n
		}
		require.EqualValues(b, keys*each1, total)
		require.Equal(b, queue.Stats{Events: total, Done: total}, b.stats())
	})
}

// What an idle topic costs does not grow with its partitions, nor with what went
// through it.
func TestInvariant9Idle(t *testing.T) {
	costs := map[string]kvfault.Counts{}
	for _, partitions := range []int{16, 1024, 16384} {
		for _, events := range []int{0, 200} {
			inBubble(t, &queue.Options{Partitions: partitions}, func(b *bubble) {
				stop := b.run(queue.Subscription{TxHandler: func(context.Context, *kv.Txn, *queue.Event) error { return nil }})
				for i := range events {
					b.publish(fmt.Sprint(i), "x")
				}
				b.pass(5 * time.Minute) // beyond the first check of the hints
				cost := b.calls.Measure(func() { b.pass(time.Minute) })
				require.NoError(b, stop())
				costs[fmt.Sprint(partitions, " partitions after ", events, " events")] = cost
			})
		}
	}
	for name, cost := range costs {
		require.Zero(t, cost.Commits, "%s: an idle topic writes", name)
		require.Zero(t, cost.Entries, "%s: an idle topic reads rows again", name)
		require.LessOrEqual(t, cost.BatchGets, 3*80, name)
		require.LessOrEqual(t, cost.BatchKeys, 16*cost.BatchGets, name)
		require.LessOrEqual(t, cost.Seeks, 16*80, name)
	}
}

// Draining a backlog takes as many driver calls for its last tenth as for its
// first, and at most 3 reads and a commit for a batch of 100 in one partition.
func TestInvariant9Drain(t *testing.T) {
	const batch, batches = 100, 50
	inBubble(t, nil, func(b *bubble) {
		for range batches {
			m := make([]queue.Message, batch)
			for i := range m {
				m[i] = queue.Message{Topic: "topic", Key: "k", Payload: []byte("x")}
			}
			publish(b, b.store, b.q, m...)
		}
		// A worker that does nothing moves everything to the log.
		stop := b.run(queue.Subscription{Group: "other", Partitions: &queue.Range{From: 0, To: 1}, Handler: func(context.Context, *queue.Event) error { return nil }})
		b.pass(time.Second)
		require.NoError(b, stop())
		require.EqualValues(b, batch*batches, b.stats().Events)
		var at []kvfault.Counts // when a batch's handler began
		total := b.calls.Measure(func() {
			stop := b.run(queue.Subscription{Concurrency: 1, MaxInFlight: batch, TxBatchHandler: func(_ context.Context, _ *kv.Txn, evs []*queue.Event) error {
				require.Len(b, evs, batch)
				at = append(at, b.calls.Counts())
				return nil
			}})
			b.pass(time.Millisecond)
			require.NoError(b, stop())
		})
		require.Len(b, at, batches)
		looked := 0
		for i := 2; i < batches; i++ {
			cost := at[i].Sub(at[i-1])
			if cost.Cursors > 0 {
				looked++ // the topic's goroutine has polled meanwhile, as it does once a second
				continue
			}
			require.LessOrEqual(b, cost.Reads(), 3, "batch %d: %v", i, cost)
			require.Equal(b, 1, cost.Commits, "batch %d: %v", i, cost)
		}
		require.LessOrEqual(b, looked, 1)
		require.Less(b, total.Commits, batches+10)
	})
}

// Publishing costs nothing beyond the caller's commit.
func TestPublishCalls(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		b.calls.Expect(b, kvfault.Counts{Begins: 1, Commits: 1, Writes: 3}, func() {
			m := queue.Message{Topic: "topic", Key: "k", Payload: []byte("x")}
			publish(b, b.store, b.q, m, m, m)
		})
	})
}

// Under a steady load that never lets the inbox run empty, with a transaction open
// all the while that keeps the watermark down, a pass reads what is new, not what
// was moved before.
func TestInvariant9SteadyLoad(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		handled := 0
		stop := b.run(queue.Subscription{Concurrency: 1, TxBatchHandler: func(ctx context.Context, tx *kv.Txn, evs []*queue.Event) error {
			handled += len(evs)
			return nil
		}})
		synctest.Wait()
		old, err := b.store.Begin(b.Context(), nil)
		require.NoError(b, err)
		var costs []kvfault.Counts
		const rounds = 100
		for range rounds {
			costs = append(costs, b.calls.Measure(func() {
				b.publish("k", "x", "x")
				synctest.Wait()
			}))
		}
		old.Rollback()
		require.NoError(b, stop())
		require.Equal(b, 2*rounds, handled)
		first, last := 0, 0
		for i := range 10 {
			first += costs[i].RoundTrips() + costs[i].Entries
			last += costs[rounds-1-i].RoundTrips() + costs[rounds-1-i].Entries
		}
		require.LessOrEqual(b, last, first*5/4)
	})
}

// A plain handler does not start before what it acts on survives a crash, in the
// order: commit of the sequencer, durable, handler.
func TestPlainHandlerWaitsForDurability(t *testing.T) {
	for _, kind := range handlerKinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, queue.MemoryStore)
				var faults kvfault.Faulty
				p := e.process(t, &faults)
				q, err := queue.Open(p.store, nil)
				require.NoError(t, err)
				b := &bubble{TB: t, store: p.store, q: q}
				b.publish("k", "x")
				hold := faults.Inject(kvfault.Rule{Call: kv.CallWaitDurable, Every: true, Hold: true})
				stop := b.run(each(kind, func(_ context.Context, ev *queue.Event) error {
					b.note(ev)
					return nil
				}))
				b.pass(time.Minute)
				waits := kind == "plain" || kind == "batch"
				require.Equal(t, waits, b.handled() == "")
				hold.Lift()
				b.pass(time.Second)
				require.Equal(t, "x/1", b.handled())
				require.NoError(t, stop())
				p.end(t)
			})
		})
	}
}

// A group that starts with the newest gets what is published from then on, and
// one that starts with the oldest everything, also when they go on later.
func TestGroupStart(t *testing.T) {
	queue.Stores(t, func(t *testing.T, open queue.OpenStore) {
		e := newEngine(t, open)
		p := e.process(t, &kvfault.Faulty{})
		q, err := queue.Open(p.store, quick())
		require.NoError(t, err)
		got := map[string][]uint64{}
		run := func(group string, from queue.Start) {
			drained(t, e, q, queue.Subscription{Topic: "topic", Group: group, Start: from, Concurrency: 1,
				Handler: func(_ context.Context, ev *queue.Event) error {
					got[group] = append(got[group], binary.BigEndian.Uint64(ev.Payload))
					return nil
				}}, func() bool { return groupIdle(t, e, group) })
		}
		number := uint64(0)
		more := func() {
			for range 5 {
				number++
				publish(t, p.store, q, queue.Message{Topic: "topic", Key: "k", Payload: binary.BigEndian.AppendUint64(nil, number)})
			}
		}
		more()
		run("oldest", queue.FromOldest)
		run("newest", queue.FromNewest)
		more()
		run("newest", queue.FromOldest) // it exists
		run("oldest", queue.FromNewest)
		require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got["oldest"])
		require.Equal(t, []uint64{6, 7, 8, 9, 10}, got["newest"])
		p.end(t)
	})
}

// groupIdle tells whether a group exists and has nothing to do.
func groupIdle(t testing.TB, e *engine, group string) bool {
	q, err := queue.Open(e.store, nil)
	require.NoError(t, err)
	exists, err := q.GroupExists(t.Context(), "topic", group)
	require.NoError(t, err)
	return exists && lag(t, e, "topic", group) == 0
}
