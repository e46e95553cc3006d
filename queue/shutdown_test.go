package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

const drain = 10 * time.Second

// sweepRun starts a worker again and again, each time on a new store with events
// in it, and has the n-th call of the store meet a fault; meet is called when it
// does. It ends when the worker has gone through all phases before the n-th call.
func sweepRun(t *testing.T, kind kind, fault kvfault.Rule, meet func(c *cluster, r *run, f *kvfault.Fault)) {
	for fault.Skip = 0; ; fault.Skip++ {
		reached := false
		ok := t.Run(fmt.Sprint("call ", fault.Skip), func(t *testing.T) {
			inCluster(t, 16, func(c *cluster) {
				p := c.proc("1")
				for range 3 {
					c.publish("a")
				}
				f := p.faulty.Inject(fault)
				r := p.work(kind, queue.Subscription{Topic: "a", Group: "g", DrainTimeout: drain, BatchSize: 10, Concurrency: 2})
				select {
				case <-f.Reached():
					reached = true
					meet(c, r, f)
				case <-time.After(3 * time.Second): // it has begun, worked, polled and beaten
				}
				f.Lift()
			})
		})
		if !reached || !ok {
			require.Greater(t, fault.Skip, 30, "there are more phases than that")
			return
		}
	}
}

// finish lets another process do what is left, and looks that all was done.
func finish(c *cluster, kind kind) {
	p := c.proc("2")
	p.work(kind, queue.Subscription{Topic: "a", Group: "g"})
	c.wait(takeover)
	require.Zero(c, c.stats("a", "g").Lag())
	require.Len(c, c.record.runsOf("a", "g"), 48)
	if kind == tx || kind == txBatch {
		require.Equal(c, 48, c.effects("g", "a"))
	}
}

// TestStopInEveryPhase stops a worker while a call of the store is under way,
// which then goes on: it ends well, and nothing that was handled comes again.
func TestStopInEveryPhase(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			sweepRun(t, kind, kvfault.Rule{Hold: true, Deaf: true}, func(c *cluster, r *run, f *kvfault.Fault) {
				r.stop()
				c.wait(time.Second)
				f.Lift()
				c.wait(time.Millisecond)
				require.NoError(c, r.end())
				require.Zero(c, c.members())
				for _, term := range c.terms(r.p, "a", "g") {
					require.False(c, term.Owned)
				}
				finish(c, kind)
				if kind == plain || kind == batch {
					require.Zero(c, c.record.repeats())
				}
			})
		})
	}
}

// TestStopWithoutStore stops a worker while the store has ceased to answer: it
// ends within three times DrainTimeout.
func TestStopWithoutStore(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			sweepRun(t, kind, kvfault.Rule{Hold: true, Every: true}, func(c *cluster, r *run, f *kvfault.Fault) {
				r.stop()
				began := time.Now()
				if err := r.end(); err != nil {
					require.ErrorContains(c, err, "queue: ")
				}
				require.LessOrEqual(c, time.Since(began), 3*drain+ttl/3)
				f.Lift()
				finish(c, kind)
			})
		})
	}
}

// TestStoreClosedInEveryPhase closes the store under a worker, which says so.
func TestStoreClosedInEveryPhase(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			sweepRun(t, kind, kvfault.Rule{Hold: true, Deaf: true}, func(c *cluster, r *run, f *kvfault.Fault) {
				closed := make(chan error)
				go func() { closed <- r.p.store.Close() }()
				c.wait(time.Millisecond)
				f.Lift()
				require.NoError(c, <-closed)
				select {
				case <-r.done:
				case <-time.After(2 * time.Second):
					c.Fatal("the worker goes on")
				}
				require.ErrorIs(c, r.err, kv.ErrClosed)
				finish(c, kind)
			})
		})
	}
}

// TestRunOnClosedStore begins when the store is closed already.
func TestRunOnClosedStore(t *testing.T) {
	inCluster(t, 16, func(c *cluster) {
		p := c.proc("1")
		require.NoError(c, p.store.Close())
		r := p.work(plain, queue.Subscription{Topic: "a", Group: "g"})
		<-r.done
		require.ErrorIs(c, r.err, kv.ErrClosed)
	})
}

// TestHandlersAtTheLastMoment: what a handler has done that was told to end, by
// its context, counts.
func TestHandlersAtTheLastMoment(t *testing.T) {
	for _, kind := range []kind{plain, batch} {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 16, func(c *cluster) {
				c.publish("a")
				release := c.record.hold("1")
				r := c.proc("1").work(kind, queue.Subscription{Topic: "a", Group: "g", DrainTimeout: drain, Concurrency: 16})
				c.wait(time.Second)
				require.Positive(c, c.record.held("1"))
				r.stop()
				c.wait(drain + time.Second)
				release()
				require.NoError(c, r.end())
				require.Zero(c, c.stats("a", "g").Lag())
				require.Zero(c, c.record.repeats())
			})
		})
	}
}
