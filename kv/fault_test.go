package kv_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

var errDisk = errors.New("disk on fire")

// use does one operation that makes the driver call named c.
func use(ctx context.Context, tx *kv.Txn, c call) error {
	switch c {
	case onGet:
		_, err := tx.Get(ctx, []byte("a"))
		return err
	case onBatchGet:
		_, err := tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("b")})
		return err
	case onCursor, onNext, onCursorClose:
		for _, err := range tx.Scan(ctx, kv.Range{}, nil) {
			if err != nil {
				return err
			}
		}
		return nil
	case onSeek:
		cur, err := tx.Cursor(ctx, kv.Range{}, nil)
		if err != nil {
			return err
		}
		defer cur.Close()
		cur.Seek(ctx, []byte("a"))
		return cur.Err()
	}
	return tx.Set([]byte("a"), []byte("2"))
}

// TestReadErrors: an error of any read reaches the caller with its cause, and
// everything is released.
func TestReadErrors(t *testing.T) {
	for _, c := range []call{onBegin, onGet, onBatchGet, onCursor, onNext, onSeek} {
		for _, cause := range []error{errDisk, kv.ErrUnavailable, kv.ErrSnapshotTooOld, kv.ErrCorrupt, context.Canceled} {
			t.Run(fmt.Sprintf("%s/%v", c, cause), func(t *testing.T) {
				s, p := openProbe(t, nil)
				seed(t, s, "a", "1", "b", "1")
				p.fail(c, cause)
				for _, run := range []func(context.Context, func(*kv.Txn) error) error{s.Update, s.View} {
					ran := 0
					err := run(t.Context(), func(tx *kv.Txn) error {
						ran++
						return use(t.Context(), tx, c)
					})
					require.ErrorIs(t, err, cause)
					require.NotErrorIs(t, err, kv.ErrCommitUnknown)
					require.LessOrEqual(t, ran, 1, "not retried")
					require.Zero(t, p.openTxns())
				}
			})
		}
	}
}

// TestCommitErrors: definite errors stay themselves, all others mean that the
// outcome is unknown, and only conflicts are retried.
func TestCommitErrors(t *testing.T) {
	definite := []error{
		kv.ErrConflict, kv.ErrTxnTooOld, kv.ErrTxnTooLarge, kv.ErrKeyTooLarge,
		kv.ErrValueTooLarge, kv.ErrReadOnly, kv.ErrClosed, kv.ErrUnavailable,
	}
	unknown := []error{
		errDisk, kv.ErrCommitUnknown, kv.ErrCorrupt, kv.ErrNotFound, kv.ErrSnapshotTooOld,
		context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("%w: %w", kv.ErrCommitUnknown, kv.ErrConflict),
	}
	check := func(cause error, isUnknown bool) {
		t.Run(cause.Error(), func(t *testing.T) {
			s, p := openProbe(t, &kv.Options{MaxAttempts: 3, MaxBackoff: 1, MinBackoff: 1})
			p.fail(onCommit, fmt.Errorf("engine: %w", cause))
			ran, hooks := 0, 0
			err := s.Update(t.Context(), func(tx *kv.Txn) error {
				ran++
				tx.OnCommit(func() { hooks++ })
				return use(t.Context(), tx, onCommit)
			})
			require.ErrorIs(t, err, cause)
			require.Equal(t, isUnknown, errors.Is(err, kv.ErrCommitUnknown))
			if !isUnknown && errors.Is(cause, kv.ErrConflict) {
				require.Equal(t, 3, ran)
				require.ErrorContains(t, err, "3 attempts")
			} else {
				require.Equal(t, 1, ran)
			}
			require.Zero(t, hooks)
			require.Zero(t, p.openTxns())

			tx := begin(t, s, nil)
			require.NoError(t, tx.Set([]byte("a"), []byte("1")))
			require.ErrorIs(t, tx.Commit(t.Context()), cause)
			require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrTxnDone)
			require.Zero(t, tx.CommitVersion())
			require.Zero(t, p.openTxns())
		})
	}
	for _, cause := range definite {
		check(cause, false)
	}
	for _, cause := range unknown {
		check(cause, true)
	}
}

// TestPanics: a panic in the caller's function, in a driver call or in a hook
// reaches the caller and leaves nothing open, so that Close returns.
func TestPanics(t *testing.T) {
	for _, c := range []call{onBegin, onGet, onBatchGet, onCursor, onNext, onSeek, onCursorClose, onCommit, onRelease} {
		t.Run(string(c), func(t *testing.T) {
			s, p := openProbe(t, nil)
			seed(t, s, "a", "1")
			p.on(c, func(context.Context) error { panic(errDisk) })
			require.PanicsWithValue(t, errDisk, func() {
				_ = s.Update(t.Context(), func(tx *kv.Txn) error { return use(t.Context(), tx, c) })
			})
			p.on(c, nil)
			require.Zero(t, p.openTxns())
			require.NoError(t, s.Close())
		})
	}
	t.Run("function", func(t *testing.T) {
		s, p := openProbe(t, nil)
		seed(t, s, "a", "1")
		require.PanicsWithValue(t, "oops", func() {
			_ = s.Update(t.Context(), func(tx *kv.Txn) error {
				_ = tx.Set([]byte("a"), []byte("2"))
				for _, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
					require.NoError(t, err)
					panic("oops")
				}
				return nil
			})
		})
		require.Zero(t, p.openTxns())
		require.Equal(t, "1", lookup(t, s, "a"))
	})
	t.Run("OnCommit", func(t *testing.T) {
		s, p := openProbe(t, nil)
		var ran []int
		require.PanicsWithValue(t, "oops", func() {
			_ = s.Update(t.Context(), func(tx *kv.Txn) error {
				tx.OnCommit(func() { ran = append(ran, 1) })
				tx.OnCommit(func() { panic("oops") })
				tx.OnCommit(func() { ran = append(ran, 3) })
				return tx.Set([]byte("a"), []byte("2"))
			})
		})
		require.Equal(t, []int{1}, ran)
		require.Zero(t, p.openTxns())
		require.Equal(t, "2", lookup(t, s, "a"), "it was committed")
	})
}

// TestGoexit: ending the goroutine inside Update, as a failing test does, rolls back.
func TestGoexit(t *testing.T) {
	s, p := openProbe(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Update(t.Context(), func(tx *kv.Txn) error {
			_ = tx.Set([]byte("a"), []byte("2"))
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	require.Zero(t, p.openTxns())
	require.Empty(t, lookup(t, s, "a"))
}
