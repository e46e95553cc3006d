package queue

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A partition is left to a living owner for as long as one has seen it stand as it
// does. That it stood so long ago, before one was paused, or gave up the wish to
// have it, does not tell that its owner does not get on now.
func TestBusyOwnerSeenLongAgo(t *testing.T) {
	b := newBench(t, MemoryStore)
	b.fresh()
	w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
	owner := newToken(memberID{1})
	cp := &checkpoint{owner: owner, floor: 3}
	l := &w.lanes[0]
	now := time.Now()
	m := &members{q: b.q, hurry: make(chan struct{}, 1)}
	b.q.members = m
	look := func(after time.Duration) (busy bool) {
		now = now.Add(after)
		m.looked = now.Add(time.Millisecond)
		m.peers = map[memberID]*peer{owner.member(): {seen: now}}
		busy, crashed, since := w.judge(l, cp, now)
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

// Two workers that begin at once, or one beside the process's regular beat, may
// note what they have read in another order than they read it.
func TestLateNoteOfMembers(t *testing.T) {
	q, err := Open(MemoryStore(t, nil), nil)
	require.NoError(t, err)
	m := &members{q: q, peers: map[memberID]*peer{}}
	own, other := appendMember(nil, 1, nil), appendMember(nil, 1, []subject{{"topic", "group"}})
	id := memberID{1}
	now := time.Now()
	require.NoError(t, m.see(2, map[memberID][]byte{q.id: own, id: other}, now, now))
	require.NoError(t, m.see(1, map[memberID][]byte{q.id: own}, now, now)) // before the other had joined
	require.Len(t, m.live, 2)
	require.NoError(t, m.see(3, map[memberID][]byte{q.id: own}, now, now)) // it has left
	require.Len(t, m.live, 1)
}
