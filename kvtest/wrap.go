package kvtest

import (
	"context"

	"github.com/tito-db/tito-go/kv"
)

// txnWrapper is a driver whose transactions are each wrapped.
type txnWrapper struct {
	kv.Driver
	wrap func(d kv.Driver, t kv.DriverTxn, o kv.BeginOptions) kv.DriverTxn
}

func (w *txnWrapper) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := w.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return w.wrap(w.Driver, t, o), nil
}

// wrapTxns makes a wrapper for kv.Options.Wrap from a wrapper for transactions.
func wrapTxns(wrap func(d kv.Driver, t kv.DriverTxn, o kv.BeginOptions) kv.DriverTxn) func(kv.Driver) kv.Driver {
	return func(d kv.Driver) kv.Driver { return &txnWrapper{d, wrap} }
}

// cursorWrapper is a transaction whose cursors are each wrapped.
type cursorWrapper struct {
	kv.DriverTxn
	wrap func(c kv.DriverCursor, r kv.Range, o kv.CursorOptions) kv.DriverCursor
}

func (w *cursorWrapper) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	c, err := w.DriverTxn.Cursor(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return w.wrap(c, r, o), nil
}

// wrapCursors makes a wrapper for kv.Options.Wrap from a wrapper for cursors.
func wrapCursors(wrap func(c kv.DriverCursor, r kv.Range, o kv.CursorOptions) kv.DriverCursor) func(kv.Driver) kv.Driver {
	return wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		return &cursorWrapper{t, wrap}
	})
}

// durabilityTxn notes for each commit whether it was asked not to wait.
type durabilityTxn struct {
	kv.DriverTxn
	noSync *[]bool
}

func (t *durabilityTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	*t.noSync = append(*t.noSync, c.NoSync)
	return t.DriverTxn.Commit(ctx, c)
}
