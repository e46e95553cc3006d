package kvtest

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
)

// The mutants in this file are right as long as calls follow one another. Each
// has a window in which another goroutine's commit makes it wrong.

// window is a place where a driver is overtaken.
type window struct{ commits atomic.Int64 }

// pass lets others run until one of them has committed, or nobody wants to.
func (w *window) pass() {
	for before, tries := w.commits.Load(), 0; tries < 200 && w.commits.Load() == before; tries++ {
		runtime.Gosched()
	}
}

// racing makes a mutant of its transactions. begin may open them otherwise.
func racing(name, killer string, begin func(ctx context.Context, d kv.Driver, o kv.BeginOptions, w *window) (kv.DriverTxn, error),
	commit func(ctx context.Context, d kv.Driver, t kv.DriverTxn, c *kv.Commit, w *window) (kv.Version, error)) mutant {
	return drivers(name, killer, func(d kv.Driver) kv.Driver {
		return &racingDriver{d, &window{}, begin, commit}
	})
}

type racingDriver struct {
	kv.Driver
	w      *window
	begin  func(context.Context, kv.Driver, kv.BeginOptions, *window) (kv.DriverTxn, error)
	commit func(context.Context, kv.Driver, kv.DriverTxn, *kv.Commit, *window) (kv.Version, error)
}

func (d *racingDriver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	begin := d.begin
	if begin == nil {
		begin = func(ctx context.Context, d kv.Driver, o kv.BeginOptions, _ *window) (kv.DriverTxn, error) {
			return d.Begin(ctx, o)
		}
	}
	t, err := begin(ctx, d.Driver, o, d.w)
	if err != nil {
		return nil, err
	}
	h := &hooks{DriverTxn: t}
	h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
		defer d.w.commits.Add(1)
		if d.commit == nil {
			return t.Commit(ctx, c)
		}
		return d.commit(ctx, d.Driver, t, c, d.w)
	}
	return h, nil
}

// versioned is a transaction that says it has another version.
type versioned struct {
	kv.DriverTxn
	version kv.Version
}

func (t *versioned) ReadVersion() kv.Version { return t.version }

// registered is a snapshot that commits as another transaction.
type registered struct {
	kv.DriverTxn
	as kv.DriverTxn
}

func (t *registered) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	return t.as.Commit(ctx, c)
}

func (t *registered) Release() {
	t.as.Release()
	t.DriverTxn.Release()
}

func raceMutants() []mutant {
	version := func(ctx context.Context, d kv.Driver) (kv.Version, error) {
		return fresh(ctx, d, func(t kv.DriverTxn) (kv.Version, error) { return t.ReadVersion(), nil })
	}
	versionFirst := func(ctx context.Context, d kv.Driver, o kv.BeginOptions, w *window) (kv.DriverTxn, error) {
		v, err := version(ctx, d)
		if err != nil {
			return nil, err
		}
		w.pass()
		t, err := d.Begin(ctx, o)
		if err != nil {
			return nil, err
		}
		return &versioned{t, v}, nil
	}
	versionLast := func(ctx context.Context, d kv.Driver, o kv.BeginOptions, w *window) (kv.DriverTxn, error) {
		t, err := d.Begin(ctx, o)
		if err != nil {
			return nil, err
		}
		w.pass()
		v, err := version(ctx, d)
		return &versioned{t, v}, err
	}
	registeredLate := func(ctx context.Context, d kv.Driver, o kv.BeginOptions, w *window) (kv.DriverTxn, error) {
		t, err := d.Begin(ctx, kv.BeginOptions{ReadOnly: true})
		if err != nil || o.ReadOnly {
			return t, err
		}
		w.pass()
		as, err := d.Begin(ctx, o)
		return &registered{t, as}, err
	}
	const few, many = "Histories/few keys", "Histories/many keys"
	return []mutant{
		racing("version read before the snapshot is taken", many, versionFirst, nil),
		racing("version read after the snapshot is taken", many, versionLast, nil),
		racing("registered for conflicts after the snapshot is taken", few, registeredLate, nil),
		racing("published in two parts", many, nil, twoParts),
		drivers("versions given out before the order of commits", many, swappedVersions),
		drivers("checked, then applied", few, checkedThenApplied),
	}
}

// twoParts commits half of the writes and then the other half. The first time
// it writes all keys, so that conflicts are found as ever.
func twoParts(ctx context.Context, d kv.Driver, t kv.DriverTxn, c *kv.Commit, w *window) (kv.Version, error) {
	first := &kv.Commit{Locks: c.Locks, NoSync: c.NoSync}
	rest := c.Writes[len(c.Writes)/2:]
	first.Writes = append(first.Writes, c.Writes[:len(c.Writes)/2]...)
	for _, late := range rest {
		old, err := t.Get(ctx, late.Key)
		if err != nil {
			return 0, err
		}
		first.Writes = append(first.Writes, kv.Write{Key: late.Key, Value: old})
	}
	v, err := t.Commit(ctx, first)
	if err != nil || len(rest) == 0 {
		return v, err
	}
	w.pass()
	return forced(ctx, d, &kv.Commit{Writes: rest, NoSync: c.NoSync})
}

// swappedVersions exchanges the versions of two commits under way at once.
func swappedVersions(d kv.Driver) kv.Driver {
	var mu sync.Mutex
	var waiting *kv.Version // of a commit that looks for a partner
	return wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		h := &hooks{DriverTxn: t}
		h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
			v, err := t.Commit(ctx, c)
			if err != nil {
				return v, err
			}
			mu.Lock()
			if waiting != nil {
				*waiting, v = v, *waiting
				waiting = nil
				mu.Unlock()
				return v, nil
			}
			mine := v
			waiting = &mine
			mu.Unlock()
			for range 50 {
				runtime.Gosched()
			}
			mu.Lock()
			defer mu.Unlock()
			if waiting == &mine {
				waiting = nil
			}
			return mine, nil
		}
		return h
	})(d)
}

// checkedThenApplied has a conflict check that is right by itself, but lets go
// of the lock before the commit is applied.
func checkedThenApplied(d kv.Driver) kv.Driver {
	w := &window{}
	var mu sync.Mutex
	written, locked := map[string]kv.Version{}, map[string]kv.Version{}
	conflicts := func(read kv.Version, c *kv.Commit) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, x := range c.Writes {
			if written[string(x.Key)] > read || locked[string(x.Key)] > read {
				return true
			}
		}
		for _, k := range c.Locks {
			if written[string(k)] > read {
				return true
			}
		}
		return false
	}
	return wrapTxns(func(d kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		h := &hooks{DriverTxn: t}
		h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
			if conflicts(t.ReadVersion(), c) {
				return 0, kv.ErrConflict
			}
			w.pass()
			v, err := forced(ctx, d, c)
			if err != nil {
				return v, err
			}
			defer w.commits.Add(1)
			mu.Lock()
			defer mu.Unlock()
			for _, x := range c.Writes {
				written[string(x.Key)] = v
			}
			for _, k := range c.Locks {
				locked[string(k)] = v
			}
			return v, nil
		}
		return h
	})(d)
}
