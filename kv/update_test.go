package kv_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

func TestUpdateRetriesConflicts(t *testing.T) {
	s, p := openProbe(t, &kv.Options{MinBackoff: 1, MaxBackoff: 1})
	conflicts := 5
	p.on(onCommit, func(context.Context) error {
		if conflicts--; conflicts >= 0 {
			return kv.ErrConflict
		}
		return nil
	})
	ran, committed := 0, 0
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		ran++
		tx.OnCommit(func() { committed++ })
		return tx.Set([]byte("a"), []byte("1"))
	}))
	require.Equal(t, 6, ran)
	require.Equal(t, 1, committed, "hooks of attempts that conflicted never run")
}

func TestUpdateReturnsTheFunctionsError(t *testing.T) {
	s, p := openProbe(t, nil)
	seed(t, s, "a", "1")
	commits := p.count(onCommit)
	err := s.Update(t.Context(), func(tx *kv.Txn) error {
		require.NoError(t, tx.Set([]byte("a"), []byte("2")))
		return errDisk
	})
	require.Equal(t, errDisk, err, "as it is")
	require.Equal(t, "1", lookup(t, s, "a"))
	require.Equal(t, commits, p.count(onCommit))

	ran := 0
	err = s.Run(t.Context(), &kv.TxnOptions{MaxAttempts: 2}, func(*kv.Txn) error {
		ran++
		return errors.Join(errDisk, kv.ErrConflict)
	})
	require.ErrorIs(t, err, errDisk)
	require.Equal(t, 2, ran, "a conflict that the function reports is retried")
}

// TestUpdateEndsWithItsContext: the error shows both why it stopped and what it
// was retrying, whenever the context ends.
func TestUpdateEndsWithItsContext(t *testing.T) {
	t.Run("during a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, p := openProbe(t, &kv.Options{MinBackoff: math.MaxInt64, MaxBackoff: math.MaxInt64})
			p.fail(onCommit, kv.ErrConflict)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errDisk)
			defer cancel()
			err := s.Update(ctx, func(tx *kv.Txn) error { return tx.Set([]byte("a"), []byte("1")) })
			for _, target := range []error{context.DeadlineExceeded, errDisk, kv.ErrConflict} {
				require.ErrorIs(t, err, target)
			}
		})
	})
	t.Run("as a pause ends", func(t *testing.T) {
		s, p := openProbe(t, &kv.Options{MinBackoff: 1, MaxBackoff: 1})
		for range 100 { // the pause and the context end together: select may choose either
			ctx, cancel := context.WithCancel(t.Context())
			p.on(onCommit, func(context.Context) error {
				cancel()
				return kv.ErrConflict
			})
			err := s.Update(ctx, func(tx *kv.Txn) error { return tx.Set([]byte("a"), []byte("1")) })
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, kv.ErrConflict)
		}
	})
	t.Run("before", func(t *testing.T) {
		s, p := openProbe(t, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errDisk)
		err := s.Update(ctx, func(*kv.Txn) error { panic("not called") })
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errDisk)
		require.Zero(t, p.count(onBegin))
	})
	t.Run("before Commit", func(t *testing.T) {
		s, p := openProbe(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx *kv.Txn) error {
			cancel()
			return tx.Set([]byte("a"), []byte("1"))
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, kv.ErrCommitUnknown)
		require.Zero(t, p.count(onCommit))
	})
}

// TestBackoff: pauses stay below a bound that doubles up to MaxBackoff, for
// any number of attempts, and do grow.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const least, most, attempts = time.Nanosecond, 20 * time.Hour, 200
		s, p := openProbe(t, &kv.Options{MinBackoff: least, MaxBackoff: most, MaxAttempts: attempts})
		p.fail(onCommit, kv.ErrConflict)
		var starts []time.Time
		err := s.Update(t.Context(), func(tx *kv.Txn) error {
			starts = append(starts, time.Now())
			return tx.Set([]byte("a"), []byte("1"))
		})
		require.ErrorIs(t, err, kv.ErrConflict)
		require.Len(t, starts, attempts)
		bound, longest := least, time.Duration(0)
		for i := 1; i < attempts; i++ {
			pause := starts[i].Sub(starts[i-1])
			require.Less(t, pause, bound, "pause %d", i)
			longest = max(longest, pause)
			bound = min(2*bound, most)
		}
		require.Greater(t, longest, most/2, "153 pauses below 20 h, all below 10 h, is chance of 2^-153")
	})
}

func TestManagedTransaction(t *testing.T) {
	s, _ := openProbe(t, nil)
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrManaged)
		tx.Rollback() // so that `defer tx.Rollback()` in shared code does no harm
		return tx.Set([]byte("b"), []byte("2"))
	}))
	require.Equal(t, "1", lookup(t, s, "a"))
	require.Equal(t, "2", lookup(t, s, "b"))

	var kept *kv.Txn
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		kept = tx
		return nil
	}))
	_, err := kept.Get(t.Context(), []byte("a"))
	require.ErrorIs(t, err, kv.ErrTxnDone)
}

// TestViewRunsOnce: a walk over a view's pairs must not begin again under its
// caller, whatever a driver's read returns.
func TestViewRunsOnce(t *testing.T) {
	s, err := memory.Open(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	runs := 0
	err = s.View(t.Context(), func(*kv.Txn) error {
		runs++
		return kv.ErrConflict
	})
	require.ErrorIs(t, err, kv.ErrConflict)
	require.Equal(t, 1, runs)
}
