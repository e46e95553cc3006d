package kv_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestCloseWaits: Close lets a call that is under way in the driver finish,
// whatever it is, and only then closes the driver.
func TestCloseWaits(t *testing.T) {
	for _, c := range []call{onBegin, onGet, onBatchGet, onCursor, onNext, onSeek, onCommit, onRelease, onWatermark, onWaitDurable, onAs} {
		t.Run(string(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := openProbe(t, nil)
				seed(t, s, "a", "1")
				entered, proceed := make(chan struct{}), make(chan struct{})
				var once sync.Once
				p.on(c, func(context.Context) error {
					once.Do(func() { close(entered) })
					<-proceed
					return nil
				})
				result := make(chan error, 1)
				go func() {
					switch c {
					case onWatermark:
						_, err := s.Watermark(t.Context())
						result <- err
					case onWaitDurable:
						result <- s.WaitDurable(t.Context(), 1)
					case onAs:
						s.As(new(int))
						result <- nil
					default:
						result <- s.Update(t.Context(), func(tx *kv.Txn) error { return use(t.Context(), tx, c) })
					}
				}()
				<-entered
				closed := make(chan error, 1)
				go func() { closed <- s.Close() }()
				synctest.Wait()
				require.Empty(t, closed, "Close waits")
				require.Zero(t, p.count(onClose))
				require.ErrorIs(t, s.Close(), kv.ErrClosed, "the second Close does not")
				_, err := s.Begin(t.Context(), nil)
				require.ErrorIs(t, err, kv.ErrClosed)
				close(proceed)
				require.NoError(t, <-closed)
				switch c {
				case onCommit, onRelease, onWatermark, onWaitDurable, onAs:
					require.NoError(t, <-result, "it was under way and succeeded")
				default:
					require.ErrorIs(t, <-result, kv.ErrClosed)
				}
				p.check(t)
			})
		})
	}
}

func TestUseAfterClose(t *testing.T) {
	s, _ := openProbe(t, nil)
	seed(t, s, "a", "1")
	ended := begin(t, s, nil)
	ended.Rollback()
	rw, ro := begin(t, s, nil), begin(t, s, &kv.TxnOptions{ReadOnly: true})
	require.NoError(t, rw.Set([]byte("a"), []byte("2")))
	sp, err := rw.Savepoint()
	require.NoError(t, err)
	cur, err := ro.Cursor(t.Context(), kv.Range{}, nil)
	require.NoError(t, err)
	require.True(t, cur.Next(t.Context()))
	require.NoError(t, s.Close())

	ctx := t.Context()
	for name, err := range map[string]error{
		"Close":       s.Close(),
		"Update":      s.Update(ctx, func(*kv.Txn) error { panic("not called") }),
		"View":        s.View(ctx, func(*kv.Txn) error { panic("not called") }),
		"WaitDurable": s.WaitDurable(ctx, 1),
		"Set":         rw.Set([]byte("a"), []byte("1")),
		"Delete":      rw.Delete([]byte("a")),
		"DeleteRange": rw.DeleteRange(ctx, kv.Range{}),
		"Lock":        rw.Lock(ctx, []byte("a")),
		"RollbackTo":  rw.RollbackTo(sp),
		"Durability":  rw.SetDurability(kv.Sync),
		"Commit":      rw.Commit(ctx),
		"Commit ro":   ro.Commit(ctx),
		"Begin":       second(s.Begin(ctx, nil)),
		"Watermark":   second(s.Watermark(ctx)),
		"Get":         second(ro.Get(ctx, []byte("a"))),
		"Has":         second(ro.Has(ctx, []byte("a"))),
		"BatchGet":    second(ro.BatchGet(ctx, [][]byte{[]byte("a")})),
		"Cursor":      second(ro.Cursor(ctx, kv.Range{}, nil)),
		"Savepoint":   second(rw.Savepoint()),
	} {
		require.ErrorIs(t, err, kv.ErrClosed, name)
	}
	require.ErrorIs(t, ended.Commit(ctx), kv.ErrTxnDone)
	require.False(t, s.As(new(int)))
	require.False(t, cur.Seek(ctx, []byte("a")))
	require.ErrorIs(t, cur.Err(), kv.ErrClosed)
	cur.Close()
	cur.Close()
	rw.Rollback()
	rw.OnCommit(func() {})
	require.Zero(t, rw.Size())
}

func second[T any](_ T, err error) error { return err }

func TestCloseReportsTheDriversError(t *testing.T) {
	s, p := openProbe(t, nil)
	p.fail(onClose, errDisk)
	require.ErrorIs(t, s.Close(), errDisk)
	require.ErrorIs(t, s.Close(), kv.ErrClosed)
}

// TestCloseFromInside: Close in a transaction's function ends that transaction.
func TestCloseFromInside(t *testing.T) {
	s, _ := openProbe(t, nil)
	err := s.Update(t.Context(), func(tx *kv.Txn) error {
		require.NoError(t, s.Close())
		return tx.Set([]byte("a"), []byte("1"))
	})
	require.ErrorIs(t, err, kv.ErrClosed)

	s, _ = openProbe(t, nil)
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		tx.OnCommit(func() { require.NoError(t, s.Close()) })
		return tx.Set([]byte("a"), []byte("1"))
	}))
}

// TestCloseRace closes a store at a random moment of many transactions' work.
func TestCloseRace(t *testing.T) {
	s, p := openProbe(t, nil)
	seed(t, s, "a", "1", "b", "1")
	work := func(tx *kv.Txn) error {
		for _, c := range []call{onGet, onSeek, onNext, onCommit} {
			if err := use(t.Context(), tx, c); err != nil {
				return err
			}
		}
		return nil
	}
	const workers = 4
	busy := make(chan struct{}, workers)
	results := make(chan error, workers)
	for range workers {
		go func() {
			busy <- struct{}{}
			for {
				err := s.Update(t.Context(), work)
				if err != nil && !errors.Is(err, kv.ErrConflict) {
					results <- err
					return
				}
			}
		}()
	}
	for range workers {
		<-busy
	}
	require.NoError(t, s.Close())
	for range workers {
		require.ErrorIs(t, <-results, kv.ErrClosed)
	}
	p.check(t)
}
