package kvtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
)

// Cases of this group make driver calls fail, and look at what is left in the store.

func faultCases() []testCase {
	return []testCase{
		{name: "an error instead of each call", run: func(f *fixture) { f.failEachCall(false, errLost, context.DeadlineExceeded) }},
		{name: "an error after each call", run: func(f *fixture) { f.failEachCall(true, errLost, context.DeadlineExceeded) }},
		{name: "calls that are refused", run: func(f *fixture) { f.failEachCall(false, kv.ErrUnavailable, kv.ErrTxnTooOld) }},
		{name: "a commit that is refused for a conflict", run: refusedOnce},
		{name: "an unknown outcome that looks like a conflict", run: unknownConflict},
		{name: "a lock whose acknowledgement is lost", run: lostLock},
		{name: "faults under contention", run: faultsUnderContention},
		{name: "WaitDurable after a lost acknowledgement", run: waitAfterLost},
	}
}

// faulty opens a store with faults and counts above the guard.
func (f *fixture) faulty(o kv.Options) (*kvfault.Faulty, *kvfault.Counting) {
	var faulty kvfault.Faulty
	var calls kvfault.Counting
	o.Wrap = func(d kv.Driver) kv.Driver { return faulty.Wrap(calls.Wrap(d)) }
	f.open(&o)
	return &faulty, &calls
}

// tour is a program that makes every kind of driver call. It takes the store
// from one state to another in one commit, and then looks at it.
type tour struct {
	ctx       context.Context
	from, to  string
	runs      int // how often Update has run its function
	committed int // how often OnCommit's function has run
	err       error
}

// prepare makes the state that a tour begins with.
func (f *fixture) prepare(t *tour) {
	f.Helper()
	f.remove("a", "z")
	f.put("a", t.from, "m1", "1", "m2", "2", "z", t.from)
}

func (f *fixture) run(t *tour) {
	t.err = f.store.Update(t.ctx, func(tx *kv.Txn) error {
		t.runs++
		tx.OnCommit(func() { t.committed++ })
		return f.change(t, tx)
	})
	if t.err != nil {
		return
	}
	if t.err = f.store.View(t.ctx, func(tx *kv.Txn) error {
		for _, err := range tx.Scan(t.ctx, kv.Range{}, &kv.ScanOptions{KeysOnly: true, PageSize: 2}) {
			if err != nil {
				return err
			}
		}
		_, err := tx.Get(t.ctx, key("a"))
		return err
	}); t.err != nil {
		return
	}
	var v kv.Version
	if v, t.err = f.store.Watermark(t.ctx); t.err == nil {
		t.err = f.store.WaitDurable(t.ctx, v)
	}
}

func (f *fixture) change(t *tour, tx *kv.Txn) error {
	v, err := tx.Get(t.ctx, key("a"))
	if err != nil {
		return err
	}
	if unmark(v) != t.from {
		return fmt.Errorf("a is %q", unmark(v))
	}
	if err := tx.Set(key("a"), val(t.to)); err != nil {
		return err
	}
	if _, err := tx.BatchGet(t.ctx, keys("a", "m1", "x")); err != nil {
		return err
	}
	c, err := tx.Cursor(t.ctx, kv.Range{}, &kv.ScanOptions{Reverse: true})
	if err != nil {
		return err
	}
	defer c.Close()
	if !c.Next(t.ctx) || !c.Seek(t.ctx, key("m1")) {
		return c.Err()
	}
	if err := tx.DeleteRange(t.ctx, kv.Range{Start: key("m"), End: key("n")}); err != nil {
		return err
	}
	if err := tx.Lock(t.ctx, key("lock")); err != nil {
		return err
	}
	return tx.Set(key("z"), val(t.to))
}

// outcome checks what a tour has left and returns whether its commit happened.
func (f *fixture) outcome(t *tour, calls *kvfault.Counting) bool {
	f.Helper()
	require.Zero(f, calls.OpenTxns(), "a snapshot was not released")
	require.Zero(f, calls.OpenCursors(), "a cursor was not closed")
	if f.h.Caps.PromptWatermark {
		view := f.view()
		require.GreaterOrEqual(f, f.watermark(), view.ReadVersion(), "no transaction holds the watermark back")
		view.Rollback()
	}
	got := f.contents()
	happened := f.now("a") == t.to
	if happened {
		require.Equal(f, []string{"a=" + t.to, "z=" + t.to}, got)
	} else {
		require.Equal(f, []string{"a=" + t.from, "m1=1", "m2=2", "z=" + t.from}, got)
	}
	switch {
	case t.committed > 0:
		require.True(f, happened, "a commit was acknowledged")
		require.Equal(f, 1, t.committed)
	case errors.Is(t.err, kv.ErrCommitUnknown): // the commit may have happened or not
	default:
		require.Error(f, t.err, "no error, and no OnCommit")
		require.False(f, happened, "the commit was said not to have happened: %v", t.err)
	}
	require.LessOrEqual(f, t.runs, 1, "the function was run again")
	f.put("after", t.to) // the store goes on
	require.Equal(f, t.to, f.now("after"))
	f.remove("after")
	return happened
}

// failEachCall lets each call of a tour fail in turn.
func (f *fixture) failEachCall(after bool, causes ...error) {
	faulty, calls := f.faulty(kv.Options{})
	struck := map[kv.Call]bool{}
	n := 0
	for _, cause := range causes {
		for fault := range faulty.Sweep(kvfault.Rule{After: after, Err: cause}) {
			n++
			t := &tour{ctx: f.ctx, from: fmt.Sprint(n), to: fmt.Sprint(n + 1)}
			f.prepare(t)
			fault.During(func() { f.run(t) })
			happened := f.outcome(t, calls)
			if fault.Hits() == 0 {
				f.ok(t.err)
				require.True(f, happened)
				continue
			}
			struck[fault.Struck()] = true
			f.fails(t.err, cause)
			unknown := errors.Is(t.err, kv.ErrCommitUnknown)
			if fault.Struck() != kv.CallCommit {
				require.False(f, unknown, "%v: %v", fault, t.err)
				continue
			}
			require.Equal(f, after, happened, fault)
			require.Zero(f, t.committed, "OnCommit has run without an acknowledgement")
			require.Equal(f, errors.Is(cause, errLost) || errors.Is(cause, context.DeadlineExceeded), unknown, t.err)
		}
	}
	require.Len(f, struck, 9, "all kinds of calls")
}

func refusedOnce(f *fixture) {
	faulty, calls := f.faulty(kv.Options{})
	const refusals = 3
	for i := range refusals {
		faulty.Inject(kvfault.Rule{Call: kv.CallCommit, Skip: i, Err: kv.ErrConflict})
	}
	runs, committed := 0, 0
	spent := calls.Measure(func() {
		f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
			runs++
			tx.OnCommit(func() { committed++ })
			f.set(tx, "a", fmt.Sprint(runs))
			return nil
		}))
	})
	require.Equal(f, refusals+1, runs, "a conflict is tried again")
	require.Equal(f, 1, committed)
	require.Equal(f, 1, spent.Commits)
	require.Equal(f, []string{fmt.Sprint("a=", refusals+1)}, f.contents())
}

// unknownConflict: what wraps ErrCommitUnknown is never run again, whatever
// else it wraps.
func unknownConflict(f *fixture) {
	faulty, calls := f.faulty(kv.Options{})
	for _, after := range []bool{false, true} {
		for i, cause := range []error{kv.ErrCommitUnknown, fmt.Errorf("%w: %w", kv.ErrCommitUnknown, kv.ErrConflict), context.Canceled} {
			name := fmt.Sprint(after, i)
			faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: after, Err: cause})
			runs := 0
			var tx *kv.Txn
			spent := calls.Measure(func() {
				err := f.store.Update(f.ctx, func(t *kv.Txn) error {
					tx = t
					runs++
					tx.OnCommit(func() { f.Errorf("an OnCommit ran after an unknown outcome") })
					f.set(tx, name, "1")
					return nil
				})
				f.fails(err, kv.ErrCommitUnknown)
				f.fails(err, cause)
			})
			require.Equal(f, 1, runs, "an unknown outcome was run again")
			require.LessOrEqual(f, spent.Commits, 1)
			require.Zero(f, tx.CommitVersion())
			require.Equal(f, after, f.now(name) == "1")
		}
	}
}

// lostLock: a commit that happened refuses others, though nobody was told of it.
func lostLock(f *fixture) {
	faulty, _ := f.faulty(kv.Options{})
	for _, after := range []bool{false, true} {
		writer, locker := f.begin(), f.begin()
		f.set(writer, "a", "1")
		f.lock(locker, "a")
		f.set(locker, "b", fmt.Sprint(after))
		faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: after, Err: errLost})
		f.fails(locker.Commit(f.ctx), kv.ErrCommitUnknown)
		if after {
			f.conflict(writer)
			require.Equal(f, []string{"a=1", "b=true"}, f.contents())
		} else {
			f.commit(writer)
			require.Equal(f, []string{"a=1"}, f.contents())
		}
	}
}

// faultsUnderContention has workers count, each increment with a key of its
// own, while now and then somebody's commit or acknowledgement is lost.
func faultsUnderContention(f *fixture) {
	faulty, calls := f.faulty(kv.Options{Durability: f.quick(), MaxAttempts: 1 << 20})
	var mu sync.Mutex
	acked := map[string]bool{}
	unknown := 0
	each := f.scaled(40)
	f.workers(6, func(worker int) error {
		for i := range each {
			if (worker+i)%4 == 0 {
				faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: i%2 == 0, Err: errLost})
			}
			name := fmt.Sprintf("%d.%03d", worker, i)
			err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
				v, err := tx.BatchGet(f.ctx, keys("count"))
				if err != nil {
					return err
				}
				n := 0
				if v[0] != nil {
					if n, err = strconv.Atoi(unmark(v[0])); err != nil {
						return err
					}
				}
				return errors.Join(tx.Set(key("count"), val(fmt.Sprint(n+1))), tx.Set(key(name), val("1")))
			})
			if err != nil && !errors.Is(err, kv.ErrCommitUnknown) {
				return err
			}
			mu.Lock()
			if err == nil {
				acked[name] = true
			} else {
				unknown++
			}
			mu.Unlock()
		}
		return nil
	})
	require.Zero(f, calls.OpenTxns())
	tx := f.view()
	there := map[string]bool{}
	for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{KeysOnly: true}) {
		f.ok(err)
		there[unmark(p.Key)] = true
	}
	delete(there, "count")
	require.Equal(f, fmt.Sprint(len(there)), f.get(tx, "count"), "each commit has happened once or not at all")
	require.LessOrEqual(f, len(there), len(acked)+unknown)
	for name := range acked {
		require.True(f, there[name], "an acknowledged commit is lost")
	}
	require.Positive(f, unknown)
}

// waitAfterLost is how a caller finds out: it begins anew, reads, and waits for
// what it has read to be durable.
func waitAfterLost(f *fixture) {
	faulty, _ := f.faulty(kv.Options{Durability: f.quick()})
	for _, after := range []bool{false, true} {
		before := f.put("a", "1")
		faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: after, Err: errLost})
		tx := f.begin()
		f.set(tx, "a", "2")
		f.fails(tx.Commit(f.ctx), kv.ErrCommitUnknown)
		f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
		view := f.view()
		require.Equal(f, after, f.get(view, "a") == "2")
		require.GreaterOrEqual(f, view.ReadVersion(), before)
		if after { // versions may also go on by themselves
			require.Greater(f, view.ReadVersion(), before)
		}
		f.ok(f.store.WaitDurable(f.ctx, view.ReadVersion()))
	}
}
