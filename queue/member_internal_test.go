package queue

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/queue/internal/cluster"
)

// A partition is left to a living owner for as long as one has seen it stand as it
// does. That it stood so long ago, before one was paused, or gave up the wish to
// have it, does not tell that its owner does not get on now.
func TestBusyOwnerSeenLongAgo(t *testing.T) {
	b := newBench(t, MemoryStore)
	b.fresh()
	w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
	owner := newToken(cluster.ID{1})
	cp := &checkpoint{owner: owner, floor: 3}
	l := &w.lanes[0]
	now := time.Now()
	alive := func(id cluster.ID, _ time.Time) cluster.Health {
		require.Equal(t, owner.member(), id)
		return cluster.Alive
	}
	look := func(after time.Duration) (busy bool) {
		now = now.Add(after)
		busy, crashed, since := w.judge(l, cp, now, alive)
		require.False(t, crashed)
		if busy {
			l.busy = busyState{cp.owner, cp.floor, since, now}
		}
		return busy
	}
	require.True(t, look(0))
	require.True(t, look(time.Hour))
	for range int((w.s.Timeout+b.q.opts.MemberTTL)/time.Second) - 1 {
		require.True(t, look(time.Second))
	}
	require.False(t, look(time.Second), "it does not get on")
	require.True(t, look(time.Hour))
	cp.floor++
	require.True(t, look(time.Second))
}
