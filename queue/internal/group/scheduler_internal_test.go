package group

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// The fetcher leaves a little room unused while partitions are ready. It uses it when
// an executor has nothing else to do, though no event has ended meanwhile.
func TestIdleExecutorGetsALittleRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, teststores.Memory)
		b.fresh()
		w := b.worker(b.id())
		w.c.Concurrency, w.c.MaxInFlight = 2, 100
		ready, next := &w.s.partitions[0], &w.s.partitions[1]
		w.s.mu.Lock()
		w.s.inFlight.Events = 90
		for _, p := range []*Partition{ready, next} {
			p.mine, p.head = true, 1
		}
		ready.events = []eventlog.Event{{Seq: 1}}
		w.s.settle(ready)
		w.s.settle(next)
		w.s.mu.Unlock()
		fetched := make(chan []fetching, 1)
		go func() { fetched <- w.f.next(t.Context()) }()
		synctest.Wait()
		require.Empty(t, fetched)
		require.NotNil(t, w.s.NextJob())
		idle := make(chan []Part, 1)
		go func() { idle <- w.s.NextJob() }()
		synctest.Wait()
		require.Len(t, fetched, 1)
		w.s.mu.Lock()
		w.s.stopping = true
		w.s.runnable.Broadcast()
		w.s.fetchable.Broadcast()
		w.s.mu.Unlock()
		require.Nil(t, <-idle)
	})
}
