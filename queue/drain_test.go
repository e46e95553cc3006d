package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// owned returns how many partitions have an owner, and the events that are done.
func (b *bubble) owned() (owned int, done uint64) {
	b.Helper()
	all, _, err := b.q.Partitions(b.Context(), "topic", "group")
	require.NoError(b, err)
	for _, p := range all {
		done += p.Floor
		if p.Owned {
			owned++
		}
	}
	return owned, done
}

// Run's end lets handlers finish, starts none, keeps what is done, gives back
// the partitions and returns nil.
func TestDrainFinishes(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		s := each(kind, func(ctx context.Context, ev *queue.Event) error {
			b.note(ev)
			<-time.After(5 * time.Second)
			return ctx.Err()
		})
		s.BatchSize, s.Concurrency = 1, 2
		b.publish("k", "1", "2")
		b.publish("l", "3", "4")
		stop := b.run(s)
		b.pass(6 * time.Second) // in the middle of the second ones
		owned, done := b.owned()
		require.Equal(b, 2, owned)
		require.LessOrEqual(b, done, uint64(2))
		require.NoError(b, stop())
		require.Len(b, b.saw, 4)
		owned, done = b.owned()
		require.Zero(b, owned)
		require.EqualValues(b, 4, done)
		require.Empty(b, b.letters())
	})
}

// Handlers that go on beyond DrainTimeout have their context ended, with
// ErrDraining as its cause, and what they return then counts as no attempt. Run
// waits for them.
func TestDrainTimeout(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		first := true
		s := each(kind, func(ctx context.Context, ev *queue.Event) error {
			b.note(ev)
			if !first {
				return nil
			}
			first = false
			<-ctx.Done()
			require.Equal(b, queue.ErrDraining, context.Cause(ctx))
			<-time.After(time.Second)
			return ctx.Err()
		})
		s.DrainTimeout, s.BatchSize = 3*time.Second, 1
		b.publish("k", "1", "2")
		stop := b.run(s)
		b.pass(time.Second)
		began := time.Now()
		require.NoError(b, stop())
		require.Equal(b, 4*time.Second, time.Since(began))
		owned, done := b.owned()
		require.Zero(b, owned)
		require.Zero(b, done)
		stop = b.run(s)
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.Equal(b, "1/1 1/1 2/1", b.handled())
	})
}

// A store that does not answer keeps Run no longer than it says. What could not
// be kept is an error.
func TestDrainStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, queue.MemoryStore)
		e.shared = true
		var faults kvfault.Faulty
		p := e.process(t, &faults)
		q, err := queue.Open(p.store, nil)
		require.NoError(t, err)
		b := &bubble{TB: t, store: p.store, q: q}
		b.publish("k", "1")
		var hang *kvfault.Fault
		stop := b.run(queue.Subscription{DrainTimeout: 5 * time.Second, Handler: func(context.Context, *queue.Event) error {
			hang = faults.Inject(kvfault.Rule{Every: true, Hold: true, Err: kv.ErrUnavailable})
			return nil
		}})
		b.pass(time.Second)
		began := time.Now()
		err = stop()
		require.ErrorIs(t, err, queue.ErrDraining)
		require.Less(t, time.Since(began), 30*time.Second)
		hang.Lift()
		p.end(t)
	})
}

// A Worker runs once, and two of one Queue do not share partitions.
func TestWorkerRunning(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		nothing := func(context.Context, *queue.Event) error { return nil }
		w, err := b.q.Subscribe(queue.Subscription{Topic: "topic", Group: "group", Handler: nothing})
		require.NoError(b, err)
		ctx, cancel := context.WithCancel(b.Context())
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		synctest.Wait()
		require.ErrorIs(b, w.Run(b.Context()), queue.ErrRunning)
		again := func(s queue.Subscription) error {
			s.Topic, s.Handler = "topic", nothing
			w, err := b.q.Subscribe(s)
			require.NoError(b, err)
			ended, end := context.WithCancel(b.Context())
			end()
			return w.Run(ended)
		}
		require.ErrorIs(b, again(queue.Subscription{Group: "group"}), queue.ErrRunning)
		require.ErrorIs(b, again(queue.Subscription{Group: "group", Partitions: &queue.Range{From: 3, To: 4}}), queue.ErrRunning)
		require.NoError(b, again(queue.Subscription{Group: "other"}))
		cancel()
		require.NoError(b, <-ran)
		require.ErrorIs(b, w.Run(b.Context()), queue.ErrRunning)
		require.NoError(b, again(queue.Subscription{Group: "group"}), "a new one can run")

		stop := b.run(queue.Subscription{Handler: nothing, Partitions: &queue.Range{From: 0, To: 512}})
		synctest.Wait()
		require.ErrorIs(b, again(queue.Subscription{Group: "group", Partitions: &queue.Range{From: 511, To: 600}}), queue.ErrRunning)
		require.NoError(b, again(queue.Subscription{Group: "group", Partitions: &queue.Range{From: 512, To: 600}}))
		require.NoError(b, again(queue.Subscription{Group: "third", Partitions: &queue.Range{From: 0, To: 2000}}), "told to end before it looked")
		require.NoError(b, stop())
		w, err = b.q.Subscribe(queue.Subscription{Topic: "topic", Group: "third", Handler: nothing, Partitions: &queue.Range{From: 0, To: 2000}})
		require.NoError(b, err)
		require.ErrorIs(b, w.Run(b.Context()), queue.ErrOptions)
	})
}

// Fixed ranges split a topic: each worker handles its own partitions' events.
func TestWorkerRanges(t *testing.T) {
	inBubble(t, &queue.Options{Partitions: 32}, func(b *bubble) {
		handled := [2]map[string]int{{}, {}}
		var stops []func() error
		for i := range 2 {
			stops = append(stops, b.run(queue.Subscription{Concurrency: 1, Partitions: &queue.Range{From: i * 16, To: i*16 + 16},
				Handler: func(_ context.Context, ev *queue.Event) error {
					handled[i][ev.Key]++
					require.Equal(b, i, ev.Partition/16)
					return nil
				}}))
		}
		for i := range 100 {
			b.publish(fmt.Sprint(i), "x")
		}
		b.pass(time.Second)
		for _, stop := range stops {
			require.NoError(b, stop())
		}
		require.Len(b, handled[0], 100-len(handled[1]))
		require.NotEmpty(b, handled[0])
		require.NotEmpty(b, handled[1])
		require.Zero(b, b.stats().Lag())
	})
}

// A worker works while Leader says so, and gives its partitions back when not.
func TestWorkerLeader(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		var leading atomic.Bool
		s := each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			if string(ev.Payload) == "slow" {
				<-time.After(5 * time.Second)
			}
			return nil
		})
		s.Leader = leading.Load
		stop := b.run(s)
		b.publish("k", "1")
		b.pass(time.Minute)
		require.Empty(b, b.handled())
		leading.Store(true)
		b.pass(time.Second)
		require.Equal(b, "1/1", b.handled())
		b.publish("k", "slow", "2")
		b.pass(time.Second)
		leading.Store(false)
		b.pass(time.Second)
		require.Equal(b, "1/1 slow/1", b.handled(), "what has started goes on")
		b.pass(time.Minute)
		if kind == "plain" || kind == "tx" {
			require.Equal(b, "1/1 slow/1", b.handled())
		}
		owned, done := b.owned()
		require.Zero(b, owned)
		require.GreaterOrEqual(b, done, uint64(2))
		leading.Store(true)
		b.pass(time.Second)
		require.Equal(b, "1/1 slow/1 2/1", b.handled())
		require.NoError(b, stop())
	})
}

// Two that lead at the same time do no harm.
func TestWorkerTwoLeaders(t *testing.T) {
	for _, kind := range []string{"tx", "txbatch"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, queue.MemoryStore)
				s := newScenario(t, e, kind, "")
				e.shared = true
				var stops []func() error
				var procs []*process
				for range 3 {
					p := e.process(t, &kvfault.Faulty{})
					procs = append(procs, p)
					b := &bubble{TB: t, store: p.store, q: s.queue(p.store)}
					sub := s.subscription()
					sub.Leader = func() bool { return true }
					stops = append(stops, b.run(sub))
				}
				for _, keys := range scenarioRounds {
					require.NoError(t, s.publish(procs[0].store, s.queue(procs[0].store), keys))
				}
				for !s.idle() {
					<-e.committed
				}
				for _, stop := range stops {
					require.NoError(t, stop())
				}
				for _, p := range procs {
					p.end(t)
				}
				s.current = nil
				s.broken = nil // two of them may be at the same event
				s.restart = 1
				s.verify()
			})
		})
	}
}

// MaxInFlight bounds the events that a worker has taken from the store.
func TestWorkerMaxInFlight(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		release := make(chan struct{})
		s := each(kind, func(context.Context, *queue.Event) error {
			<-release
			return nil
		})
		s.MaxInFlight, s.Concurrency, s.Timeout = 10, 3, 10*time.Second
		for i := range 100 {
			b.publish(fmt.Sprint(i), "x")
		}
		read := 0
		counted := b.calls.Measure(func() {
			stop := b.run(s)
			b.pass(time.Second)
			read, _ = b.owned()
			close(release)
			b.pass(time.Second)
			require.NoError(b, stop())
		})
		require.LessOrEqual(b, read, 10, "partitions taken while nothing was done")
		require.Positive(b, counted.BatchGets)
		require.Zero(b, b.stats().Lag())
	})
}

// A handler publishes to its own topic in its transaction, for as long as it
// likes.
func TestWorkerLoop(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		s := queue.Subscription{TxHandler: func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error {
			b.note(ev)
			if len(b.saw) < 50 {
				return b.q.Publish(ctx, tx, queue.Message{Topic: "topic", Key: ev.Key + "x", Payload: []byte("e")})
			}
			return nil
		}}
		b.publish("", "e")
		stop := b.run(s)
		b.pass(time.Second)
		require.NoError(b, stop())
		require.Len(b, b.saw, 50)
		require.Zero(b, b.stats().Lag())
	})
}

// Two Queues on one embedded store: what one sequences the other one's groups
// get too.
func TestTwoQueuesOneStore(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		other, err := queue.Open(b.store, nil)
		require.NoError(b, err)
		counts := map[string]int{}
		group := func(name string) queue.Subscription {
			return queue.Subscription{Group: name, Concurrency: 1, Handler: func(context.Context, *queue.Event) error {
				b.mu.Lock()
				defer b.mu.Unlock()
				counts[name]++
				return nil
			}}
		}
		stops := []func() error{b.runOn(b.q, group("one")), b.runOn(other, group("two"))}
		synctest.Wait()
		for i := range 20 {
			b.publish("k", fmt.Sprint(i))
			require.NoError(b, b.store.Update(b.Context(), func(tx *kv.Txn) error {
				return other.Publish(b.Context(), tx, queue.Message{Topic: "topic", Key: "l"})
			}))
		}
		b.pass(5 * time.Second)
		for _, stop := range stops {
			require.NoError(b, stop())
		}
		require.Equal(b, map[string]int{"one": 40, "two": 40}, counts)
	})
}

// The store is closed beneath a worker: Run ends, and says so.
func TestWorkerStoreClosed(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		e := newEngine(b, queue.MemoryStore)
		p := e.process(b, &kvfault.Faulty{})
		q, err := queue.Open(p.store, nil)
		require.NoError(b, err)
		w, err := q.Subscribe(func() queue.Subscription {
			s := each(kind, func(context.Context, *queue.Event) error { return nil })
			s.Topic, s.Group = "topic", "group"
			return s
		}())
		require.NoError(b, err)
		ran := make(chan error, 1)
		go func() { ran <- w.Run(b.Context()) }()
		b.pass(time.Second)
		p.end(b)
		err = <-ran
		require.True(b, errors.Is(err, kv.ErrClosed), "%v", err)
	})
}
