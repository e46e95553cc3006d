// Package hooked is a driver for tests of the queue: it does something between the
// calls of a program of one goroutine, and lets commits end unknown and land late.
package hooked

import (
	"context"
	"errors"

	"github.com/tito-db/tito-go/kv"
)

// Driver is a driver that does something between its calls, on the goroutine that
// calls. It is for programs of one goroutine.
type Driver struct {
	kv.Driver

	Calls int            // since Reset
	At    map[int]func() // what to do before the call of that number, once

	// Postpone: the next commit ends unknown at once, and happens when Land is
	// called. Postponed, if set, is called then.
	Postpone  bool
	Postponed func()
	late      *lateCommit
}

// Wrap makes the Driver one over another; it is for kv.Options.
func (h *Driver) Wrap(d kv.Driver) kv.Driver {
	h.Driver = d
	return h
}

type lateCommit struct {
	txn    kv.DriverTxn
	commit *kv.Commit
}

var errUnknown = errors.New("connection lost") // any error that kv does not list

// Reset counts calls from zero, and does what at says.
func (h *Driver) Reset(at map[int]func()) { h.Calls, h.At = 0, at }

// Late reports whether there is a commit that was postponed and has not landed.
func (h *Driver) Late() bool { return h.late != nil }

// Forget drops a commit that was postponed.
func (h *Driver) Forget() { h.Postpone, h.late = false, nil }

// Land does the commit that was postponed.
func (h *Driver) Land(ctx context.Context) error {
	_, err := h.late.txn.Commit(ctx, h.late.commit)
	h.late.txn.Release()
	h.late = nil
	return err
}

// call counts a call. What is done before it is not counted, so a hook can use
// the store.
func (h *Driver) call() {
	fn := h.At[h.Calls]
	h.Calls++
	if fn == nil {
		return
	}
	calls, at := h.Calls, h.At
	h.At = nil
	fn()
	h.Calls, h.At = calls, at
}

// Begin implements kv.Driver.
func (h *Driver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	h.call()
	t, err := h.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return &hookedTxn{DriverTxn: t, h: h}, nil
}

// Watermark implements kv.Driver.
func (h *Driver) Watermark(ctx context.Context) (kv.Version, error) {
	h.call()
	return h.Driver.Watermark(ctx)
}

// WaitDurable implements kv.Driver.
func (h *Driver) WaitDurable(ctx context.Context, v kv.Version) error {
	h.call()
	return h.Driver.WaitDurable(ctx, v)
}

type hookedTxn struct {
	kv.DriverTxn
	h    *Driver
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
	if t.h.Postpone {
		t.h.Postpone, t.late = false, true
		t.h.late = &lateCommit{t.DriverTxn, c}
		if t.h.Postponed != nil {
			t.h.Postponed()
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
	h *Driver
}

func (c *hookedCursor) Next(ctx context.Context) bool {
	c.h.call()
	return c.DriverCursor.Next(ctx)
}

func (c *hookedCursor) Seek(ctx context.Context, key []byte) bool {
	c.h.call()
	return c.DriverCursor.Seek(ctx, key)
}
