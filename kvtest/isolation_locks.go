package kvtest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func lockCases() []testCase {
	return []testCase{
		{name: "lock, then another's write", run: lockThenWrite},
		{name: "write, then another's lock", run: writeThenLock},
		{name: "lock and another's delete", run: lockAndDelete},
		{name: "lock of an absent key", run: lockAbsent},
		{name: "lock and write of the same key", run: lockAndWrite},
		{name: "a transaction that only locks", run: lockOnly},
		{name: "two locks of the same key", run: twoLocks},
		{name: "locks of other keys", run: lockOthers},
		{name: "a lock without a commit", run: lockWithoutCommit},
		{name: "locks of later transactions", run: lockLater},
		{name: "RollbackTo drops locks and writes", run: rollbackToDrops},
		{name: "many locks", run: manyLocks},
	}
}

// lockThenWrite: the transaction that locked commits first, so the writer fails.
func lockThenWrite(f *fixture) {
	locker, writer := f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.set(writer, "1", "11")
	f.commit(locker)
	f.conflict(writer)
	require.Equal(f, []string{"1=10", "2=20", "x=1"}, f.contents())
}

// writeThenLock: the writer commits first, so the transaction that locked fails.
func writeThenLock(f *fixture) {
	locker, writer := f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.set(writer, "1", "11")
	f.commit(writer)
	f.conflict(locker)
	require.Equal(f, []string{"1=11", "2=20"}, f.contents())

	locker, writer = f.pair() // the same if it locks only after that commit
	f.set(writer, "1", "11")
	f.commit(writer)
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.conflict(locker)
}

func lockAndDelete(f *fixture) {
	locker, deleter := f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.del(deleter, "1")
	f.commit(deleter)
	f.conflict(locker)
	locker, deleter = f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.del(deleter, "1")
	f.commit(locker)
	f.conflict(deleter)
	require.Equal(f, []string{"1=10", "2=20", "x=1"}, f.contents())
}

func lockAbsent(f *fixture) {
	for _, write := range []func(tx *kv.Txn){
		func(tx *kv.Txn) { f.set(tx, "absent", "1") },
		func(tx *kv.Txn) { f.del(tx, "absent") },
	} {
		f.open(nil)
		locker, writer := f.pair()
		f.lock(locker, "absent")
		f.set(locker, "x", "1")
		write(writer)
		f.commit(writer)
		f.conflict(locker)

		f.open(nil)
		locker, writer = f.pair()
		f.lock(locker, "absent")
		f.set(locker, "x", "1")
		write(writer)
		f.commit(locker)
		f.conflict(writer)
		require.Equal(f, []string{"1=10", "2=20", "x=1"}, f.contents(), "a lock writes nothing")
	}
}

func lockAndWrite(f *fixture) {
	for _, change := range []func(tx *kv.Txn){
		func(tx *kv.Txn) { f.lock(tx, "1"); f.set(tx, "1", "11") },
		func(tx *kv.Txn) { f.set(tx, "1", "11"); f.lock(tx, "1") },
		func(tx *kv.Txn) { f.lock(tx, "1", "1"); f.set(tx, "1", "11"); f.lock(tx, "1", "1") },
	} {
		t1, t2 := f.pair()
		change(t1)
		f.set(t2, "1", "12")
		require.Equal(f, "11", f.get(t1, "1"))
		f.commit(t1)
		f.conflict(t2)
		require.Equal(f, []string{"1=11", "2=20"}, f.contents(), "it is written")

		t1, t2 = f.pair()
		change(t1)
		f.set(t2, "1", "12")
		f.commit(t2)
		f.conflict(t1)
		require.Equal(f, []string{"1=12", "2=20"}, f.contents())
	}
	t1, t2 := f.pair() // lock, write, and the write undone: the lock is left
	f.lock(t1, "1")
	f.set(t1, "x", "1")
	sp := f.savepoint(t1)
	f.set(t1, "1", "11")
	f.ok(t1.RollbackTo(sp))
	f.set(t2, "1", "12")
	f.commit(t2)
	f.conflict(t1)
}

func lockOnly(f *fixture) {
	locker, writer := f.pair()
	f.lock(locker, "1", "absent")
	v := f.commit(locker)
	require.GreaterOrEqual(f, v, locker.ReadVersion())
	f.set(writer, "1", "11")
	f.conflict(writer)
	require.Equal(f, []string{"1=10", "2=20"}, f.contents(), "a lock writes nothing")

	locker, writer = f.pair()
	f.lock(locker, "1")
	f.set(writer, "1", "11")
	f.commit(writer)
	f.conflict(locker)
}

// twoLocks: whether two locks conflict is unspecified, but what each commit says is true.
func twoLocks(f *fixture) {
	t1, t2 := f.pair()
	for i, tx := range []*kv.Txn{t1, t2} {
		f.lock(tx, "1")
		f.set(tx, string(rune('a'+i)), "1")
	}
	want := []string{"1=10", "2=20", "a=1"}
	f.commit(t1)
	err := t2.Commit(f.ctx)
	if err == nil {
		want = append(want, "b=1")
	} else {
		f.fails(err, kv.ErrConflict)
	}
	require.Equal(f, want, f.contents())
}

func lockOthers(f *fixture) {
	locker, writer := f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.set(writer, "2", "21", "11", "1", "0", "1")
	f.commit(locker)
	f.commit(writer)

	locker, writer = f.pair()
	f.lock(locker, "1")
	f.set(locker, "x", "1")
	f.set(writer, "2", "21", "11", "1", "0", "1")
	f.commit(writer)
	f.commit(locker)
}

func lockWithoutCommit(f *fixture) {
	locker, writer := f.pair()
	f.lock(locker, "1")
	f.set(writer, "1", "11")
	locker.Rollback()
	f.commit(writer)

	locker, writer = f.pair() // nor does one whose commit failed
	f.lock(locker, "1", "2")
	f.set(writer, "1", "11")
	f.put("2", "22")
	f.conflict(locker)
	f.commit(writer)
	require.Equal(f, []string{"1=11", "2=22"}, f.contents())
}

// lockLater: only what overlaps conflicts.
func lockLater(f *fixture) {
	f.put("1", "10")
	t1 := f.begin()
	f.lock(t1, "1")
	f.set(t1, "x", "1")
	f.commit(t1)
	t2 := f.begin()
	f.set(t2, "1", "11")
	f.commit(t2)
	t3 := f.begin()
	f.lock(t3, "1")
	f.set(t3, "x", "2")
	f.commit(t3)
	require.Equal(f, []string{"1=11", "x=2"}, f.contents())
}

func rollbackToDrops(f *fixture) {
	for _, undone := range []func(tx *kv.Txn){
		func(tx *kv.Txn) { f.lock(tx, "1") },
		func(tx *kv.Txn) { f.set(tx, "1", "11") },
		func(tx *kv.Txn) { f.del(tx, "1") },
	} {
		t1, t2 := f.pair()
		f.set(t1, "x", "1")
		sp := f.savepoint(t1)
		undone(t1)
		f.ok(t1.RollbackTo(sp))
		f.set(t2, "1", "12")
		f.commit(t2)
		f.commit(t1)

		t1, t2 = f.pair() // and the other way round
		f.set(t1, "x", "1")
		sp = f.savepoint(t1)
		undone(t1)
		f.ok(t1.RollbackTo(sp))
		f.set(t2, "1", "12")
		f.commit(t1)
		f.commit(t2)
		require.Equal(f, []string{"1=12", "2=20", "x=1"}, f.contents())
	}
}

func manyLocks(f *fixture) {
	f.numbered(500)
	locker := f.begin()
	var all []string
	for _, pair := range f.scan(locker) {
		all = append(all, pair[:5])
	}
	f.lock(locker, all...)
	f.set(locker, "x", "1")
	var writers []*kv.Txn
	for _, i := range []int{0, 250, 499} {
		w := f.begin()
		f.set(w, all[i], "new")
		writers = append(writers, w)
	}
	free := f.begin()
	f.set(free, "free", "1")
	f.commit(locker)
	for _, w := range writers {
		err := w.Commit(f.ctx)
		require.True(f, errors.Is(err, kv.ErrConflict), "each lock counts, the first, a middle and the last")
	}
	f.commit(free)
}
