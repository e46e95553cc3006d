package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
