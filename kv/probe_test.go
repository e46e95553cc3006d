package kv_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// call names one method of a driver, of its transactions or of their cursors.
type call string

const (
	onBegin       call = "Begin"
	onWatermark   call = "Watermark"
	onWaitDurable call = "WaitDurable"
	onAs          call = "As"
	onClose       call = "Close"
	onGet         call = "Get"
	onBatchGet    call = "BatchGet"
	onCursor      call = "Cursor"
	onCommit      call = "Commit"
	onRelease     call = "Release"
	onNext        call = "Next"
	onSeek        call = "Seek"
	onCursorClose call = "Cursor.Close"
)

// probe is a driver around the memory driver. It runs a hook before each call,
// which may fail, block or panic, and it records every breach of what Store
// promises to drivers.
type probe struct {
	kv.Driver

	mu       sync.Mutex
	hooks    map[call]func(context.Context) error
	calls    map[call]int
	commits  []*kv.Commit
	open     int // transactions
	closed   bool
	breaches []string
}

// openProbe opens a memory store with a probe in it. At the end of the test
// the store is closed and must have kept its promises.
func openProbe(t testing.TB, o *kv.Options) (*kv.Store, *probe) {
	t.Helper()
	p := &probe{hooks: map[call]func(context.Context) error{}, calls: map[call]int{}}
	var opts memory.Options
	if o != nil {
		opts.Options = *o
	}
	opts.Wrap = func(d kv.Driver) kv.Driver {
		p.Driver = d
		return p
	}
	store, err := memory.Open(&opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			require.ErrorIs(t, err, kv.ErrClosed)
		}
		p.check(t)
	})
	return store, p
}

// on makes fn run before each call of c; nil ends that.
func (p *probe) on(c call, fn func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks[c] = fn
}

// fail makes each call of c fail with err.
func (p *probe) fail(c call, err error) {
	p.on(c, func(context.Context) error { return err })
}

func (p *probe) count(c call) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[c]
}

func (p *probe) openTxns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// check fails the test if the store broke a promise, or left something open.
func (p *probe) check(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.breaches)
	require.Zero(t, p.open, "transactions not released")
	require.Equal(t, 1, p.calls[onClose], "driver closed once")
}

func (p *probe) enter(ctx context.Context, c call) error {
	p.mu.Lock()
	p.calls[c]++
	p.assert(!p.closed, "%s after Close", c)
	hook := p.hooks[c]
	p.mu.Unlock()
	var err error
	if hook != nil {
		err = hook(ctx)
	}
	p.mu.Lock()
	p.assert(!p.closed || c == onClose, "Close during %s", c)
	p.mu.Unlock()
	return err
}

// assert notes a breach; p.mu is held.
func (p *probe) assert(ok bool, format string, args ...any) {
	if !ok {
		p.breaches = append(p.breaches, fmt.Sprintf(format, args...))
	}
}

func (p *probe) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if err := p.enter(ctx, onBegin); err != nil {
		return nil, err
	}
	d, err := p.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	return &probeTxn{DriverTxn: d, p: p}, nil
}

func (p *probe) Watermark(ctx context.Context) (kv.Version, error) {
	if err := p.enter(ctx, onWatermark); err != nil {
		return 0, err
	}
	return p.Driver.Watermark(ctx)
}

func (p *probe) WaitDurable(ctx context.Context, v kv.Version) error {
	if err := p.enter(ctx, onWaitDurable); err != nil {
		return err
	}
	return p.Driver.WaitDurable(ctx, v)
}

func (p *probe) As(target any) bool {
	_ = p.enter(context.Background(), onAs)
	return true
}

func (p *probe) Close() error {
	p.mu.Lock()
	p.assert(p.open == 0, "Close with %d open transactions", p.open)
	p.mu.Unlock()
	hookErr := p.enter(context.Background(), onClose)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	if err := p.Driver.Close(); err != nil {
		return err
	}
	return hookErr
}

type probeTxn struct {
	kv.DriverTxn
	p         *probe
	cursors   int
	released  bool
	committed bool
}

func (t *probeTxn) enter(ctx context.Context, c call) error {
	t.p.mu.Lock()
	t.p.assert(!t.released, "%s after Release", c)
	t.p.assert(!t.committed, "%s after Commit", c)
	t.p.assert(c != onCommit || t.cursors == 0, "Commit with %d open cursors", t.cursors)
	t.p.mu.Unlock()
	return t.p.enter(ctx, c)
}

func (t *probeTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := t.enter(ctx, onGet); err != nil {
		return nil, err
	}
	return t.DriverTxn.Get(ctx, key)
}

func (t *probeTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := t.enter(ctx, onBatchGet); err != nil {
		return nil, err
	}
	return t.DriverTxn.BatchGet(ctx, keys)
}

func (t *probeTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	if err := t.enter(ctx, onCursor); err != nil {
		return nil, err
	}
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	if err != nil {
		return nil, err
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.cursors++
	return &probeCursor{DriverCursor: c, txn: t}, nil
}

func (t *probeTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	err := t.enter(ctx, onCommit)
	t.p.mu.Lock()
	t.committed = true
	t.p.commits = append(t.p.commits, c)
	t.p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return t.DriverTxn.Commit(ctx, c)
}

func (t *probeTxn) Release() {
	t.p.mu.Lock()
	t.p.assert(!t.released, "Release twice")
	t.p.assert(t.cursors == 0, "Release with %d open cursors", t.cursors)
	t.released = true
	t.p.open--
	t.p.mu.Unlock()
	defer t.DriverTxn.Release()
	_ = t.p.enter(context.Background(), onRelease)
}

type probeCursor struct {
	kv.DriverCursor
	txn    *probeTxn
	closed bool
	err    error
}

func (c *probeCursor) enter(ctx context.Context, name call) error {
	c.txn.p.mu.Lock()
	c.txn.p.assert(!c.closed, "%s of a closed cursor", name)
	c.txn.p.mu.Unlock()
	return c.txn.enter(ctx, name)
}

func (c *probeCursor) Next(ctx context.Context) bool {
	c.err = c.enter(ctx, onNext)
	return c.err == nil && c.DriverCursor.Next(ctx)
}

func (c *probeCursor) Seek(ctx context.Context, key []byte) bool {
	c.err = c.enter(ctx, onSeek)
	return c.err == nil && c.DriverCursor.Seek(ctx, key)
}

func (c *probeCursor) Err() error {
	if c.err != nil {
		return c.err
	}
	return c.DriverCursor.Err()
}

func (c *probeCursor) Close() {
	c.txn.p.mu.Lock()
	c.txn.p.assert(!c.closed, "Cursor.Close twice")
	c.txn.p.assert(!c.txn.released && !c.txn.committed, "Cursor.Close after Release or Commit")
	c.closed = true
	c.txn.cursors--
	c.txn.p.mu.Unlock()
	defer c.DriverCursor.Close()
	_ = c.txn.p.enter(context.Background(), onCursorClose)
}

// seed commits pairs, given as key, value, key, value...
func seed(t testing.TB, s *kv.Store, pairs ...string) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Set([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	}))
}

func begin(t testing.TB, s *kv.Store, o *kv.TxnOptions) *kv.Txn {
	t.Helper()
	tx, err := s.Begin(t.Context(), o)
	require.NoError(t, err)
	return tx
}

// lookup returns a committed value, "" for none.
func lookup(t testing.TB, s *kv.Store, key string) (value string) {
	t.Helper()
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		ok, err := tx.Has(t.Context(), []byte(key))
		if err != nil || !ok {
			return err
		}
		v, err := tx.Get(t.Context(), []byte(key))
		value = string(v)
		return err
	}))
	return value
}
