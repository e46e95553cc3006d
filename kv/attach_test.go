package kv_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// noted is an attached value: a list that grows with the transaction.
type noted struct {
	notes  []string
	resets int
}

func newNoted() kv.Attached { return &noted{} }

func (n *noted) note(s string) { n.notes = append(n.notes, s) }
func (n *noted) Mark() any     { return len(n.notes) }

func (n *noted) Reset(mark any) {
	n.resets++
	kept, _ := mark.(int) // 0 when new
	n.notes = n.notes[:kept]
}

// fixed is an attached value that has nothing to follow.
type fixed struct{}

func (*fixed) Mark() any { return nil }
func (*fixed) Reset(any) {}

func notedOf(tx *kv.Txn, key any) *noted { return tx.Attach(key, newNoted).(*noted) }

func TestAttach(t *testing.T) {
	s, _ := openProbe(t, nil)
	type key struct{ n int }
	keys := []any{new(int), new(int), new(string), key{1}, key{2}, "text", 7}
	var kept *kv.Txn
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		kept = tx
		values := map[any]kv.Attached{}
		for _, k := range keys {
			values[k] = tx.Attach(k, newNoted)
		}
		for _, k := range keys {
			require.Same(t, values[k], tx.Attach(k, func() kv.Attached { panic("it is there") }))
			for _, other := range keys {
				require.Equal(t, k == other, values[k] == values[other])
			}
		}
		notedOf(tx, keys[0]).note("first")
		return nil
	}))
	require.Equal(t, []string{"first"}, notedOf(kept, keys[0]).notes, "the end changes nothing")
	late := notedOf(kept, "late")
	require.Same(t, late, notedOf(kept, "late"), "attached after the end")
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		require.NotSame(t, notedOf(kept, keys[0]), notedOf(tx, keys[0]), "each transaction has its own")
		return nil
	}))
}

// TestAttachNothing: a layer that has nothing to keep now is asked again.
func TestAttachNothing(t *testing.T) {
	s, _ := openProbe(t, nil)
	tx := begin(t, s, nil)
	require.Nil(t, tx.Attach(1, func() kv.Attached { return nil }))
	require.NotNil(t, tx.Attach(1, newNoted))
	outer := tx.Attach(2, func() kv.Attached {
		tx.Attach(3, newNoted) // a layer may rest on another
		return newNoted()
	})
	require.Same(t, outer, tx.Attach(2, nil))
	require.NotNil(t, tx.Attach(3, nil))
}

// TestAttachAcrossAttempts: an attempt of Update does not see what the one before it
// has attached.
func TestAttachAcrossAttempts(t *testing.T) {
	s, _ := openProbe(t, &kv.Options{MinBackoff: 1, MaxBackoff: 1})
	attempts := 0
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		notedOf(tx, s).note("x")
		require.Len(t, notedOf(tx, s).notes, 1)
		if attempts++; attempts < 3 {
			return kv.ErrConflict
		}
		return nil
	}))
	require.Equal(t, 3, attempts)
}

func TestAttachedFollowsSavepoints(t *testing.T) {
	s, _ := openProbe(t, nil)
	tx := begin(t, s, nil)
	a := notedOf(tx, "a")
	tx.Attach("fixed", func() kv.Attached { return &fixed{} })
	a.note("1")
	first, err := tx.Savepoint()
	require.NoError(t, err)
	a.note("2")
	b := notedOf(tx, "b")
	b.note("1")
	second, err := tx.Savepoint()
	require.NoError(t, err)
	b.note("2")

	require.NoError(t, tx.RollbackTo(second))
	require.Equal(t, []string{"1", "2"}, a.notes)
	require.Equal(t, []string{"1"}, b.notes)
	for range 2 { // a savepoint can be used again
		a.note("3")
		require.NoError(t, tx.RollbackTo(first))
		require.Equal(t, []string{"1"}, a.notes)
		require.Empty(t, b.notes, "attached later: as when it was new")
		require.Same(t, b, notedOf(tx, "b"), "and the same value")
		b.note("again")
	}
	resets := a.resets
	require.ErrorIs(t, tx.RollbackTo(second), kv.ErrSavepoint)
	require.Equal(t, resets, a.resets, "a failed RollbackTo changes nothing")
	tx.Rollback()
	require.ErrorIs(t, tx.RollbackTo(first), kv.ErrTxnDone)
	_, err = tx.Savepoint()
	require.ErrorIs(t, err, kv.ErrTxnDone)
	require.Equal(t, resets, a.resets)
}

// TestAttachModel runs random programs of attaching, changing, savepoints and
// rollbacks against values that are copied at each savepoint.
func TestAttachModel(t *testing.T) {
	store, err := memory.Open(nil)
	require.NoError(t, err)
	defer store.Close()
	rapid.Check(t, func(rt *rapid.T) {
		tx := begin(t, store, nil)
		defer tx.Rollback()
		type state struct {
			sp    *kv.Savepoint
			notes map[int][]string
		}
		now := map[int][]string{}
		clone := func(m map[int][]string) map[int][]string {
			c := map[int][]string{}
			for k, v := range m {
				c[k] = slices.Clone(v)
			}
			return c
		}
		var saved []state
		attached := map[int]*noted{}
		rt.Repeat(map[string]func(*rapid.T){
			"attach and change": func(rt *rapid.T) {
				k, s := rapid.IntRange(0, 6).Draw(rt, "key"), rapid.StringN(1, 2, 2).Draw(rt, "note")
				v := notedOf(tx, k)
				if attached[k] != nil {
					require.Same(rt, attached[k], v)
				}
				attached[k] = v
				v.note(s)
				now[k] = append(now[k], s)
			},
			"savepoint": func(rt *rapid.T) {
				sp, err := tx.Savepoint()
				require.NoError(rt, err)
				saved = append(saved, state{sp, clone(now)})
			},
			"rollback": func(rt *rapid.T) {
				if len(saved) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(saved)-1).Draw(rt, "savepoint")
				require.NoError(rt, tx.RollbackTo(saved[i].sp))
				now = clone(saved[i].notes)
				saved = saved[:i+1]
			},
			"": func(rt *rapid.T) {
				for k, v := range attached {
					require.Equal(rt, fmt.Sprint(now[k]), fmt.Sprint(v.notes))
				}
			},
		})
	})
}

// TestAttachAllocates nothing for two values, and a transaction that attaches none
// allocates what it did before there were any.
func TestAttachAllocates(t *testing.T) {
	s, err := memory.Open(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	ctx := t.Context()
	allocs := func(fn func(tx *kv.Txn)) float64 {
		return testing.AllocsPerRun(100, func() {
			tx, err := s.Begin(ctx, nil)
			if err != nil {
				panic(err)
			}
			fn(tx)
			tx.Rollback()
		})
	}
	bare := allocs(func(*kv.Txn) {})
	v := kv.Attached(&fixed{})
	own := new(int)
	require.Equal(t, bare, allocs(func(tx *kv.Txn) {
		tx.Attach(s, func() kv.Attached { return v })
		tx.Attach(own, func() kv.Attached { return v })
		tx.Attach(s, nil)
	}))
	require.Equal(t, bare+1, allocs(func(tx *kv.Txn) {
		_, _ = tx.Savepoint()
	}))
	require.Equal(t, bare+1, allocs(func(tx *kv.Txn) {
		tx.Attach(s, func() kv.Attached { return v })
		_, _ = tx.Savepoint()
	}), "the savepoint has room for the marks")
	hook := func(context.Context) error { return nil }
	after := func() {}
	require.Equal(t, bare+1, allocs(func(tx *kv.Txn) { tx.OnCommit(after) }))
	require.Equal(t, bare+1, allocs(func(tx *kv.Txn) { tx.BeforeCommit(hook) }))
}

func TestBeforeCommit(t *testing.T) {
	s, p := openProbe(t, nil)
	var order []string
	done := func(what string) { order = append(order, what) }
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		tx.OnCommit(func() { done("after") })
		tx.BeforeCommit(func(ctx context.Context) error {
			done("first")
			require.Equal(t, t.Context(), ctx, "the commit's context")
			tx.OnCommit(func() { done("after, registered by the first") })
			return tx.Set([]byte("a"), []byte("1"))
		})
		tx.BeforeCommit(func(ctx context.Context) error {
			done("second")
			v, err := tx.Get(ctx, []byte("a"))
			require.Equal(t, "1", string(v), "it sees what the first wrote")
			return errors.Join(err, tx.Set([]byte("b"), v))
		})
		require.Empty(t, order, "only the commit runs them")
		return nil // nothing was written so far
	}))
	require.Equal(t, []string{"first", "second", "after", "after, registered by the first"}, order)
	require.Equal(t, "1", lookup(t, s, "a"))
	require.Equal(t, "1", lookup(t, s, "b"))
	require.Equal(t, 1, p.count(onCommit))
}

// TestBeforeCommitOfOneself: Commit runs the functions once, and Rollback never.
func TestBeforeCommitOfOneself(t *testing.T) {
	s, _ := openProbe(t, nil)
	ran := 0
	count := func(context.Context) error {
		ran++
		return nil
	}
	tx := begin(t, s, nil)
	tx.BeforeCommit(count)
	require.NoError(t, tx.Commit(t.Context()))
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)
	require.Equal(t, 1, ran)
	tx.BeforeCommit(count) // there is no commit to wait for
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)

	tx = begin(t, s, nil)
	tx.BeforeCommit(count)
	tx.Rollback()
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)
	require.Equal(t, 1, ran)

	require.ErrorIs(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		tx.BeforeCommit(count)
		return errDisk
	}), errDisk)
	require.Equal(t, 1, ran)

	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		tx.BeforeCommit(count)
		return nil
	}))
	require.Equal(t, 2, ran, "in a read-only transaction too")
	require.ErrorIs(t, s.View(t.Context(), func(tx *kv.Txn) error {
		tx.BeforeCommit(func(context.Context) error { return tx.Delete([]byte("a")) })
		return nil
	}), kv.ErrReadOnly)
}

func TestBeforeCommitFails(t *testing.T) {
	s, p := openProbe(t, &kv.Options{MinBackoff: 1, MaxBackoff: 1})
	seed(t, s, "a", "1")
	commits := p.count(onCommit)
	fails := func(err error) func(tx *kv.Txn) error {
		return func(tx *kv.Txn) error {
			tx.OnCommit(func() { t.Error("it did not commit") })
			tx.BeforeCommit(func(context.Context) error { return errors.Join(tx.Set([]byte("a"), []byte("2")), err) })
			tx.BeforeCommit(func(context.Context) error { panic("not called") })
			return nil
		}
	}
	err := s.Update(t.Context(), fails(errDisk))
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, kv.ErrCommitUnknown)

	tx := begin(t, s, nil)
	tx.BeforeCommit(func(context.Context) error { return errDisk })
	require.Equal(t, errDisk, tx.Commit(t.Context()), "as it is")
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)
	require.ErrorIs(t, tx.Set([]byte("a"), []byte("2")), kv.ErrTxnDone)
	require.Zero(t, p.openTxns())
	require.Equal(t, commits, p.count(onCommit))
	require.Equal(t, "1", lookup(t, s, "a"))

	attempts := 0
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		tx.BeforeCommit(func(context.Context) error {
			if attempts++; attempts < 3 {
				return fmt.Errorf("busy: %w", kv.ErrConflict)
			}
			return tx.Set([]byte("a"), []byte("3"))
		})
		return nil
	}))
	require.Equal(t, 3, attempts, "a conflict is tried again")
	require.Equal(t, "3", lookup(t, s, "a"))
}

// TestBeforeCommitMayNot: what a function cannot do while the commit is under way.
func TestBeforeCommitMayNot(t *testing.T) {
	run := func(t *testing.T, managed bool, fn func(tx *kv.Txn, before *kv.Savepoint) error) (*kv.Store, error) {
		s, _ := openProbe(t, nil)
		body := func(tx *kv.Txn) error {
			sp, err := tx.Savepoint()
			require.NoError(t, err)
			tx.BeforeCommit(func(context.Context) error { return tx.Set([]byte("first"), []byte("1")) })
			tx.BeforeCommit(func(context.Context) error { return fn(tx, sp) })
			return tx.Set([]byte("a"), []byte("1"))
		}
		if managed {
			err := s.Update(t.Context(), body)
			return s, err
		}
		tx := begin(t, s, nil)
		defer tx.Rollback()
		require.NoError(t, body(tx))
		return s, tx.Commit(t.Context())
	}
	for _, managed := range []bool{false, true} {
		t.Run(fmt.Sprint("managed ", managed), func(t *testing.T) {
			s, err := run(t, managed, func(tx *kv.Txn, _ *kv.Savepoint) error {
				require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrManaged)
				tx.Rollback()
				return tx.Set([]byte("b"), []byte("1"))
			})
			require.NoError(t, err, "neither ends it")
			require.Equal(t, "1", lookup(t, s, "b"))

			s, err = run(t, managed, func(tx *kv.Txn, before *kv.Savepoint) error {
				require.ErrorIs(t, tx.RollbackTo(before), kv.ErrSavepoint, "it would undo what the first wrote")
				own, err := tx.Savepoint()
				require.NoError(t, err)
				require.NoError(t, tx.Set([]byte("b"), []byte("1")))
				return tx.RollbackTo(own)
			})
			require.NoError(t, err)
			require.Equal(t, "1", lookup(t, s, "first"))
			require.Empty(t, lookup(t, s, "b"))

			s, err = run(t, managed, func(tx *kv.Txn, _ *kv.Savepoint) error {
				tx.BeforeCommit(func(context.Context) error { panic("not called") })
				return nil
			})
			require.ErrorIs(t, err, kv.ErrLateHook)
			require.Empty(t, lookup(t, s, "a"))
		})
	}
}

func TestBeforeCommitFollowsSavepoints(t *testing.T) {
	s, _ := openProbe(t, nil)
	var ran []string
	hook := func(name string) func(context.Context) error {
		return func(context.Context) error {
			ran = append(ran, name)
			return nil
		}
	}
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		tx.BeforeCommit(hook("before"))
		sp, err := tx.Savepoint()
		require.NoError(t, err)
		tx.BeforeCommit(hook("undone"))
		tx.OnCommit(func() { ran = append(ran, "undone") })
		require.NoError(t, tx.RollbackTo(sp))
		tx.BeforeCommit(hook("after"))
		return nil
	}))
	require.Equal(t, []string{"before", "after"}, ran)
}

// TestBeforeCommitPanics: the panic reaches the caller, and nothing stays open.
func TestBeforeCommitPanics(t *testing.T) {
	s, p := openProbe(t, nil)
	body := func(tx *kv.Txn) error {
		tx.BeforeCommit(func(context.Context) error { panic("oops") })
		return tx.Set([]byte("a"), []byte("1"))
	}
	require.PanicsWithValue(t, "oops", func() { _ = s.Update(t.Context(), body) })
	require.Zero(t, p.openTxns())
	tx := begin(t, s, nil)
	require.NoError(t, body(tx))
	require.PanicsWithValue(t, "oops", func() { _ = tx.Commit(t.Context()) })
	require.Zero(t, p.openTxns())
	require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)

	done := make(chan struct{})
	go func() {
		defer close(done)
		tx := begin(t, s, nil)
		tx.BeforeCommit(func(context.Context) error {
			runtime.Goexit()
			return nil
		})
		_ = tx.Commit(t.Context())
	}()
	<-done
	require.Zero(t, p.openTxns())
	require.Empty(t, lookup(t, s, "a"))
}

// TestBeforeCommitOfTheDoomed: a commit that cannot succeed runs nothing, and one
// whose transaction ends meanwhile runs nothing more.
func TestBeforeCommitOfTheDoomed(t *testing.T) {
	none := func(context.Context) error { panic("not called") }
	t.Run("too large", func(t *testing.T) {
		s, _ := openProbe(t, &kv.Options{MaxTxnSize: 3})
		tx := begin(t, s, nil)
		tx.BeforeCommit(none)
		require.ErrorIs(t, tx.Set([]byte("a"), []byte("123")), kv.ErrTxnTooLarge)
		require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnTooLarge)
	})
	t.Run("expired before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := openProbe(t, nil)
			tx := begin(t, s, nil)
			require.NoError(t, tx.Set([]byte("a"), []byte("1")))
			tx.BeforeCommit(none)
			advance(kv.DefaultTxnLifetime)
			require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnTooOld)
		})
	})
	t.Run("expired with nothing written", func(t *testing.T) {
		for _, write := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s, p := openProbe(t, nil)
				tx := begin(t, s, nil)
				ran := 0
				tx.BeforeCommit(func(context.Context) error {
					ran++
					if write {
						require.ErrorIs(t, tx.Set([]byte("a"), []byte("1")), kv.ErrTxnTooOld)
					}
					return nil // overlooks that
				})
				tx.OnCommit(func() { require.False(t, write) })
				advance(kv.DefaultTxnLifetime)
				err := tx.Commit(t.Context())
				if write {
					require.ErrorIs(t, err, kv.ErrTxnTooOld)
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, 1, ran)
				require.Zero(t, p.count(onCommit))
			})
		}
	})
	t.Run("expires meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, p := openProbe(t, nil)
			err := s.Update(t.Context(), func(tx *kv.Txn) error {
				tx.BeforeCommit(func(context.Context) error {
					require.NoError(t, tx.Set([]byte("a"), []byte("1")))
					advance(kv.DefaultTxnLifetime)
					return nil
				})
				tx.BeforeCommit(none)
				return nil
			})
			require.ErrorIs(t, err, kv.ErrTxnTooOld)
			require.Zero(t, p.count(onCommit))
		})
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		s, _ := openProbe(t, nil)
		err := s.Update(t.Context(), func(tx *kv.Txn) error {
			tx.BeforeCommit(func(context.Context) error {
				require.NoError(t, tx.Set([]byte("a"), []byte("1")))
				return s.Close()
			})
			tx.BeforeCommit(none)
			return nil
		})
		require.ErrorIs(t, err, kv.ErrClosed)
	})
}

// gather is what a layer above does: it collects names and writes them in one value
// when the transaction commits.
type gather struct {
	tx    *kv.Txn
	names []string
	armed bool
}

func (g *gather) add(name string) {
	if !g.armed {
		g.armed = true
		g.tx.BeforeCommit(func(context.Context) error {
			return g.tx.Set([]byte("names"), fmt.Append(nil, g.names))
		})
	}
	g.names = append(g.names, name)
}

func (g *gather) Mark() any { return gather{names: g.names, armed: g.armed} }

func (g *gather) Reset(mark any) {
	m, _ := mark.(gather)
	g.names, g.armed = m.names[:len(m.names):len(m.names)], m.armed
}

func ExampleTxn_Attach() {
	ctx := context.Background()
	store, err := memory.Open(nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()

	type layer struct{ key string } // of the program, beside others
	l := &layer{key: "names"}
	add := func(tx *kv.Txn, name string) {
		tx.Attach(l, func() kv.Attached { return &gather{tx: tx} }).(*gather).add(name)
	}
	err = store.Update(ctx, func(tx *kv.Txn) error {
		add(tx, "Ada")
		sp, err := tx.Savepoint()
		if err != nil {
			return err
		}
		add(tx, "a mistake")
		if err := tx.RollbackTo(sp); err != nil {
			return err
		}
		add(tx, "Grace")
		return nil
	})
	if err != nil {
		panic(err)
	}
	err = store.View(ctx, func(tx *kv.Txn) error {
		v, err := tx.Get(ctx, []byte("names"))
		fmt.Printf("%s\n", v)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: [Ada Grace]
}
