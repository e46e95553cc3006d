package pebble

import (
	"cmp"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// snapshot is one committed state, shared by all transactions that read it.
type snapshot struct {
	*pebble.Snapshot
	version kv.Version
	users   int // transactions that read it, and one more for the newest; guarded by snapshots.mu
}

// snapshots hands out the newest state. A commit puts it there, together with
// its version, so that the two match and Begin waits for nobody.
type snapshots struct {
	mu     sync.Mutex
	newest *snapshot
	unused []*snapshot // not closed yet
}

// publish makes the database's present state, of version v, the newest.
func (s *snapshots) publish(db *pebble.DB, v kv.Version) {
	next := &snapshot{db.NewSnapshot(), v, 1}
	s.mu.Lock()
	last := s.newest
	s.newest = next
	s.mu.Unlock()
	if last != nil {
		s.release(last)
	}
}

// acquire returns the newest state, to be given back with release.
func (s *snapshots) acquire() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest.users++
	return s.newest
}

// version returns the newest state's version.
func (s *snapshots) version() kv.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest.version
}

// maxUnused snapshots are closed at a time.
const maxUnused = 32

// release gives up one use of n. Whenever Pebble closes its oldest snapshot it
// looks for a compaction that this makes possible, which costs more than anything
// else here. So release closes many snapshots at a time, and the oldest last. Until
// then the snapshots keep what a few commits have overwritten.
func (s *snapshots) release(n *snapshot) {
	s.mu.Lock()
	n.users--
	if n.users == 0 {
		s.unused = append(s.unused, n)
	}
	var unused []*snapshot
	if len(s.unused) >= maxUnused {
		unused, s.unused = s.unused, nil
	}
	s.mu.Unlock()
	closeNewestFirst(unused)
}

// close closes all snapshots. None is in use.
func (s *snapshots) close() { closeNewestFirst(append(s.unused, s.newest)) }

func closeNewestFirst(list []*snapshot) {
	slices.SortFunc(list, func(a, b *snapshot) int { return cmp.Compare(b.version, a.version) })
	for _, n := range list {
		_ = n.Close() // never fails
	}
}
