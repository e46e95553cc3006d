package bolt

import (
	"io"
	"math"
	"os"
	"runtime"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// Inside gives tests what they cannot see through a Store.
type Inside struct{ d *driver }

// Look returns the inside of a store of this package.
func Look(s *kv.Store) Inside {
	var d *driver
	if !s.As(&d) {
		panic("not a store of this package")
	}
	return Inside{d}
}

// AwaitQueue returns once the combiner is at work and n commits wait for it.
func (i Inside) AwaitQueue(n int) {
	for {
		c := i.d.combiner
		c.mu.Lock()
		reached := c.busy != nil && len(c.queue) == n
		c.mu.Unlock()
		if reached {
			return
		}
		runtime.Gosched()
	}
}

// Group commits transactions that began at the same time in one group, as the
// combiner does with those it finds waiting, and returns their errors.
func (i Inside) Group(commits ...*kv.Commit) []error {
	group := make([]*occ.Request, len(commits))
	for n, c := range commits {
		t := &txn{d: i.d, ticket: i.d.ctl.Begin()}
		if err := t.begin(); err != nil {
			panic(err)
		}
		t.ticket.Pin(t.version)
		t.releaseSnapshot()
		group[n] = &occ.Request{Ticket: t.ticket, Commit: c}
	}
	i.d.commitGroup(group)
	errs := make([]error, len(group))
	for n, r := range group {
		r.Ticket.Release()
		if errs[n] = r.Err; (r.Err == nil) == (r.Version == 0) {
			panic("a version and an error, or neither")
		}
	}
	return errs
}

// Reserved is the highest version that may be handed out, as stored.
func (i Inside) Reserved() kv.Version {
	s, err := loadState(i.d.db, 0)
	if err != nil {
		panic(err)
	}
	return s.Reserved
}

// FreeList is where in the file bbolt's list of free pages is.
func (i Inside) FreeList() int64 {
	m, err := newestMeta(i.d.file, math.MaxInt64)
	if err != nil {
		panic(err)
	}
	return int64(m.freeList * m.pageSize)
}

// File is the open file of the store.
func (i Inside) File() *os.File { return i.d.file }

// Check is the check of a file's structure.
func Check(f io.ReaderAt, size int64) error { return check(f, size, true) }
