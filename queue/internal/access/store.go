package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// MaxTxnBytes bounds what one of the queue's own transactions writes. More would
// not amortize the commit further, and would make others wait.
const MaxTxnBytes = 4 << 20

// Store is a kv.Store as the parts of a queue call it.
type Store struct {
	*kv.Store

	Log              *slog.Logger
	MinPoll, MaxPoll time.Duration // bounds of the waits between tries
}

// UpdateKnown is Update for a function that may be repeated: one that finds what an
// earlier run has written and then changes nothing, or writes the same again. After
// kv.ErrCommitUnknown the function runs once more at once, and then again after
// waits that double. If an earlier commit lands late, the repeat conflicts, because
// both write one key. The log calls the transaction what.
func (s *Store) UpdateKnown(ctx context.Context, what string, fn func(tx *kv.Txn) error) error {
	wait := Unknown()
	for {
		err := s.Update(ctx, fn)
		if !errors.Is(err, kv.ErrCommitUnknown) || ctx.Err() != nil {
			return err
		}
		s.Log.Warn("queue: commit of "+what+" ended unknown", "error", err)
		wait.Pause(ctx)
	}
}

// RetryUntilDone calls do until it succeeds, ctx ends, or the store has failed for
// good, with waits that double. what names the attempt in the log and in the error.
func (s *Store) RetryUntilDone(ctx context.Context, what string, do func() error) error {
	for wait := (Backoff{Min: s.MinPoll, Max: s.MaxPoll}); ; wait.Pause(ctx) {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || s.Fatal(err) {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return fmt.Errorf("queue: %s: %w", what, err)
		}
		s.Log.Warn("queue: "+what+" failed", "error", err)
	}
}

// Fatal reports whether the store will not recover from err while it is open. A store
// that is busy, full or out of reach may recover.
func (s *Store) Fatal(err error) bool {
	return errors.Is(err, kv.ErrClosed) || errors.Is(err, kv.ErrFailed) || errors.Is(err, kv.ErrCorrupt) || errors.Is(err, kv.ErrNewerFormat)
}

// TxnRoom returns how many bytes one of the queue's own transactions writes at
// most, unless a single row alone has more.
func (s *Store) TxnRoom() int { return min(s.Info().Limits.MaxTxnSize/2, MaxTxnBytes) }
