package kvtest

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func conflictCases() []testCase {
	return []testCase{
		{name: "blind writes", run: blindWrites},
		{name: "blind deletes", run: blindDeletes},
		{name: "deletes of absent keys", run: absentDeletes},
		{name: "several writers, one wins", run: oneWins},
		{name: "writes before the begin do not conflict", run: noFalseConflict},
		{name: "a conflict in one of many keys", run: oneOfMany},
		{name: "disjoint transactions never conflict", run: disjoint},
		{name: "reads never conflict", run: readsNeverConflict},
		{name: "conflicts across thousands of commits", run: conflictMemory},
		{name: "a commit is atomic", run: atomicCommit},
	}
}

func blindWrites(f *fixture) {
	t1, t2 := f.begin(), f.begin()
	f.set(t1, "a", "1", "b", "1")
	f.set(t2, "b", "2", "c", "2")
	f.commit(t1)
	f.conflict(t2)
	require.Equal(f, []string{"a=1", "b=1"}, f.contents())
}

func blindDeletes(f *fixture) {
	f.put("a", "1")
	t1, t2, t3 := f.begin(), f.begin(), f.begin()
	f.del(t1, "a")
	f.del(t2, "a")
	f.set(t3, "a", "3")
	f.commit(t1)
	f.conflict(t2)
	f.conflict(t3)
	require.Empty(f, f.contents())

	f.put("a", "1")
	t1, t2 = f.begin(), f.begin()
	f.set(t1, "a", "2")
	f.del(t2, "a")
	f.commit(t1)
	f.conflict(t2)
	require.Equal(f, []string{"a=2"}, f.contents())
}

func absentDeletes(f *fixture) {
	for _, c := range []struct{ first, second func(tx *kv.Txn) }{
		{func(tx *kv.Txn) { f.del(tx, "a") }, func(tx *kv.Txn) { f.del(tx, "a") }},
		{func(tx *kv.Txn) { f.del(tx, "a") }, func(tx *kv.Txn) { f.set(tx, "a", "1") }},
		{func(tx *kv.Txn) { f.set(tx, "a", "1") }, func(tx *kv.Txn) { f.del(tx, "a") }},
		// Set and deleted again in one transaction is a delete.
		{func(tx *kv.Txn) { f.set(tx, "a", "1"); f.del(tx, "a") }, func(tx *kv.Txn) { f.set(tx, "a", "2") }},
	} {
		f.open(nil)
		t1, t2 := f.begin(), f.begin()
		c.first(t1)
		c.second(t2)
		v := f.commit(t1)
		require.Greater(f, v, t1.ReadVersion(), "a delete of nothing is a commit")
		f.conflict(t2)
	}
}

func oneWins(f *fixture) {
	const n = 20
	for winner := 0; winner < n; winner += 7 {
		var txs []*kv.Txn
		for i := range n {
			tx := f.begin()
			f.set(tx, "a", fmt.Sprint(i), fmt.Sprint("own", i), "x")
			txs = append(txs, tx)
		}
		f.commit(txs[winner])
		for i, tx := range txs {
			if i != winner {
				f.conflict(tx)
			}
		}
		require.Equal(f, []string{fmt.Sprint("a=", winner), fmt.Sprintf("own%d=x", winner)}, f.contents())
		f.remove("a", fmt.Sprint("own", winner))
	}
}

func noFalseConflict(f *fixture) {
	keep := f.begin() // keeps the engine remembering
	for i := range 20 {
		tx := f.begin()
		f.set(tx, "a", fmt.Sprint(i))
		f.lock(tx, "b")
		f.commit(tx)
		tx = f.begin()
		f.del(tx, "b")
		f.commit(tx)
	}
	f.set(keep, "c", "1")
	f.commit(keep)
}

func oneOfMany(f *fixture) {
	const n = 300
	for at := 0; at < n; at += n / 3 {
		t1, t2 := f.begin(), f.begin()
		for i := range n {
			f.set(t1, fmt.Sprintf("%03d", i), "t1")
		}
		f.set(t2, fmt.Sprintf("%03d", at), "t2")
		f.commit(t2)
		f.conflict(t1)
		require.Equal(f, []string{fmt.Sprintf("%03d=t2", at)}, f.contents())
		f.remove(fmt.Sprintf("%03d", at))
	}
}

func disjoint(f *fixture) {
	const n = 100
	var txs []*kv.Txn
	want := []string{}
	for i := range n {
		tx := f.begin()
		name := fmt.Sprintf("%03d", i)
		f.scan(tx)
		f.get(tx, fmt.Sprintf("%03d", (i+1)%n)) // reads what others write
		f.set(tx, name, "x")
		f.lock(tx, name+".lock")
		txs = append(txs, tx)
		want = append(want, name+"=x")
	}
	for i := range txs {
		f.commit(txs[i*37%n])
	}
	require.Equal(f, want, f.contents())
}

func readsNeverConflict(f *fixture) {
	f.put("a", "1", "b", "2")
	view, reader := f.view(), f.begin()
	f.scan(view)
	f.scan(reader)
	f.put("a", "11", "c", "3")
	f.remove("b")
	f.commit(view)
	f.commit(reader)
	require.Equal(f, reader.ReadVersion(), reader.CommitVersion())
	attempts := 0
	f.ok(f.store.View(f.ctx, func(tx *kv.Txn) error {
		attempts++
		f.scan(tx)
		f.put("a", "111")
		return nil
	}))
	require.Equal(f, 1, attempts)
}

// conflictMemory: a transaction that stays open while thousands commit finds its
// conflict with the first commit or with the last, and finds no conflict where there
// is none.
func conflictMemory(f *fixture) {
	const commits, perCommit = 2000, 3
	f.open(&kv.Options{Durability: f.quick()})
	first, last, lockFirst, free := f.begin(), f.begin(), f.begin(), f.begin()
	f.set(first, "w0.0", "mine")
	f.set(last, fmt.Sprintf("w%d.2", commits-1), "mine")
	f.lock(lockFirst, "w0.1")
	f.set(lockFirst, "x", "1")
	f.set(free, "free", "1")
	locked := f.begin()
	f.set(locked, "locked", "mine")
	lock := f.begin()
	f.lock(lock, "locked")
	f.commit(lock)
	for i := range commits {
		var pairs []string
		for j := range perCommit {
			pairs = append(pairs, fmt.Sprintf("w%d.%d", i, j), "theirs")
		}
		f.put(pairs...)
		if i%100 == 0 {
			f.put("w0.0", "theirs") // the same key again must not hide the first one
		}
	}
	f.conflict(first)
	f.conflict(last)
	f.conflict(lockFirst)
	f.conflict(locked)
	f.commit(free)
	require.Equal(f, "theirs", f.now("w0.0"))
}

// quick is the durability for cases that commit much and do not look at it.
func (f *fixture) quick() kv.Durability {
	if f.h.Caps.NoSync {
		return kv.NoSync
	}
	return kv.Sync
}

func atomicCommit(f *fixture) {
	tx := f.begin()
	want := []string{}
	for i := range 200 {
		name := fmt.Sprintf("%03d", i)
		f.set(tx, name, "1")
		want = append(want, name+"=1")
	}
	f.commit(tx)
	require.Equal(f, want, f.contents())
	tx = f.begin()
	for i := range 200 {
		if i%2 == 0 {
			f.del(tx, fmt.Sprintf("%03d", i))
		}
	}
	f.commit(tx)
	require.Len(f, f.contents(), 100)
}

func concurrentCases() []testCase {
	return []testCase{
		{name: "concurrent counters", run: counters},
		{name: "concurrent transfers", run: transfers},
		{name: "concurrent write skew with locks", run: onCall},
	}
}

// workers runs n of do at once and waits for them.
func (f *fixture) workers(n int, do func(worker int) error) {
	f.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() { errs <- do(i) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		f.ok(err)
	}
}

// scaled is how often a concurrent case repeats itself.
func (f *fixture) scaled(n int) int {
	if f.h.Remote {
		return max(1, n/5)
	}
	return n
}

// patient is a store whose Update does not give up.
func (f *fixture) patient() {
	f.open(&kv.Options{Durability: f.quick(), MaxAttempts: 1 << 20})
}

func counters(f *fixture) {
	f.patient()
	const workers = 8
	each := f.scaled(50)
	f.workers(workers, func(worker int) error {
		for range each {
			err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
				for _, name := range []string{"all", fmt.Sprint(worker % 2)} {
					v, err := tx.BatchGet(f.ctx, keys(name))
					if err != nil {
						return err
					}
					n := 0
					if v[0] != nil {
						if n, err = strconv.Atoi(unmark(v[0])); err != nil {
							return err
						}
					}
					if err := tx.Set(key(name), val(fmt.Sprint(n+1))); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	half := fmt.Sprint(workers * each / 2)
	require.Equal(f, []string{"0=" + half, "1=" + half, fmt.Sprint("all=", workers*each)}, f.contents())
}

// total adds up all accounts that tx sees.
func (f *fixture) total(tx *kv.Txn) (int, error) {
	sum := 0
	for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{PageSize: 2}) {
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(unmark(p.Value))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// transfers moves money between accounts while others add it all up: every
// snapshot has the same sum.
func transfers(f *fixture) {
	f.patient()
	const accounts, start = 6, 1000
	for i := range accounts {
		f.put(fmt.Sprint(i), fmt.Sprint(start))
	}
	each := f.scaled(60)
	f.workers(6, func(worker int) error {
		for i := range each {
			var err error
			if worker < 2 {
				err = f.store.View(f.ctx, func(tx *kv.Txn) error {
					sum, err := f.total(tx)
					if err == nil && sum != accounts*start {
						err = fmt.Errorf("a snapshot with a sum of %d", sum)
					}
					return err
				})
			} else {
				err = f.transfer(fmt.Sprint((worker+i)%accounts), fmt.Sprint((worker*i+3)%accounts))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	sum, err := f.total(f.view())
	f.ok(err)
	require.Equal(f, accounts*start, sum)
}

func (f *fixture) transfer(from, to string) error {
	if from == to {
		return nil
	}
	return f.store.Update(f.ctx, func(tx *kv.Txn) error {
		v, err := tx.BatchGet(f.ctx, keys(from, to))
		if err != nil {
			return err
		}
		for i, by := range []int{-1, 1} {
			n, err := strconv.Atoi(unmark(v[i]))
			if err != nil {
				return err
			}
			if err := tx.Set(key([]string{from, to}[i]), val(fmt.Sprint(n+by))); err != nil {
				return err
			}
		}
		return nil
	})
}

// onCall is the classic write skew: one doctor out of two has to stay on call. A
// doctor leaves if the other is there, and locks the key that says so.
func onCall(f *fixture) {
	f.patient()
	rounds := f.scaled(50)
	for range rounds {
		f.put("0", "1", "1", "1")
		f.workers(2, func(worker int) error {
			return f.store.Update(f.ctx, func(tx *kv.Txn) error {
				me, other := fmt.Sprint(worker), key(fmt.Sprint(1-worker))
				has, err := tx.Has(f.ctx, other)
				if err != nil || !has {
					return err
				}
				if err := tx.Lock(f.ctx, other); err != nil {
					return err
				}
				return tx.Delete(key(me))
			})
		})
		require.Len(f, f.contents(), 1, "exactly one stays")
	}
}
