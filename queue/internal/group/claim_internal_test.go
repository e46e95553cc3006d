package group

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/queue/internal/cluster"
)

// A partition is left to a living owner for as long as one has seen it stand as it
// does. That it stood so long ago, before one was paused, or gave up the wish to
// have it, does not tell that its owner does not get on now.
func TestBusyOwnerSeenLongAgo(t *testing.T) {
	b := newBench(t, teststores.Memory)
	b.fresh()
	w := b.worker(b.id())
	owner := NewToken(cluster.ID{1})
	owner[0] = 0xFF
	cp := &Checkpoint{Owner: owner, Floor: 3}
	p := &w.s.partitions[0]
	now := time.Now()
	w.c.Health = func(id cluster.ID, _ time.Time) cluster.Health {
		require.Equal(t, owner.Process(), id)
		return cluster.Alive
	}
	look := func(after time.Duration) (busy bool) {
		now = now.Add(after)
		found := w.f.ownerState(p, cp, now)
		require.NotEqual(t, ownerCrashed, found.state)
		if busy = found.state == ownerBusy; busy {
			p.Occupied(cp, found.since, now)
		}
		return busy
	}
	require.True(t, look(0))
	require.True(t, look(time.Hour))
	for range int((w.c.Timeout+w.c.MemberTTL)/time.Second) - 1 {
		require.True(t, look(time.Second))
	}
	require.False(t, look(time.Second), "it does not get on")
	require.True(t, look(time.Hour))
	cp.Floor++
	require.True(t, look(time.Second))
}

// What the owner of a partition is taken for, by its token and by what is known of
// its process.
func TestOwnerState(t *testing.T) {
	b := newBench(t, teststores.Memory)
	b.fresh()
	w := b.worker(cluster.ID{1})
	now := time.Now()
	for name, c := range map[string]struct {
		owner  Token
		health cluster.Health
		want   ownerState
	}{
		"nobody":       {Token{}, cluster.Alive, ownerGone},
		"this process": {NewToken(cluster.ID{1}), cluster.Alive, ownerGone},
		"alive":        {NewToken(cluster.ID{2}), cluster.Alive, ownerBusy},
		"dead":         {NewToken(cluster.ID{2}), cluster.Dead, ownerCrashed},
		"unknown":      {NewToken(cluster.ID{2}), cluster.Unknown, ownerBusy},
	} {
		w.c.Health = func(cluster.ID, time.Time) cluster.Health { return c.health }
		found := w.f.ownerState(&w.s.partitions[0], &Checkpoint{Owner: c.owner}, now)
		require.Equal(t, claiming{c.want, now}, found, name)
	}
}
