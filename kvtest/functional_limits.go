package kvtest

import (
	"bytes"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func limitCases() []testCase {
	return []testCase{
		{name: "key size", run: keySize},
		{name: "value size", run: valueSize},
		{name: "transaction size", run: txnSize},
		{name: "transaction size after overwrites", run: txnSizeOverwrites},
		{name: "transaction size counts locks", run: txnSizeLocks},
		{name: "a transaction that is too large stays so", run: txnTooLarge},
		{name: "RollbackTo undoes too large", run: tooLargeRollbackTo},
		{name: "a transaction as large as allowed", run: txnAsLargeAsAllowed},
	}
}

func keySize(f *fixture) {
	limit := f.store.Info().Limits.MaxKeySize
	require.GreaterOrEqual(f, limit, kv.DefaultMaxKeySize, "no driver may allow less")
	for _, n := range []int{limit - 1, limit, limit + 1} {
		k := bytes.Repeat([]byte("k"), n)
		var want error
		if n > limit {
			want = kv.ErrKeyTooLarge
		}
		for _, write := range []func(tx *kv.Txn) error{
			func(tx *kv.Txn) error { return tx.Delete(k) },
			func(tx *kv.Txn) error { return tx.Lock(f.ctx, key("a"), k) },
			func(tx *kv.Txn) error { return tx.Set(k, val("v")) },
		} {
			tx := f.begin()
			require.ErrorIs(f, write(tx), want)
			if want != nil {
				require.Zero(f, tx.Size())
				f.set(tx, "a", "v") // the transaction is as before
			}
			f.commit(tx)
		}
		tx := f.view()
		has, err := tx.Has(f.ctx, k)
		f.ok(err)
		require.Equal(f, want == nil, has)
		got, err := tx.BatchGet(f.ctx, [][]byte{k, key("a")})
		f.ok(err)
		if want == nil {
			require.Equal(f, val("v"), got[0])
		} else {
			require.Nil(f, got[0], "a key that cannot be stored has no value")
			require.Equal(f, val("v"), got[1])
		}
	}
}

func valueSize(f *fixture) {
	limit := f.store.Info().Limits.MaxValueSize
	for _, n := range []int{limit - 1, limit, limit + 1} {
		v := bytes.Repeat([]byte(marker), n/len(marker)+1)[:n]
		tx := f.begin()
		if n > limit {
			f.fails(tx.Set(key("a"), v), kv.ErrValueTooLarge)
			require.Zero(f, tx.Size())
			f.set(tx, "b", "v")
			f.commit(tx)
			require.Equal(f, "v", f.now("b"))
			continue
		}
		f.ok(tx.Set(key("a"), v))
		f.commit(tx)
		tx = f.view()
		got, err := tx.Get(f.ctx, key("a"))
		f.ok(err)
		require.True(f, bytes.Equal(v, got))
		tx.Rollback()
	}
}

// sized returns a value that makes a write of key(name) take n bytes.
func sized(name string, n int) []byte {
	return bytes.Repeat([]byte("v"), n-len(key(name)))
}

func txnSize(f *fixture) {
	f.open(&kv.Options{MaxTxnSize: 1000})
	require.Equal(f, 1000, f.store.Info().Limits.MaxTxnSize)
	for _, total := range []int{999, 1000, 1001} {
		tx := f.begin()
		f.ok(tx.Set(key("a"), sized("a", 400)))
		require.Equal(f, 400, tx.Size())
		err := tx.Set(key("b"), sized("b", total-400))
		if total > 1000 {
			f.fails(err, kv.ErrTxnTooLarge)
			f.fails(tx.Commit(f.ctx), kv.ErrTxnTooLarge)
			continue
		}
		f.ok(err)
		require.Equal(f, total, tx.Size())
		f.commit(tx)
		f.remove("a", "b")
	}
	require.Empty(f, f.contents(), "nothing of the refused transaction was written")

	tx := f.begin() // one write alone
	f.ok(tx.Set(key("a"), sized("a", 1000)))
	f.commit(tx)
	tx = f.begin()
	f.fails(tx.Set(key("a"), sized("a", 1001)), kv.ErrTxnTooLarge)
}

func txnSizeOverwrites(f *fixture) {
	f.open(&kv.Options{MaxTxnSize: 1000})
	tx := f.begin()
	f.ok(tx.Set(key("a"), sized("a", 1000)))
	f.ok(tx.Set(key("a"), sized("a", 1000)))
	require.Equal(f, 1000, tx.Size(), "an overwrite replaces")
	f.ok(tx.Set(key("a"), sized("a", 600)))
	require.Equal(f, 600, tx.Size())
	f.ok(tx.Set(key("b"), sized("b", 400)))
	f.ok(tx.Delete(key("a")))
	require.Equal(f, 400+len(key("a")), tx.Size(), "a deletion takes its key")
	f.ok(tx.Set(key("a"), sized("a", 600)))
	require.Equal(f, 1000, tx.Size())
	f.fails(tx.Set(key("a"), sized("a", 601)), kv.ErrTxnTooLarge)
}

func txnSizeLocks(f *fixture) {
	n := len(key("x"))
	f.open(&kv.Options{MaxTxnSize: 10 * n})
	tx := f.begin()
	f.lock(tx, "0", "1", "2")
	require.Equal(f, 3*n, tx.Size())
	f.lock(tx, "0", "1", "2", "2")
	require.Equal(f, 3*n, tx.Size(), "each key counts once")
	f.del(tx, "0")
	require.Equal(f, 3*n, tx.Size(), "a write takes the place of a lock")
	f.del(tx, "3")
	f.lock(tx, "3")
	require.Equal(f, 4*n, tx.Size(), "a written key needs no lock")
	f.lock(tx, "4", "5", "6", "7", "8", "9")
	require.Equal(f, 10*n, tx.Size())
	f.fails(tx.Lock(f.ctx, key("a")), kv.ErrTxnTooLarge)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnTooLarge)
}

func txnTooLarge(f *fixture) {
	f.open(&kv.Options{MaxTxnSize: 1000})
	tx := f.begin()
	f.set(tx, "a", "v")
	f.fails(tx.Set(key("b"), sized("b", 1000)), kv.ErrTxnTooLarge)
	f.fails(tx.Set(key("c"), val("v")), kv.ErrTxnTooLarge)
	f.fails(tx.Delete(key("c")), kv.ErrTxnTooLarge)
	f.fails(tx.Lock(f.ctx, key("c")), kv.ErrTxnTooLarge)
	require.Equal(f, "v", f.get(tx, "a"), "reads go on")
	ran := false
	tx.OnCommit(func() { ran = true })
	f.fails(tx.Commit(f.ctx), kv.ErrTxnTooLarge)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	require.False(f, ran)
	require.Empty(f, f.contents())

	tx = f.begin() // nothing but the write that did not fit
	f.fails(tx.Set(key("b"), sized("b", 1001)), kv.ErrTxnTooLarge)
	f.fails(tx.Commit(f.ctx), kv.ErrTxnTooLarge)

	f.put("a", "1", "b", "2")
	f.open(&kv.Options{MaxTxnSize: len(key("x")) * 3})
	for i := range 4 {
		f.put(string(rune('a'+i)), "1")
	}
	tx = f.begin()
	f.fails(tx.DeleteRange(f.ctx, kv.Range{}), kv.ErrTxnTooLarge)
	tx.Rollback()
	require.Len(f, f.contents(), 4)
}

func tooLargeRollbackTo(f *fixture) {
	f.open(&kv.Options{MaxTxnSize: 1000})
	tx := f.begin()
	f.set(tx, "a", "v")
	sp, err := tx.Savepoint()
	f.ok(err)
	f.fails(tx.Set(key("b"), sized("b", 1000)), kv.ErrTxnTooLarge)
	late, err := tx.Savepoint()
	f.ok(err)
	f.ok(tx.RollbackTo(late))
	f.fails(tx.Set(key("c"), val("v")), kv.ErrTxnTooLarge)
	f.ok(tx.RollbackTo(sp))
	f.set(tx, "c", "w")
	f.commit(tx)
	require.Equal(f, []string{"a=v", "c=w"}, f.contents())
}

// txnAsLargeAsAllowed fills a transaction to the last byte: the engine's own
// overhead must not spoil the limit.
func txnAsLargeAsAllowed(f *fixture) {
	limits := f.store.Info().Limits
	tx := f.begin()
	left := limits.MaxTxnSize
	for i := 0; left > 0; i++ {
		k := []byte{byte(i >> 8), byte(i)}
		n := min(left-len(k), limits.MaxValueSize, 40<<10)
		if rest := left - len(k) - n; rest > 0 && rest <= len(k) {
			n -= len(k) // leave room for a last write
		}
		f.ok(tx.Set(k, bytes.Repeat([]byte("v"), n)))
		left -= len(k) + n
	}
	require.Equal(f, limits.MaxTxnSize, tx.Size())
	f.commit(tx)
	total := 0
	for p, err := range f.view().Scan(f.ctx, kv.Range{}, nil) {
		f.ok(err)
		total += len(p.Key) + len(p.Value)
	}
	require.Equal(f, limits.MaxTxnSize, total)
}
