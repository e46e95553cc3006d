package kvtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func updateCases() []testCase {
	return []testCase{
		{name: "Update and View", run: updateAndView},
		{name: "Update may not be ended by its function", run: managed},
		{name: "Update retries conflicts", run: updateRetries},
		{name: "Update gives up", run: updateGivesUp},
		{name: "Update does not retry other errors", run: updateOtherErrors},
		{name: "a panic rolls back", run: updatePanics},
	}
}

func updateAndView(f *fixture) {
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		require.False(f, tx.ReadOnly())
		f.set(tx, "a", "1")
		return nil
	}))
	f.ok(f.store.View(f.ctx, func(tx *kv.Txn) error {
		require.True(f, tx.ReadOnly())
		require.Equal(f, "1", f.get(tx, "a"))
		return nil
	}))
	f.ok(f.store.Run(f.ctx, &kv.TxnOptions{Durability: kv.Sync}, func(tx *kv.Txn) error {
		f.del(tx, "a")
		return nil
	}))
	require.Empty(f, f.contents())
	var kept *kv.Txn
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error { kept = tx; return nil }))
	f.fails(kept.Set(key("a"), val("1")), kv.ErrTxnDone)
}

func managed(f *fixture) {
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		f.set(tx, "a", "1")
		f.fails(tx.Commit(f.ctx), kv.ErrManaged)
		tx.Rollback() // does nothing, so a deferred one does no harm
		f.set(tx, "b", "2")
		return nil
	}))
	require.Equal(f, []string{"a=1", "b=2"}, f.contents())
	f.ok(f.store.View(f.ctx, func(tx *kv.Txn) error {
		f.fails(tx.Commit(f.ctx), kv.ErrManaged)
		tx.Rollback()
		require.Equal(f, "1", f.get(tx, "a"))
		return nil
	}))
}

// hasty is a store whose Update pauses no longer than it has to.
func (f *fixture) hasty(attempts int) {
	f.open(&kv.Options{MaxAttempts: attempts, MinBackoff: 1, MaxBackoff: 1})
}

func updateRetries(f *fixture) {
	f.hasty(0)
	f.put("a", "0")
	var seen []string
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		seen = append(seen, f.get(tx, "a"))
		if n := len(seen); n < 4 {
			f.put("a", fmt.Sprint(n))
		}
		f.set(tx, "a", "done")
		return nil
	}))
	require.Equal(f, []string{"0", "1", "2", "3"}, seen, "each attempt has a new snapshot")
	require.Equal(f, "done", f.now("a"))

	attempts := 0 // a conflict that fn passes on counts too
	f.ok(f.store.Update(f.ctx, func(tx *kv.Txn) error {
		if attempts++; attempts == 1 {
			return fmt.Errorf("wrapped: %w", kv.ErrConflict)
		}
		return nil
	}))
	require.Equal(f, 2, attempts)
}

func updateGivesUp(f *fixture) {
	f.hasty(3)
	attempts := 0
	clash := func(tx *kv.Txn) error {
		attempts++
		f.put("a", "theirs")
		return tx.Set(key("a"), val("mine"))
	}
	f.fails(f.store.Update(f.ctx, clash), kv.ErrConflict)
	require.Equal(f, 3, attempts)
	attempts = 0
	f.fails(f.store.Run(f.ctx, &kv.TxnOptions{MaxAttempts: 1}, clash), kv.ErrConflict)
	require.Equal(f, 1, attempts)
	require.Equal(f, "theirs", f.now("a"))

	f.open(&kv.Options{MinBackoff: time.Hour, MaxBackoff: time.Hour}) // ctx ends while it pauses
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	err := f.store.Update(ctx, func(tx *kv.Txn) error {
		err := clash(tx)
		cancel()
		return err
	})
	f.fails(err, context.Canceled)
}

func updateOtherErrors(f *fixture) {
	refused := errors.New("refused")
	attempts := 0
	err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
		attempts++
		f.set(tx, "a", "1")
		return refused
	})
	require.True(f, err == refused, "returned as it is") //nolint:errorlint // identity is what is tested
	require.Equal(f, 1, attempts)
	require.Empty(f, f.contents())
}

func updatePanics(f *fixture) {
	require.PanicsWithValue(f, "oops", func() {
		_ = f.store.Update(f.ctx, func(tx *kv.Txn) error {
			f.set(tx, "a", "1")
			panic("oops")
		})
	})
	require.Empty(f, f.contents())
	f.put("a", "2") // the store goes on
}
