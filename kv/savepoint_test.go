package kv_test

import (
	"maps"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// TestSavepointModel runs random programs of writes, savepoints and rollbacks
// against maps that are copied at each savepoint.
func TestSavepointModel(t *testing.T) {
	store, err := memory.Open(nil)
	require.NoError(t, err)
	defer store.Close()
	key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		tx := begin(t, store, nil)
		defer tx.Rollback()
		type state struct {
			sp     *kv.Savepoint
			values map[string]string
			size   int
			hooks  int
			live   bool
		}
		now := state{values: map[string]string{}}
		ran := 0
		var saved []state
		rt.Repeat(map[string]func(*rapid.T){
			"set": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), rapid.StringN(1, 4, 4).Draw(rt, "value")
				require.NoError(rt, tx.Set([]byte(k), []byte(v)))
				now.values[k] = v
				now.size = tx.Size()
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				require.NoError(rt, tx.Delete([]byte(k)))
				delete(now.values, k)
				now.size = tx.Size()
			},
			"lock": func(rt *rapid.T) {
				require.NoError(rt, tx.Lock(ctx, []byte(key.Draw(rt, "key"))))
				now.size = tx.Size()
			},
			"hook": func(*rapid.T) {
				tx.OnCommit(func() { ran++ })
				now.hooks++
			},
			"savepoint": func(rt *rapid.T) {
				sp, err := tx.Savepoint()
				require.NoError(rt, err)
				saved = append(saved, state{sp, maps.Clone(now.values), now.size, now.hooks, true})
			},
			"rollback": func(rt *rapid.T) {
				if len(saved) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(saved)-1).Draw(rt, "savepoint")
				if !saved[i].live {
					require.ErrorIs(rt, tx.RollbackTo(saved[i].sp), kv.ErrSavepoint)
					return
				}
				require.NoError(rt, tx.RollbackTo(saved[i].sp))
				now = saved[i]
				now.values = maps.Clone(now.values)
				for j := i + 1; j < len(saved); j++ {
					saved[j].live = false
				}
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, now.size, tx.Size())
				for _, k := range []string{"a", "b", "c", "d"} {
					v, written := now.values[k]
					got, err := tx.Get(ctx, []byte(k))
					if written {
						require.NoError(rt, err)
						require.Equal(rt, v, string(got))
					} else {
						require.ErrorIs(rt, err, kv.ErrNotFound)
					}
				}
			},
		})
		if len(now.values) == 0 { // leaves the store empty for the next program
			require.NoError(rt, tx.Commit(ctx))
			require.Equal(rt, now.hooks, ran)
		}
	})
}

func TestSavepointOfAnotherTransaction(t *testing.T) {
	s, _ := openProbe(t, nil)
	a, b := begin(t, s, nil), begin(t, s, nil)
	sp, err := a.Savepoint()
	require.NoError(t, err)
	require.ErrorIs(t, b.RollbackTo(sp), kv.ErrSavepoint)
	require.ErrorIs(t, b.RollbackTo(nil), kv.ErrSavepoint)
	require.NoError(t, a.RollbackTo(sp))
	a.Rollback()
	require.ErrorIs(t, a.RollbackTo(sp), kv.ErrTxnDone)
	_, err = a.Savepoint()
	require.ErrorIs(t, err, kv.ErrTxnDone)
	_, err = begin(t, s, &kv.TxnOptions{ReadOnly: true}).Savepoint()
	require.ErrorIs(t, err, kv.ErrReadOnly)
}

// TestSavepointCuresTooLarge: a write that did not fit leaves only a rollback,
// and that to a savepoint is enough.
func TestSavepointCuresTooLarge(t *testing.T) {
	s, p := openProbe(t, &kv.Options{MaxTxnSize: 10})
	tx := begin(t, s, nil)
	require.NoError(t, tx.Set([]byte("a"), []byte("1234")))
	sp, err := tx.Savepoint()
	require.NoError(t, err)
	require.ErrorIs(t, tx.Set([]byte("b"), []byte("12345")), kv.ErrTxnTooLarge)
	require.ErrorIs(t, tx.Delete([]byte("b")), kv.ErrTxnTooLarge, "even if it would fit")
	require.ErrorIs(t, tx.Lock(t.Context(), []byte("b")), kv.ErrTxnTooLarge)
	require.NoError(t, tx.RollbackTo(sp))
	require.NoError(t, tx.Set([]byte("a"), []byte("123456789")), "replaces, so it fits")
	require.Equal(t, 10, tx.Size())
	require.NoError(t, tx.Commit(t.Context()))

	tx = begin(t, s, nil)
	require.ErrorIs(t, tx.Set([]byte("b"), []byte("1234567890")), kv.ErrTxnTooLarge)
	commits := p.count(onCommit)
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnTooLarge)
	require.Equal(t, commits, p.count(onCommit))
}

// TestDroppedSavepoints: a transaction does not keep alive the savepoints, and
// with them the old write sets, that its caller has dropped.
func TestDroppedSavepoints(t *testing.T) {
	s, _ := openProbe(t, nil)
	tx := begin(t, s, nil)
	defer tx.Rollback()
	var dropped []weak.Pointer[kv.Savepoint]
	for range 10 {
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		sp, err := tx.Savepoint()
		require.NoError(t, err)
		dropped = append(dropped, weak.Make(sp))
	}
	runtime.GC()
	for i, w := range dropped[:9] { // the last may still be in a register
		require.Nil(t, w.Value(), "savepoint %d", i)
	}
}
