package queue

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// hooks is a driver that does something between its calls, on the goroutine
// that calls. It is for programs of one goroutine.
type hooks struct {
	kv.Driver
	calls int            // since reset
	at    map[int]func() // what to do before the call of that number, once

	// postpone: the next commit ends unknown at once, and happens when land is
	// called. postponed, if set, is called then.
	postpone  bool
	postponed func()
	late      *lateCommit
}

type lateCommit struct {
	txn    kv.DriverTxn
	commit *kv.Commit
}

var errUnknown = errors.New("connection lost") // any error that kv does not list

// hooked opens a store over hooks.
func hooked(t testing.TB, open OpenStore) (*kv.Store, *hooks) {
	h := &hooks{}
	store := open(t, &kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		h.Driver = d
		return h
	}})
	h.reset(nil)
	return store, h
}

// reset counts calls from zero, and does what at says.
func (h *hooks) reset(at map[int]func()) { h.calls, h.at = 0, at }

// land does the commit that was postponed.
func (h *hooks) land(ctx context.Context) error {
	_, err := h.late.txn.Commit(ctx, h.late.commit)
	h.late.txn.Release()
	h.late = nil
	return err
}

// call counts a call. What is done before it is not counted, so a hook can use
// the store.
func (h *hooks) call() {
	fn := h.at[h.calls]
	h.calls++
	if fn == nil {
		return
	}
	calls, at := h.calls, h.at
	h.at = nil
	fn()
	h.calls, h.at = calls, at
}

func (h *hooks) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	h.call()
	t, err := h.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return &hookedTxn{DriverTxn: t, h: h}, nil
}

func (h *hooks) Watermark(ctx context.Context) (kv.Version, error) {
	h.call()
	return h.Driver.Watermark(ctx)
}

func (h *hooks) WaitDurable(ctx context.Context, v kv.Version) error {
	h.call()
	return h.Driver.WaitDurable(ctx, v)
}

type hookedTxn struct {
	kv.DriverTxn
	h    *hooks
	late bool // its commit was postponed, and releases it
}

func (t *hookedTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	t.h.call()
	return t.DriverTxn.Get(ctx, key)
}

func (t *hookedTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	t.h.call()
	return t.DriverTxn.BatchGet(ctx, keys)
}

func (t *hookedTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	t.h.call()
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return &hookedCursor{c, t.h}, nil
}

func (t *hookedTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	t.h.call()
	if t.h.postpone {
		t.h.postpone, t.late = false, true
		t.h.late = &lateCommit{t.DriverTxn, c}
		if t.h.postponed != nil {
			t.h.postponed()
		}
		return 0, errUnknown
	}
	return t.DriverTxn.Commit(ctx, c)
}

func (t *hookedTxn) Release() {
	if !t.late {
		t.DriverTxn.Release()
	}
}

type hookedCursor struct {
	kv.DriverCursor
	h *hooks
}

func (c *hookedCursor) Next(ctx context.Context) bool {
	c.h.call()
	return c.DriverCursor.Next(ctx)
}

func (c *hookedCursor) Seek(ctx context.Context, key []byte) bool {
	c.h.call()
	return c.DriverCursor.Seek(ctx, key)
}

// everywhere runs body with n = 0, 1, 2 and so on, for it to do something before
// the n-th driver call of a program, until n is not below the number of calls that
// body returns; then it has been done after all of them. Where each commit waits
// for a disk or a network it takes every third call only.
func (b *bench) everywhere(body func(n int) (calls int)) {
	b.Helper()
	stride := 1
	if !b.store.Info().NoSync {
		stride = 3
	}
	n := 0
	for ; ; n += stride {
		if calls := body(n); n >= calls {
			break
		}
	}
	require.Greater(b, n, 2, "the program makes too few calls for this to prove something")
}
