package kv_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestForgottenTransactions: the snapshot of a transaction that nobody uses or
// ends is released when its lifetime is over, and not before.
func TestForgottenTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, nil)
		seed(t, s, "a", "1")
		rw, ro := begin(t, s, nil), begin(t, s, &kv.TxnOptions{ReadOnly: true})
		cur, err := ro.Cursor(t.Context(), kv.Range{}, nil)
		require.NoError(t, err)
		require.True(t, cur.Next(t.Context()))

		advance(kv.DefaultTxnLifetime - 1)
		require.Equal(t, 2, p.openTxns())
		advance(1)
		require.Equal(t, 1, p.openTxns())
		_, err = rw.Get(t.Context(), []byte("a"))
		require.ErrorIs(t, err, kv.ErrTxnTooOld)
		require.ErrorIs(t, rw.Set([]byte("a"), []byte("2")), kv.ErrTxnTooOld)

		advance(kv.DefaultViewLifetime - kv.DefaultTxnLifetime)
		require.Zero(t, p.openTxns())
		_, err = ro.Get(t.Context(), []byte("a"))
		require.ErrorIs(t, err, kv.ErrSnapshotTooOld)
		require.Equal(t, "a", string(cur.Key()), "bytes of the current pair outlive the snapshot")
		require.False(t, cur.Next(t.Context()))
		require.ErrorIs(t, cur.Err(), kv.ErrSnapshotTooOld)
		cur.Close()
	})
}

// advance lets time pass, and with it everything that was due.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestCommitAfterExpiry(t *testing.T) {
	for _, idle := range []bool{true, false} { // ended by the reaper, or found expired by Commit
		t.Run(fmt.Sprintf("idle=%v", idle), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := openProbe(t, nil)
				expire := func(o *kv.TxnOptions, prepare func(*kv.Txn)) *kv.Txn {
					tx := begin(t, s, o)
					prepare(tx)
					if idle {
						advance(kv.DefaultViewLifetime)
						return tx
					}
					p.on(onGet, func(context.Context) error { // expires during a read, which still succeeds
						<-time.After(kv.DefaultViewLifetime)
						return nil
					})
					_, err := tx.Has(t.Context(), []byte("other"))
					require.NoError(t, err)
					p.on(onGet, nil)
					return tx
				}
				tx := expire(nil, func(tx *kv.Txn) { require.NoError(t, tx.Set([]byte("a"), []byte("1"))) })
				require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnTooOld)
				tx = expire(nil, func(tx *kv.Txn) { require.NoError(t, tx.Lock(t.Context(), []byte("a"))) })
				require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnTooOld)
				require.Zero(t, p.count(onCommit))

				for _, o := range []*kv.TxnOptions{nil, {ReadOnly: true}} {
					ran := 0
					hook := func(tx *kv.Txn) { tx.OnCommit(func() { ran++ }) }
					tx := expire(o, hook)
					require.NoError(t, tx.Commit(t.Context()), "nothing to write")
					require.Equal(t, 1, ran)
					require.Equal(t, tx.ReadVersion(), tx.CommitVersion())
					require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)
					require.Equal(t, 1, ran)

					tx = expire(o, hook)
					tx.Rollback()
					require.Error(t, tx.Commit(t.Context()), "rolled back")
					require.Equal(t, 1, ran)
				}
				require.Zero(t, p.openTxns())
			})
		})
	}
}

// TestUseAfterExpiry: a write that came too late is not committed, also if its
// error was overlooked; a function given to OnCommit runs if Commit succeeds.
func TestUseAfterExpiry(t *testing.T) {
	ctx := t.Context()
	for name, write := range map[string]func(tx *kv.Txn) error{
		"set":    func(tx *kv.Txn) error { return tx.Set([]byte("a"), []byte("1")) },
		"delete": func(tx *kv.Txn) error { return tx.Delete([]byte("a")) },
		"lock":   func(tx *kv.Txn) error { return tx.Lock(ctx, []byte("a")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := openProbe(t, nil)
				rw, ro := begin(t, s, nil), begin(t, s, &kv.TxnOptions{ReadOnly: true})
				advance(kv.DefaultViewLifetime)
				require.ErrorIs(t, write(rw), kv.ErrTxnTooOld)
				require.ErrorIs(t, rw.Commit(ctx), kv.ErrTxnTooOld)
				require.ErrorIs(t, write(ro), kv.ErrSnapshotTooOld)
				ran := 0
				ro.OnCommit(func() { ran++ })
				require.NoError(t, ro.Commit(ctx), "it could not have written")
				require.Equal(t, 1, ran)
				ro.OnCommit(func() { ran++ })
				require.Error(t, ro.Commit(ctx))
				require.Equal(t, 1, ran)
			})
		})
	}
}

// TestCommitUnderWayOutlivesItsDeadline: the lifetime bounds when Commit may
// be called, not how long it takes.
func TestCommitUnderWayOutlivesItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, nil)
		p.on(onCommit, func(context.Context) error {
			<-time.After(2 * kv.DefaultTxnLifetime)
			return nil
		})
		seed(t, s, "a", "1")
		require.Equal(t, "1", lookup(t, s, "a"))
	})
}

func TestViewLongerThanItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, &kv.Options{ViewLifetime: time.Second})
		err := s.View(t.Context(), func(tx *kv.Txn) error {
			advance(time.Second)
			require.Zero(t, p.openTxns())
			_, err := tx.Get(t.Context(), []byte("a"))
			return err
		})
		require.ErrorIs(t, err, kv.ErrSnapshotTooOld)
		require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
			advance(time.Second)
			return nil
		}), "it read nothing after its end")
	})
}

func TestLifetimeOfOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, &kv.Options{TxnLifetime: 10 * time.Second})
		require.Equal(t, 10*time.Second, s.Info().TxnLifetime)
		begin(t, s, &kv.TxnOptions{Lifetime: time.Hour}) // cannot be longer than the store's
		begin(t, s, &kv.TxnOptions{Lifetime: 3 * time.Second})
		begin(t, s, &kv.TxnOptions{Lifetime: time.Second})
		begin(t, s, &kv.TxnOptions{Lifetime: time.Hour, ReadOnly: true})
		for _, step := range []struct {
			wait time.Duration
			left int
		}{{0, 4}, {time.Second, 3}, {2 * time.Second, 2}, {7 * time.Second, 1}, {time.Hour, 0}} {
			advance(step.wait)
			require.Equal(t, step.left, p.openTxns())
		}
	})
}

// TestManyLifetimes: one timer serves any number of transactions, in whatever
// order they begin and end.
func TestManyLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, nil)
		const n = 500
		var txns [n]*kv.Txn
		for i := range n {
			lifetime := time.Duration(1+i*7919%n) * time.Millisecond
			txns[i] = begin(t, s, &kv.TxnOptions{Lifetime: lifetime})
		}
		for i := 0; i < n; i += 5 {
			txns[i].Rollback()
		}
		for ms := range n {
			alive := 0
			for i := range n {
				if i%5 != 0 && 1+i*7919%n > ms {
					alive++
				}
			}
			require.Equal(t, alive, p.openTxns(), "after %d ms", ms)
			advance(time.Millisecond)
		}
		require.Zero(t, p.openTxns())
	})
}

// TestReaperStopsAtClose: nothing is released later; the probe would refuse it.
func TestReaperStopsAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openProbe(t, nil)
		begin(t, s, nil)
		require.NoError(t, s.Close())
		released := p.count(onRelease)
		require.Equal(t, 1, released)
		advance(time.Hour)
		require.Equal(t, released, p.count(onRelease))
	})
}
