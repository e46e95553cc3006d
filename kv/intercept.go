package kv

import (
	"context"
	"fmt"
)

// Call is a kind of call of a driver. The zero value is none.
type Call uint8

// The calls of Driver, DriverTxn and DriverCursor that can fail.
const (
	CallBegin Call = iota + 1
	CallGet
	CallBatchGet
	CallCursor // opening one
	CallNext   // moving one; Intercept does not report it
	CallSeek
	CallCommit
	CallWatermark
	CallWaitDurable
)

// What Intercept reports besides calls: how long something was open.
const (
	CallTxn  Call = iota + 64 // from a transaction's begin to its release
	CallScan                  // from a cursor's opening to its end
)

// String names the call: "batch get".
func (c Call) String() string {
	switch c {
	case CallBegin:
		return "begin"
	case CallGet:
		return "get"
	case CallBatchGet:
		return "batch get"
	case CallCursor:
		return "cursor"
	case CallNext:
		return "next"
	case CallSeek:
		return "seek"
	case CallCommit:
		return "commit"
	case CallWatermark:
		return "watermark"
	case CallWaitDurable:
		return "wait durable"
	case CallTxn:
		return "transaction"
	case CallScan:
		return "scan"
	}
	return fmt.Sprintf("Call(%d)", uint8(c))
}

// CallInfo describes a call of a driver. It holds no keys and no values.
type CallInfo struct {
	Call Call

	// ReadOnly tells that the call begins a read-only transaction or is made in one.
	ReadOnly bool

	// NoSync tells that a commit does not wait until it is durable.
	NoSync bool

	// Keys is how many keys the call is about: 1 for Get and Seek, those asked for by
	// BatchGet, those that a commit sets and deletes. At the end of a scan it is how
	// many pairs the cursor returned.
	Keys int

	// Locks is how many keys a commit only locks.
	Locks int

	// Bytes is, for a commit, the size of the keys and values that it writes and of
	// the keys that it locks; at the end of a Get or BatchGet the size of the values
	// returned, and at the end of a scan that of the keys returned and of the values
	// that were looked at. It is 0 elsewhere.
	Bytes int
}

// Interceptor is what Intercept puts around the calls of a driver. Each function may
// be nil. They are called on the goroutines that call the driver, so by several at
// once. T is what Start hands to End: the time, a span, or struct{}.
type Interceptor[T any] struct {
	// Start is called before a call, and returns the context that the call gets and
	// what End gets. An error means that the call is not made, nor End called; the
	// error is returned in place of the call's.
	//
	// For CallTxn and CallScan, Start is called when the transaction or cursor has
	// been opened. The context is not used, and an error makes the opening fail.
	Start func(ctx context.Context, c CallInfo) (context.Context, T, error)

	// End is called after a call, with its error. A call that succeeded fails with
	// the error that End returns, and what it opened is released: a commit that End
	// makes fail has happened, and its caller does not learn of that. An error of the
	// call is replaced by the one that End returns, and stays if that is nil.
	//
	// For CallTxn and CallScan, End is called when the transaction has been released
	// or the cursor closed. What it returns is not used. A scan's error is what ended
	// the cursor. End is not called if the driver panics.
	End func(token T, c CallInfo, err error) error

	// Cursor is put around each cursor, for what has to see each move of one.
	Cursor func(c DriverCursor, o CursorOptions) DriverCursor
}

// Intercept returns d with i around each of its calls: to count, time, trace or fail
// them. It is meant for Options.Wrap. i must not be changed afterwards.
//
// Moving a cursor with Next is not reported, since a walk makes one such call a pair
// and few of those reach the engine's files or servers; the scan as a whole is, with
// the number of pairs and bytes. Info, As and Close go to the driver directly.
// Intercept allocates one object for a transaction and one for a cursor, and nothing
// for any other call.
func Intercept[T any](d Driver, i *Interceptor[T]) Driver {
	return &intercepted[T]{d, i}
}

func (i *Interceptor[T]) start(ctx context.Context, c CallInfo) (context.Context, T, error) {
	if i.Start == nil {
		var none T
		return ctx, none, nil
	}
	return i.Start(ctx, c)
}

func (i *Interceptor[T]) end(token T, c CallInfo, err error) error {
	if i.End != nil {
		if e := i.End(token, c, err); e != nil {
			return e
		}
	}
	return err
}

type intercepted[T any] struct {
	Driver
	i *Interceptor[T]
}

func (d *intercepted[T]) Begin(ctx context.Context, o BeginOptions) (DriverTxn, error) {
	info := CallInfo{Call: CallBegin, ReadOnly: o.ReadOnly}
	inner, token, err := d.i.start(ctx, info)
	if err != nil {
		return nil, err
	}
	t, opened := d.Driver.Begin(inner, o)
	err = d.i.end(token, info, opened)
	if err == nil {
		_, token, err = d.i.start(ctx, CallInfo{Call: CallTxn, ReadOnly: o.ReadOnly})
	}
	if err != nil {
		if opened == nil {
			t.Release()
		}
		return nil, err
	}
	return &interceptedTxn[T]{t, d.i, token, o.ReadOnly}, nil
}

func (d *intercepted[T]) Watermark(ctx context.Context) (Version, error) {
	info := CallInfo{Call: CallWatermark}
	ctx, token, err := d.i.start(ctx, info)
	if err != nil {
		return 0, err
	}
	v, err := d.Driver.Watermark(ctx)
	if err := d.i.end(token, info, err); err != nil {
		return 0, err
	}
	return v, nil
}

func (d *intercepted[T]) WaitDurable(ctx context.Context, v Version) error {
	info := CallInfo{Call: CallWaitDurable}
	ctx, token, err := d.i.start(ctx, info)
	if err != nil {
		return err
	}
	return d.i.end(token, info, d.Driver.WaitDurable(ctx, v))
}

type interceptedTxn[T any] struct {
	DriverTxn
	i        *Interceptor[T]
	open     T // the token of CallTxn
	readOnly bool
}

func (t *interceptedTxn[T]) Get(ctx context.Context, key []byte) ([]byte, error) {
	info := CallInfo{Call: CallGet, ReadOnly: t.readOnly, Keys: 1}
	ctx, token, err := t.i.start(ctx, info)
	if err != nil {
		return nil, err
	}
	v, err := t.DriverTxn.Get(ctx, key)
	info.Bytes = len(v)
	if err := t.i.end(token, info, err); err != nil {
		return nil, err
	}
	return v, nil
}

func (t *interceptedTxn[T]) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	info := CallInfo{Call: CallBatchGet, ReadOnly: t.readOnly, Keys: len(keys)}
	ctx, token, err := t.i.start(ctx, info)
	if err != nil {
		return nil, err
	}
	values, err := t.DriverTxn.BatchGet(ctx, keys)
	for _, v := range values {
		info.Bytes += len(v)
	}
	if err := t.i.end(token, info, err); err != nil {
		return nil, err
	}
	return values, nil
}

func (t *interceptedTxn[T]) Cursor(ctx context.Context, r Range, o CursorOptions) (DriverCursor, error) {
	info := CallInfo{Call: CallCursor, ReadOnly: t.readOnly}
	scan := CallInfo{Call: CallScan, ReadOnly: t.readOnly}
	inner, token, err := t.i.start(ctx, info)
	if err != nil {
		return nil, err
	}
	c, opened := t.DriverTxn.Cursor(inner, r, o)
	err = t.i.end(token, info, opened)
	if err == nil {
		_, token, err = t.i.start(ctx, scan)
	}
	if err != nil {
		if opened == nil {
			c.Close()
		}
		return nil, err
	}
	if t.i.Cursor != nil {
		c = t.i.Cursor(c, o)
	}
	return &interceptedCursor[T]{DriverCursor: c, i: t.i, open: token, scan: scan}, nil
}

func (t *interceptedTxn[T]) Commit(ctx context.Context, c *Commit) (Version, error) {
	info := CallInfo{Call: CallCommit, NoSync: c.NoSync, Keys: len(c.Writes), Locks: len(c.Locks)}
	for i := range c.Writes {
		info.Bytes += len(c.Writes[i].Key) + len(c.Writes[i].Value)
	}
	for _, k := range c.Locks {
		info.Bytes += len(k)
	}
	ctx, token, err := t.i.start(ctx, info)
	if err != nil {
		return 0, err
	}
	v, err := t.DriverTxn.Commit(ctx, c)
	if err := t.i.end(token, info, err); err != nil {
		return 0, err
	}
	return v, nil
}

func (t *interceptedTxn[T]) Release() {
	t.DriverTxn.Release()
	_ = t.i.end(t.open, CallInfo{Call: CallTxn, ReadOnly: t.readOnly}, nil)
}

type interceptedCursor[T any] struct {
	DriverCursor
	i      *Interceptor[T]
	open   T        // the token of CallScan
	scan   CallInfo // what the cursor has returned
	unseen bool     // the current pair's value has not been looked at
	err    error    // has ended the cursor, unless a Seek succeeds
}

func (c *interceptedCursor[T]) Next(ctx context.Context) bool {
	return c.err == nil && c.moved(c.DriverCursor.Next(ctx))
}

func (c *interceptedCursor[T]) Seek(ctx context.Context, key []byte) bool {
	info := CallInfo{Call: CallSeek, ReadOnly: c.scan.ReadOnly, Keys: 1}
	ctx, token, err := c.i.start(ctx, info)
	if err != nil {
		c.err = err
		return false
	}
	found := c.DriverCursor.Seek(ctx, key)
	if !found {
		err = c.DriverCursor.Err()
	}
	c.err = c.i.end(token, info, err)
	return c.moved(found && c.err == nil)
}

func (c *interceptedCursor[T]) moved(found bool) bool {
	if found {
		c.scan.Keys++
		c.scan.Bytes += len(c.Key())
	}
	c.unseen = found
	return found
}

func (c *interceptedCursor[T]) Value() []byte {
	v := c.DriverCursor.Value()
	if c.unseen {
		c.unseen = false
		c.scan.Bytes += len(v)
	}
	return v
}

func (c *interceptedCursor[T]) Err() error {
	if c.err != nil {
		return c.err
	}
	return c.DriverCursor.Err()
}

func (c *interceptedCursor[T]) Close() {
	err := c.Err()
	c.DriverCursor.Close()
	_ = c.i.end(c.open, c.scan, err)
}
