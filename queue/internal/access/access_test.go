package access_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

func TestBackoff(t *testing.T) {
	b := access.Backoff{Min: 3, Max: 20}
	for _, want := range []time.Duration{3, 6, 12, 20, 20} {
		require.Equal(t, want, b.Next())
	}
	b.Reset()
	require.EqualValues(t, 3, b.Next())
}

// What ended unknown is repeated at once, and then with waits.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := access.Unknown()
		for _, most := range []time.Duration{0, 20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond} {
			began := time.Now()
			wait.Pause(t.Context())
			took := time.Since(began)
			require.LessOrEqual(t, took, most)
			require.GreaterOrEqual(t, took, most*3/4-1)
		}
	})
}

func TestEqualJitter(t *testing.T) {
	for _, c := range []struct {
		attempts uint32
		bound    time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {4, 8 * time.Second}, {5, 10 * time.Second}, {63, 10 * time.Second}, {64, 10 * time.Second}, {1 << 30, 10 * time.Second}} {
		for range 100 {
			d := access.EqualJitter(time.Second, 10*time.Second, c.attempts)
			require.LessOrEqual(t, d, c.bound)
			require.GreaterOrEqual(t, d, c.bound/2)
		}
	}
}

// RetryUntilDone goes on over what can pass, and ends with what cannot.
func TestRetryUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &access.Store{
			Store: teststores.Memory(t, nil), Log: slog.New(slog.DiscardHandler),
			MinPoll: time.Millisecond, MaxPoll: time.Second,
		}
		passes := errors.New("passes")
		calls := 0
		require.NoError(t, s.RetryUntilDone(t.Context(), "trying", func() error {
			if calls++; calls < 20 {
				return passes
			}
			return nil
		}))
		for _, fatal := range []error{kv.ErrClosed, kv.ErrCorrupt, access.ErrCorrupt, access.ErrNewerFormat, kv.ErrFailed} {
			calls = 0
			require.True(t, s.Fatal(fatal))
			require.ErrorIs(t, s.RetryUntilDone(t.Context(), "trying", func() error { calls++; return fatal }), fatal)
			require.Equal(t, 1, calls)
		}
		for _, passing := range []error{passes, kv.ErrUnavailable, kv.ErrFull, kv.ErrConflict} {
			require.False(t, s.Fatal(passing), passing)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the cause"))
		defer cancel()
		err := s.RetryUntilDone(ctx, "trying", func() error { return passes })
		require.ErrorIs(t, err, passes)
		require.ErrorContains(t, err, "queue: trying: the cause: passes")
	})
}
