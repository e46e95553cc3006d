package kvtest

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/tito-db/tito-go/kv"
)

// guard watches how kv uses a driver, and fails the test where it breaks the
// rules stated at kv.DriverTxn and kv.DriverCursor.
type guard struct {
	kv.Driver
	t      testing.TB
	txns   atomic.Int64 // open transactions
	closed atomic.Bool
}

// finish requires that all has been released.
func (g *guard) finish() {
	if n := g.txns.Load(); n != 0 {
		g.t.Errorf("guard: %d driver transactions were not released", n)
	}
	if g.Driver != nil && !g.closed.Load() {
		g.t.Errorf("guard: the driver was not closed")
	}
}

func (g *guard) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if g.closed.Load() {
		g.t.Errorf("guard: Begin after Close")
	}
	d, err := g.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	g.txns.Add(1)
	return &guardTxn{DriverTxn: d, g: g, readOnly: o.ReadOnly}, nil
}

func (g *guard) Close() error {
	if g.closed.Swap(true) {
		g.t.Errorf("guard: Close called twice")
	}
	if n := g.txns.Load(); n != 0 {
		g.t.Errorf("guard: Close with %d open transactions", n)
	}
	return g.Driver.Close()
}

type guardTxn struct {
	kv.DriverTxn
	g         *guard
	readOnly  bool
	busy      atomic.Bool
	cursors   int // open cursors
	committed bool
	released  bool
}

// enter begins a call; what it returns ends it.
func (t *guardTxn) enter(call string) func() {
	if t.busy.Swap(true) {
		t.g.t.Errorf("guard: %s beside another call on the same transaction", call)
	}
	if t.released {
		t.g.t.Errorf("guard: %s after Release", call)
	}
	return func() { t.busy.Store(false) }
}

func (t *guardTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	defer t.enter("Get")()
	return t.DriverTxn.Get(ctx, key)
}

func (t *guardTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	defer t.enter("BatchGet")()
	values, err := t.DriverTxn.BatchGet(ctx, keys)
	if err == nil && len(values) != len(keys) {
		t.g.t.Errorf("guard: BatchGet of %d keys returned %d values", len(keys), len(values))
	}
	return values, err
}

func (t *guardTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	defer t.enter("Cursor")()
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	if err != nil {
		return nil, err
	}
	t.cursors++
	return &guardCursor{DriverCursor: c, t: t, keysOnly: o.KeysOnly}, nil
}

func (t *guardTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	defer t.enter("Commit")()
	if t.readOnly || t.committed {
		t.g.t.Errorf("guard: Commit of a transaction that is read-only or has committed")
	}
	if t.cursors != 0 {
		t.g.t.Errorf("guard: Commit with %d open cursors", t.cursors)
	}
	var last []byte
	locks := c.Locks
	for _, w := range c.Writes {
		if bytes.Compare(w.Key, last) <= 0 {
			t.g.t.Errorf("guard: Commit's writes do not ascend")
		}
		last = w.Key
		for len(locks) > 0 && bytes.Compare(locks[0], w.Key) < 0 {
			locks = locks[1:]
		}
		if len(locks) > 0 && bytes.Equal(locks[0], w.Key) {
			t.g.t.Errorf("guard: Commit both writes and locks a key")
		}
	}
	for i := 1; i < len(c.Locks); i++ {
		if bytes.Compare(c.Locks[i-1], c.Locks[i]) >= 0 {
			t.g.t.Errorf("guard: Commit's locks do not ascend")
		}
	}
	t.committed = true
	return t.DriverTxn.Commit(ctx, c)
}

func (t *guardTxn) Release() {
	defer t.enter("Release")()
	if t.cursors != 0 {
		t.g.t.Errorf("guard: Release with %d open cursors", t.cursors)
	}
	t.released = true
	t.g.txns.Add(-1)
	t.DriverTxn.Release()
}

type guardCursor struct {
	kv.DriverCursor
	t        *guardTxn
	keysOnly bool
	on       bool // on a pair
	closed   bool
}

func (c *guardCursor) enter(call string) func() {
	if c.closed {
		c.t.g.t.Errorf("guard: cursor's %s after Close", call)
	}
	return c.t.enter("cursor's " + call)
}

func (c *guardCursor) Next(ctx context.Context) bool {
	defer c.enter("Next")()
	c.on = c.DriverCursor.Next(ctx)
	return c.on
}

func (c *guardCursor) Seek(ctx context.Context, key []byte) bool {
	defer c.enter("Seek")()
	c.on = c.DriverCursor.Seek(ctx, key)
	return c.on
}

func (c *guardCursor) Key() []byte {
	defer c.enter("Key")()
	if !c.on {
		c.t.g.t.Errorf("guard: cursor's Key without a pair")
	}
	return c.DriverCursor.Key()
}

func (c *guardCursor) Value() []byte {
	defer c.enter("Value")()
	if !c.on || c.keysOnly {
		c.t.g.t.Errorf("guard: cursor's Value without a pair, or KeysOnly")
	}
	return c.DriverCursor.Value()
}

func (c *guardCursor) Close() {
	defer c.enter("Close")()
	c.closed = true
	c.t.cursors--
	c.DriverCursor.Close()
}
