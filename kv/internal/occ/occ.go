// Package occ is the optimistic concurrency control that the embedded drivers
// share: the version clock, the register of open transactions, the check for
// conflicts, and the order of commits.
//
// A driver begins a transaction with Begin, takes its snapshot, and tells the
// transaction's version with Pin. Commit checks for conflicts and applies under
// one lock, so that the driver applies commits in version order. The driver makes
// commits durable outside of the lock, so that many commits can share one sync.
package occ

import (
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
)

// DefaultMaxMemory is how many committed keys a Controller remembers at most for
// the conflict check. Each takes about 100 bytes.
const DefaultMaxMemory = 1 << 20

// Options of a Controller.
type Options struct {
	// Last is the newest version that may have been handed out before.
	Last kv.Version

	// Reserve makes durable that versions up to v may be handed out. The Controller
	// calls it before it hands out the first of these versions. Nil is for a store
	// that keeps nothing.
	Reserve func(v kv.Version) error

	// MaxMemory bounds the keys remembered. Above it transactions older than
	// the memory fail with kv.ErrTxnTooOld. Default DefaultMaxMemory.
	MaxMemory int
}

// Controller orders the commits of one store.
type Controller struct {
	commit    sync.Mutex // held from the conflict check until the commit is published
	clock     clock
	memory    memory
	group     memory        // of the group being checked; empty otherwise
	published atomic.Uint64 // version of the newest commit that snapshots see

	register sync.Mutex // guards the list of open transactions; never held while waiting
	open     Ticket     // list head: oldest transaction first
	opened   int
}

// Ticket is one open read-write transaction.
type Ticket struct {
	c          *Controller
	floor      kv.Version // ReadVersion is not below it
	read       kv.Version
	prev, next *Ticket // nil when not in the register
}

// New returns a controller that continues after o.Last.
func New(o Options) *Controller {
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	c := &Controller{clock: newClock(o.Last, o.Reserve), memory: newMemory(o.MaxMemory), group: newMemory(math.MaxInt)}
	c.published.Store(uint64(o.Last))
	c.open.prev, c.open.next = &c.open, &c.open
	return c
}

// Published returns the version of the newest commit that snapshots see.
func (c *Controller) Published() kv.Version { return kv.Version(c.published.Load()) }

// Begin registers a transaction, before it takes its snapshot: from here on
// commits are remembered for it.
func (c *Controller) Begin() *Ticket {
	t := &Ticket{c: c}
	c.register.Lock()
	defer c.register.Unlock()
	// Read under the lock, floors ascend along the list and its head has the lowest.
	t.floor = c.Published()
	t.read = t.floor
	last := c.open.prev
	t.prev, t.next = last, &c.open
	last.next, c.open.prev = t, t
	c.opened++
	return t
}

// Pin sets the version of the transaction's snapshot, taken after Begin.
func (t *Ticket) Pin(v kv.Version) { t.read = v }

// Release removes the transaction from the register, which a commit does too.
// It can be called twice.
func (t *Ticket) Release() {
	t.c.register.Lock()
	defer t.c.register.Unlock()
	t.unlink()
}

// unlink removes t from the register, which is locked, unless it has left.
func (t *Ticket) unlink() {
	if t.next == nil {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
	t.c.opened--
}

// Watermark returns a version below which no open transaction has its
// ReadVersion, and no later one will.
func (c *Controller) Watermark() kv.Version {
	c.register.Lock()
	defer c.register.Unlock()
	if c.opened > 0 {
		return c.open.next.floor
	}
	return c.Published()
}

// Commit checks w for conflicts with what committed after t's snapshot, and
// calls apply with the commit's version, which must make it visible to
// snapshots taken from then on. Commits are applied one at a time, in version
// order. An error from apply is returned as it is, and the version is lost.
func (c *Controller) Commit(t *Ticket, w *kv.Commit, apply func(v kv.Version) error) (kv.Version, error) {
	c.commit.Lock()
	defer c.commit.Unlock()
	if err := c.memory.check(t.read, w); err != nil {
		return 0, err
	}
	v, err := c.next()
	if err != nil {
		return 0, err
	}
	if err := apply(v); err != nil {
		return 0, err
	}
	c.published.Store(uint64(v))
	if c.retire(t) {
		c.memory.add(v, w)
	}
	return v, nil
}

func (c *Controller) next() (kv.Version, error) {
	v, err := c.clock.next()
	if err != nil {
		return 0, fmt.Errorf("%w: reserving versions: %w", kv.ErrUnavailable, err)
	}
	return v, nil
}

// retire takes transactions whose commit has been published out of the
// register, forgets what nobody needs any more, and reports whether the memory has
// to keep the commit. Only transactions that are open now can need it: the snapshot
// of a transaction that registers later includes the commit.
func (c *Controller) retire(committed ...*Ticket) bool {
	c.register.Lock()
	for _, t := range committed {
		t.unlink()
	}
	others := c.opened > 0
	oldest := c.open.next.floor
	c.register.Unlock()
	if !others {
		c.memory.reset()
		return false
	}
	c.memory.forget(oldest)
	return true
}

// memory is what recently committed transactions wrote and locked. Keys are
// kept as 64-bit hashes: a collision makes two transactions conflict that do
// not, once in 2^64 pairs, and is cured by the retry.
type memory struct {
	seed  maphash.Seed
	marks map[uint64]mark
	queue []entry    // an entry for each remembered key, by version
	head  int        // first entry of queue in use
	floor kv.Version // transactions that read below it cannot be checked
	limit int
}

// mark holds the newest versions that wrote and locked a key.
type mark struct{ written, locked kv.Version }

type entry struct {
	version kv.Version
	hash    uint64
}

func newMemory(limit int) memory {
	return memory{seed: maphash.MakeSeed(), marks: map[uint64]mark{}, limit: limit}
}

func (m *memory) check(read kv.Version, w *kv.Commit) error {
	if read < m.floor {
		return fmt.Errorf("%w: too many commits since it began", kv.ErrTxnTooOld)
	}
	if len(m.marks) == 0 {
		return nil
	}
	for i := range w.Writes {
		if k := m.marks[m.hash(w.Writes[i].Key)]; k.written > read || k.locked > read {
			return kv.ErrConflict
		}
	}
	for _, key := range w.Locks {
		if m.marks[m.hash(key)].written > read {
			return kv.ErrConflict
		}
	}
	return nil
}

func (m *memory) hash(key []byte) uint64 { return maphash.Bytes(m.seed, key) }

func (m *memory) add(v kv.Version, w *kv.Commit) {
	for i := range w.Writes {
		h := m.hash(w.Writes[i].Key)
		k := m.marks[h]
		k.written = v
		m.marks[h] = k
		m.queue = append(m.queue, entry{v, h})
	}
	for _, key := range w.Locks {
		h := m.hash(key)
		k := m.marks[h]
		k.locked = v
		m.marks[h] = k
		m.queue = append(m.queue, entry{v, h})
	}
	for len(m.queue)-m.head > m.limit {
		// Cut whole versions, so that no commit is remembered in part.
		cut := m.queue[m.head].version
		m.forget(cut)
		m.floor = cut
	}
}

// forget drops what no transaction that reads at oldest or later can conflict with.
func (m *memory) forget(oldest kv.Version) {
	for m.head < len(m.queue) && m.queue[m.head].version <= oldest {
		h := m.queue[m.head].hash
		if k := m.marks[h]; k.written <= oldest && k.locked <= oldest {
			delete(m.marks, h)
		}
		m.head++
	}
	if m.head > len(m.queue)/2 {
		m.queue = m.queue[:copy(m.queue, m.queue[m.head:])]
		m.head = 0
	}
}

// reset forgets everything.
func (m *memory) reset() {
	if len(m.queue) == 0 {
		return
	}
	if cap(m.queue) > 1<<12 { // clearing a map that was large once costs its capacity, each time
		m.marks, m.queue = map[uint64]mark{}, nil
	} else {
		clear(m.marks)
		m.queue = m.queue[:0]
	}
	m.head = 0
}
