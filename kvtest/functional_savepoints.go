package kvtest

import (
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func savepointCases() []testCase {
	return []testCase{
		{name: "RollbackTo", run: rollbackTo},
		{name: "nested savepoints", run: nestedSavepoints},
		{name: "foreign savepoints", run: foreignSavepoints},
		{name: "RollbackTo and OnCommit", run: rollbackToHooks},
		{name: "RollbackTo and open cursors", run: rollbackToCursors},
		{name: "RollbackTo of everything", run: rollbackToNothing},
	}
}

func (f *fixture) savepoint(tx *kv.Txn) *kv.Savepoint {
	f.Helper()
	sp, err := tx.Savepoint()
	f.ok(err)
	return sp
}

func rollbackTo(f *fixture) {
	f.put("a", "1", "b", "2")
	tx := f.begin()
	f.set(tx, "a", "11", "c", "3")
	size := tx.Size()
	sp := f.savepoint(tx)
	f.set(tx, "a", "111", "d", "4")
	f.del(tx, "b", "c")
	f.lock(tx, "e")
	require.Equal(f, []string{"a=111", "d=4"}, f.scan(tx))
	f.ok(tx.RollbackTo(sp))
	require.Equal(f, size, tx.Size())
	require.Equal(f, []string{"a=11", "b=2", "c=3"}, f.scan(tx))
	require.Equal(f, []string{"11", "2", "3", ""}, f.batch(tx, "a", "b", "c", "d"))

	f.set(tx, "e", "5") // a savepoint serves more than once
	f.ok(tx.RollbackTo(sp))
	f.ok(tx.RollbackTo(sp))
	f.set(tx, "f", "6")
	f.commit(tx)
	require.Equal(f, []string{"a=11", "b=2", "c=3", "f=6"}, f.contents())
}

func nestedSavepoints(f *fixture) {
	tx := f.begin()
	var sps []*kv.Savepoint
	states := [][]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		sps = append(sps, f.savepoint(tx))
		states = append(states, f.scan(tx))
		f.set(tx, name, name)
	}
	f.ok(tx.RollbackTo(sps[2]))
	require.Equal(f, states[2], f.scan(tx))
	f.fails(tx.RollbackTo(sps[3]), kv.ErrSavepoint)
	require.Equal(f, states[2], f.scan(tx), "a discarded savepoint changes nothing")
	f.set(tx, "x", "x")
	again := f.savepoint(tx)
	f.ok(tx.RollbackTo(again))
	f.ok(tx.RollbackTo(sps[1]))
	require.Equal(f, states[1], f.scan(tx))
	f.fails(tx.RollbackTo(sps[2]), kv.ErrSavepoint)
	f.fails(tx.RollbackTo(again), kv.ErrSavepoint)
	f.ok(tx.RollbackTo(sps[0]))
	require.Empty(f, f.scan(tx))
	f.set(tx, "z", "z")
	f.commit(tx)
	require.Equal(f, []string{"z=z"}, f.contents())
}

func foreignSavepoints(f *fixture) {
	tx, other := f.begin(), f.begin()
	f.set(tx, "a", "1")
	sp := f.savepoint(other)
	f.fails(tx.RollbackTo(sp), kv.ErrSavepoint)
	f.fails(tx.RollbackTo(nil), kv.ErrSavepoint)
	other.Rollback()
	f.fails(tx.RollbackTo(sp), kv.ErrSavepoint)
	f.commit(tx)
	require.Equal(f, "1", f.now("a"))
}

func rollbackToHooks(f *fixture) {
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	tx := f.begin()
	f.set(tx, "a", "1")
	tx.OnCommit(note("before"))
	sp := f.savepoint(tx)
	tx.OnCommit(note("undone"))
	f.ok(tx.RollbackTo(sp))
	tx.OnCommit(note("after"))
	f.commit(tx)
	require.Equal(f, []string{"before", "after"}, order)
}

// rollbackToCursors: an iterator sees the writes as of its creation, also after a
// rollback has undone these writes.
func rollbackToCursors(f *fixture) {
	f.put("a", "1", "c", "3")
	tx := f.begin()
	sp := f.savepoint(tx)
	f.set(tx, "b", "2")
	f.del(tx, "c")
	c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
	f.ok(err)
	defer c.Close()
	require.True(f, c.Next(f.ctx))
	f.ok(tx.RollbackTo(sp))
	f.set(tx, "bb", "4")
	require.True(f, c.Next(f.ctx))
	require.Equal(f, key("b"), c.Key())
	require.False(f, c.Next(f.ctx))
	f.ok(c.Err())
	require.Equal(f, []string{"a=1", "bb=4", "c=3"}, f.scan(tx))
}

func rollbackToNothing(f *fixture) {
	f.put("a", "1")
	tx := f.begin()
	sp := f.savepoint(tx)
	f.set(tx, "a", "2")
	f.lock(tx, "b")
	f.ok(tx.RollbackTo(sp))
	require.Zero(f, tx.Size())
	f.put("a", "3", "b", "4")
	f.commit(tx) // what was undone cannot conflict
	require.Equal(f, tx.ReadVersion(), tx.CommitVersion(), "nothing was left to write")
	require.Equal(f, []string{"a=3", "b=4"}, f.contents())
}
