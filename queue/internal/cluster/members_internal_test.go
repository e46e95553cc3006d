package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/queue/internal/access"
)

// Two workers that begin at once, or one beside the process's regular beat, may
// note what they have read in another order than they read it.
func TestLateNoteOfMembers(t *testing.T) {
	self, other := ID{9}, ID{1}
	o := &Options{ID: self, TTL: time.Minute, Changed: func() {}}
	m := newMembers(&access.Store{}, o, nil)
	own, row := AppendMember(nil, 1, nil), AppendMember(nil, 1, []Subject{{"topic", "group"}})
	now := time.Now()
	require.NoError(t, m.see(2, map[ID][]byte{self: own, other: row}, now, now))
	require.NoError(t, m.see(1, map[ID][]byte{self: own}, now, now)) // before the other had joined
	require.Len(t, m.live, 2)
	require.NoError(t, m.see(3, map[ID][]byte{self: own}, now, now)) // it has left
	require.Len(t, m.live, 1)
}
