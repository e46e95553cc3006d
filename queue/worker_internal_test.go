package queue

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// The fetcher leaves a little room unused while lanes are ready. It uses it when
// an executor has nothing else to do, though no event has ended meanwhile.
func TestIdleExecutorGetsALittleRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, MemoryStore)
		b.fresh()
		w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }, Concurrency: 2, MaxInFlight: 100})
		ready, next := &w.lanes[0], &w.lanes[1]
		w.mu.Lock()
		w.inFlight = 90
		for _, l := range []*lane{ready, next} {
			l.mine, l.head = true, 1
		}
		ready.events = []*Event{{Seq: 1}}
		w.rest(ready)
		w.rest(next)
		w.mu.Unlock()
		fetched := make(chan []wanted, 1)
		go func() { fetched <- w.nextFetch(t.Context()) }()
		synctest.Wait()
		require.Empty(t, fetched)
		require.NotNil(t, w.nextJob())
		idle := make(chan *job, 1)
		go func() { idle <- w.nextJob() }()
		synctest.Wait()
		require.Len(t, fetched, 1)
		w.mu.Lock()
		w.stopping = true
		w.runnable.Broadcast()
		w.fetchable.Broadcast()
		w.mu.Unlock()
		require.Nil(t, <-idle)
	})
}

// While a suspect is with a handler another one waits, and its executor does not:
// it has other partitions to work on.
func TestSuspectKeepsNoExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, MemoryStore)
		b.fresh()
		w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
		b.publish("k", "1")
		b.move(b.sequencer(), eventlog.AllShards)
		j := b.take(w)
		p := j.parts[0]
		p.lane.trial = suspect
		require.True(t, w.enterAlone()) // another one
		j.runEvent(p, p.events[0])
		require.True(t, p.halted)
		require.Positive(t, p.wait)
		require.Zero(t, p.lane.done)
	})
}
