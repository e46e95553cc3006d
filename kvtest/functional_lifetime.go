package kvtest

import (
	"runtime"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func lifetimeCases() []testCase {
	return []testCase{
		{name: "a lifetime that has passed", run: lifetimePassed},
		{name: "lifetime of read-write transactions", run: txnLifetime, needs: needFakeTime},
		{name: "lifetime of views", run: viewLifetime, needs: needFakeTime},
		{name: "lifetimes of a store's own", run: ownLifetimes, needs: needFakeTime},
		{name: "many lifetimes at once", run: manyLifetimes, needs: needFakeTime},
		{name: "scans across the end of a lifetime", run: lifetimeScan, needs: needFakeTime},
	}
}

// pass lets the bubble's time pass, and everything happen that is then due.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	<-time.After(d)
	synctest.Wait()
}

// lifetimePassed works on any driver: lifetimes of a nanosecond are over as
// soon as the clock has moved. Commit and the reads look at nothing else.
func lifetimePassed(f *fixture) {
	f.put("a", "1")
	began := time.Now()
	tx := f.beginWith(&kv.TxnOptions{Lifetime: 1})
	for time.Since(began) < 2 {
		runtime.Gosched() // a coarse clock
	}
	err := tx.Set(key("a"), val("2"))
	if err == nil { // the transaction may not have noticed yet
		err = tx.Commit(f.ctx)
	}
	f.fails(err, kv.ErrTxnTooOld)
	require.Equal(f, "1", f.now("a"))

	// Reads notice once the snapshot is released, which may be a little later.
	for o, want := range map[kv.TxnOptions]error{
		{Lifetime: 1}:                 kv.ErrTxnTooOld,
		{Lifetime: 1, ReadOnly: true}: kv.ErrSnapshotTooOld,
	} {
		tx := f.beginWith(&o)
		for {
			v, err := tx.Get(f.ctx, key("a"))
			if err != nil {
				f.fails(err, want)
				break
			}
			require.Equal(f, val("1"), v)
			runtime.Gosched()
		}
		tx.Rollback()
	}
}

func txnLifetime(f *fixture) {
	f.openAs(nil)
	require.Equal(f, kv.DefaultTxnLifetime, f.store.Info().TxnLifetime)
	f.put("a", "1", "b", "2")
	for _, o := range []*kv.TxnOptions{nil, {Lifetime: time.Hour}} { // it cannot be lengthened
		tx, c, sp := f.opened(o)
		inTime := f.beginWith(o)
		f.pass(kv.DefaultTxnLifetime - 1)
		require.Equal(f, "1", f.get(tx, "a"))
		require.True(f, c.Next(f.ctx))
		f.set(inTime, "c", "3")
		f.commit(inTime)
		f.pass(1)
		f.allFail(tx, c, sp, kv.ErrTxnTooOld)
		f.fails(tx.Commit(f.ctx), kv.ErrTxnTooOld)
		tx.Rollback()
		f.remove("c")
	}
	require.Equal(f, []string{"a=1", "b=2"}, f.contents(), "nothing was written")

	short := f.beginWith(&kv.TxnOptions{Lifetime: time.Second})
	f.set(short, "a", "2")
	f.pass(time.Second)
	f.fails(short.Commit(f.ctx), kv.ErrTxnTooOld)
	f.fails(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		f.set(tx, "a", "2")
		f.pass(kv.DefaultTxnLifetime)
		return nil
	}), kv.ErrTxnTooOld)
	require.Equal(f, "1", f.now("a"))
}

func viewLifetime(f *fixture) {
	f.put("a", "1", "b", "2")
	for _, c := range []struct {
		o    *kv.TxnOptions
		life time.Duration
	}{
		{&kv.TxnOptions{ReadOnly: true}, kv.DefaultViewLifetime},
		{&kv.TxnOptions{ReadOnly: true, Lifetime: time.Second}, time.Second},
		{&kv.TxnOptions{ReadOnly: true, Lifetime: 2 * kv.DefaultViewLifetime}, 2 * kv.DefaultViewLifetime},
	} {
		tx, cursor, sp := f.opened(c.o)
		f.put("a", "1")
		f.pass(c.life - 1)
		require.Equal(f, "1", f.get(tx, "a"))
		require.True(f, cursor.Next(f.ctx))
		f.pass(1)
		f.allFail(tx, cursor, sp, kv.ErrSnapshotTooOld)
		ran := false
		tx.OnCommit(func() { ran = true })
		f.commit(tx) // a read-only commit never fails
		require.True(f, ran)
		require.Equal(f, tx.ReadVersion(), tx.CommitVersion())
	}
}

func ownLifetimes(f *fixture) {
	f.open(&kv.Options{TxnLifetime: 3 * time.Second, ViewLifetime: 4 * time.Second})
	require.Equal(f, 3*time.Second, f.store.Info().TxnLifetime)
	f.put("a", "1")
	tx, view := f.begin(), f.view()
	f.pass(3 * time.Second)
	_, err := tx.Get(f.ctx, key("a"))
	f.fails(err, kv.ErrTxnTooOld)
	require.Equal(f, "1", f.get(view, "a"))
	f.pass(time.Second)
	_, err = view.Get(f.ctx, key("a"))
	f.fails(err, kv.ErrSnapshotTooOld)
}

// manyLifetimes opens transactions whose lifetimes end in another order, and
// looks at each one just before and at its end.
func manyLifetimes(f *fixture) {
	f.put("a", "1")
	const n = 10
	var txs [n]*kv.Txn
	for i := range n {
		life := time.Duration(i*7%n+1) * time.Second // 1 to n seconds
		txs[i*7%n] = f.beginWith(&kv.TxnOptions{Lifetime: life})
	}
	for second := range n {
		f.pass(time.Second)
		for i, tx := range txs {
			_, err := tx.Get(f.ctx, key("a"))
			if i <= second {
				f.fails(err, kv.ErrTxnTooOld)
			} else {
				f.ok(err)
			}
		}
	}
}

func lifetimeScan(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	n := 0
	for p, err := range f.view().Scan(f.ctx, kv.Range{}, nil) {
		if n++; n == 3 {
			f.fails(err, kv.ErrSnapshotTooOld)
			require.Empty(f, p)
			continue
		}
		f.ok(err)
		if n == 2 {
			f.pass(kv.DefaultViewLifetime)
			require.Equal(f, "b", unmark(p.Key), "the current pair stays readable")
		}
	}
	require.Equal(f, 3, n, "the error comes once, last")
}

func reopenCases() []testCase {
	return []testCase{
		{name: "reopening keeps the data", run: reopenKeeps, needs: needReopen},
		{name: "reopening keeps the lifetime", run: reopenLifetime, needs: needReopen},
		{name: "versions ascend across reopening", run: reopenVersions, needs: needReopen},
		{name: "a crash loses no durable commit", run: crashDurable, needs: needCrash},
		{name: "versions ascend across a crash", run: crashVersions, needs: needCrash},
	}
}

func reopenKeeps(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	f.remove("b")
	open := f.begin() // lost with the store
	f.set(open, "d", "4")
	f.ok(f.store.Close())
	f.ok(f.reopen(nil)) // Reopen takes a closed store
	require.Equal(f, []string{"a=1", "c=3"}, f.contents())
	f.put("a", "11")
	f.ok(f.reopen(nil)) // Reopen takes an open store
	require.Equal(f, []string{"a=11", "c=3"}, f.contents())
	f.fails(open.Commit(f.ctx), kv.ErrClosed)
	for range 3 {
		f.ok(f.reopen(nil))
	}
	require.Equal(f, []string{"a=11", "c=3"}, f.contents())
}

func reopenLifetime(f *fixture) {
	f.openAs(nil)
	f.ok(f.reopen(nil))
	require.Equal(f, kv.DefaultTxnLifetime, f.store.Info().TxnLifetime)
	f.fails(f.reopen(&kv.Options{TxnLifetime: 7 * time.Second}), kv.ErrOptions)
	f.ok(f.reopen(&kv.Options{TxnLifetime: kv.DefaultTxnLifetime}))

	f.open(&kv.Options{TxnLifetime: 7 * time.Second})
	f.put("a", "1")
	for range 2 {
		f.ok(f.reopen(nil))
		require.Equal(f, 7*time.Second, f.store.Info().TxnLifetime, "the store keeps it")
	}
	f.fails(f.reopen(&kv.Options{TxnLifetime: kv.DefaultTxnLifetime}), kv.ErrOptions)
	f.ok(f.reopen(&kv.Options{TxnLifetime: 7 * time.Second}))
	require.Equal(f, "1", f.now("a"))
}

func reopenVersions(f *fixture) {
	last := f.put("a", "1")
	for range 3 {
		f.ok(f.reopen(nil))
		require.GreaterOrEqual(f, f.view().ReadVersion(), last, "a begin sees what was acknowledged before")
		require.GreaterOrEqual(f, f.begin().ReadVersion(), last)
		v := f.put("a", "1")
		require.Greater(f, v, last)
		f.ok(f.store.WaitDurable(f.ctx, v))
		last = v
	}
}

func crashDurable(f *fixture) {
	f.put("a", "1", "b", "2")
	f.remove("b")
	want := []string{"a=1"}
	if f.h.Caps.NoSync {
		tx := f.beginWith(&kv.TxnOptions{Durability: kv.NoSync})
		f.set(tx, "c", "3")
		f.ok(f.store.WaitDurable(f.ctx, f.commit(tx)))
		want = append(want, "c=3")
	}
	f.crash(nil)
	require.Equal(f, want, f.contents())
	if !f.h.Caps.NoSync {
		return
	}
	tx := f.beginWith(&kv.TxnOptions{Durability: kv.NoSync})
	f.set(tx, "d", "4")
	f.commit(tx)
	f.put("e", "5") // makes all earlier commits durable
	f.crash(nil)
	require.Equal(f, append(want, "d=4", "e=5"), f.contents())
}

func crashVersions(f *fixture) {
	last := f.put("a", "1")
	for range 3 {
		if f.h.Caps.NoSync { // versions of commits that are lost are not given again
			for range 5 {
				tx := f.beginWith(&kv.TxnOptions{Durability: kv.NoSync})
				f.set(tx, "a", "1")
				last = f.commit(tx)
			}
		}
		f.crash(nil)
		v := f.put("a", "1")
		require.Greater(f, v, last)
		last = v
	}
}
