package kvtest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func transactionCases() []testCase {
	return []testCase{
		{name: "Commit and Rollback twice", run: endTwice},
		{name: "use after the end", run: useAfterEnd},
		{name: "Rollback writes nothing", run: rollbackWritesNothing},
		{name: "a failed Commit ends the transaction", run: failedCommitEnds},
		{name: "read-only transactions", run: readOnly},
		{name: "a transaction without writes", run: withoutWrites},
		{name: "OnCommit", run: onCommit},
		{name: "OnCommit runs only after a commit", run: onCommitOnlyThen},
	}
}

func endTwice(f *fixture) {
	tx := f.begin()
	f.set(tx, "a", "1")
	v := f.commit(tx)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	tx.Rollback() // does nothing
	tx.Rollback()
	require.Equal(f, v, tx.CommitVersion())
	require.Equal(f, "1", f.now("a"))

	tx = f.begin()
	f.set(tx, "a", "2")
	tx.Rollback()
	tx.Rollback()
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	require.Zero(f, tx.CommitVersion())
	require.Equal(f, "1", f.now("a"))
}

// allFail requires every method of tx that can fail, and c's, to fail with want.
func (f *fixture) allFail(tx *kv.Txn, c *kv.Cursor, sp *kv.Savepoint, want error) {
	f.Helper()
	_, err := tx.Get(f.ctx, key("a"))
	f.fails(err, want)
	_, err = tx.Has(f.ctx, key("a"))
	f.fails(err, want)
	_, err = tx.BatchGet(f.ctx, keys("a", "b"))
	f.fails(err, want)
	_, err = tx.Cursor(f.ctx, kv.Range{}, nil)
	f.fails(err, want)
	yields := 0
	for p, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
		yields++
		require.Empty(f, p)
		f.fails(err, want)
	}
	require.Equal(f, 1, yields, "an error is yielded once")
	require.False(f, c.Next(f.ctx))
	f.fails(c.Err(), want)
	require.False(f, c.Seek(f.ctx, key("a")))
	f.fails(c.Err(), want)
	c.Close()
	if !tx.ReadOnly() {
		f.fails(tx.Set(key("a"), val("x")), want)
		f.fails(tx.Delete(key("a")), want)
		f.fails(tx.DeleteRange(f.ctx, kv.Range{}), want)
		f.fails(tx.Lock(f.ctx, key("a")), want)
		_, err = tx.Savepoint()
		f.fails(err, want)
		f.fails(tx.RollbackTo(sp), want)
		f.fails(tx.SetDurability(kv.Sync), want)
	}
	if !errors.Is(want, kv.ErrSnapshotTooOld) { // a view that is too old still commits
		tx.OnCommit(func() { f.Errorf("OnCommit of a transaction that had ended") })
	}
	require.Zero(f, tx.Size())
}

// opened returns a transaction that has written, a cursor of it that stands on
// a pair, and a savepoint.
func (f *fixture) opened(o *kv.TxnOptions) (*kv.Txn, *kv.Cursor, *kv.Savepoint) {
	f.Helper()
	tx := f.beginWith(o)
	var sp *kv.Savepoint
	if !tx.ReadOnly() {
		f.set(tx, "w", "1")
		var err error
		sp, err = tx.Savepoint()
		f.ok(err)
	}
	c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
	f.ok(err)
	require.True(f, c.Next(f.ctx))
	return tx, c, sp
}

func useAfterEnd(f *fixture) {
	f.put("a", "1", "b", "2")
	for _, o := range []*kv.TxnOptions{nil, {ReadOnly: true}} {
		tx, c, sp := f.opened(o)
		f.commit(tx)
		f.allFail(tx, c, sp, kv.ErrTxnDone)
		f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)

		tx, c, sp = f.opened(o)
		tx.Rollback()
		f.allFail(tx, c, sp, kv.ErrTxnDone)
		f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	}
	tx, c, sp := f.opened(nil)
	f.put("w", "2")
	f.conflict(tx)
	f.allFail(tx, c, sp, kv.ErrTxnDone)
}

func rollbackWritesNothing(f *fixture) {
	f.put("a", "1", "b", "2")
	tx := f.begin()
	f.set(tx, "a", "11", "c", "33")
	f.del(tx, "b")
	tx.Rollback()
	require.Equal(f, []string{"a=1", "b=2"}, f.contents())
}

func failedCommitEnds(f *fixture) {
	f.put("a", "1")
	tx := f.begin()
	f.set(tx, "a", "2", "b", "2")
	f.put("a", "3")
	f.conflict(tx)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	require.Zero(f, tx.CommitVersion())
	require.Equal(f, []string{"a=3"}, f.contents(), "nothing was written")
}

func readOnly(f *fixture) {
	f.put("a", "1")
	tx := f.view()
	require.True(f, tx.ReadOnly())
	f.fails(tx.Set(key("a"), val("x")), kv.ErrReadOnly)
	f.fails(tx.Delete(key("a")), kv.ErrReadOnly)
	f.fails(tx.DeleteRange(f.ctx, kv.Range{}), kv.ErrReadOnly)
	f.fails(tx.Lock(f.ctx, key("a")), kv.ErrReadOnly)
	require.Equal(f, "1", f.get(tx, "a"))
	ran := false
	tx.OnCommit(func() { ran = true })
	f.put("a", "2")
	f.commit(tx)
	require.True(f, ran)
	require.Equal(f, tx.ReadVersion(), tx.CommitVersion())
	require.False(f, f.begin().ReadOnly())
	f.fails(f.store.View(f.ctx, func(tx *kv.Txn) error { return tx.Delete(key("a")) }), kv.ErrReadOnly)
	require.Equal(f, "2", f.now("a"))
}

func withoutWrites(f *fixture) {
	f.put("a", "1")
	tx := f.begin()
	require.Equal(f, "1", f.get(tx, "a"))
	f.put("a", "2")
	f.commit(tx) // reads are not validated
	require.Equal(f, tx.ReadVersion(), tx.CommitVersion())

	cancelled := f.cancelled()
	tx = f.begin()
	f.ok(tx.Commit(cancelled))
	require.Equal(f, tx.ReadVersion(), tx.CommitVersion())
}

func onCommit(f *fixture) {
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	tx := f.begin()
	f.set(tx, "a", "1")
	for _, s := range []string{"1", "2", "3"} {
		tx.OnCommit(note(s))
	}
	tx.OnCommit(func() {
		require.NotZero(f, tx.CommitVersion())
		require.Equal(f, "1", f.now("a"), "the commit is visible")
	})
	require.Empty(f, order)
	f.commit(tx)
	require.Equal(f, []string{"1", "2", "3"}, order)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	tx.Rollback()
	require.Len(f, order, 3, "they run once")

	order = nil
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		tx.OnCommit(note("update"))
		return tx.Set(key("a"), val("2"))
	}))
	f.ok(f.store.View(f.ctx, func(tx *kv.Txn) error { tx.OnCommit(note("view")); return nil }))
	require.Equal(f, []string{"update", "view"}, order)
}

func onCommitOnlyThen(f *fixture) {
	never := func() { f.Errorf("an OnCommit ran without a commit") }
	tx := f.begin()
	f.set(tx, "a", "1")
	tx.OnCommit(never)
	tx.Rollback()

	tx = f.begin()
	f.set(tx, "a", "1")
	tx.OnCommit(never)
	f.put("a", "2")
	f.conflict(tx)

	refused := errors.New("refused")
	f.fails(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		tx.OnCommit(never)
		return refused
	}), refused)

	ran := 0 // of attempts only the one that commits counts
	attempts := 0
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		attempts++
		tx.OnCommit(func() { ran++ })
		if attempts == 1 {
			f.put("a", "3")
		}
		return tx.Set(key("a"), val("4"))
	}))
	require.Equal(f, 2, attempts)
	require.Equal(f, 1, ran)
}
