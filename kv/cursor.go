package kv

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tito-db/tito-go/kv/internal/cowmap"
)

// Cursor walks a range of a transaction: the driver's snapshot merged with the
// transaction's own writes as of the cursor's creation. It belongs to its
// transaction's goroutine.
type Cursor struct {
	txn  *Txn
	opts ScanOptions
	left int // pairs that Limit still allows, if there is a Limit

	older, newer *Cursor // txn's list of cursors whose driver is open

	driver DriverCursor           // nil for an empty range
	own    *cowmap.Cursor[change] // nil when the write set was empty

	// Each source stands before its first entry (next), on one that has not
	// been returned (held), or at its end (neither).
	driverNext, driverHeld bool
	ownNext, ownHeld       bool
	done                   bool
	err                    error

	// Copies of the current pair. The reaper may release the snapshot while
	// the caller looks at it, and a driver's bytes would go with that.
	key, value []byte
}

// Cursor returns an explicit cursor over r: what Scan does, for merges that
// advance several at once, and with Seek. Close it when done; the end of the
// transaction closes it too.
func (t *Txn) Cursor(ctx context.Context, r Range, o *ScanOptions) (*Cursor, error) {
	var opts ScanOptions
	if o != nil {
		opts = *o
	}
	if opts.Limit < 0 || opts.PageSize < 0 {
		return nil, fmt.Errorf("%w: negative Limit or PageSize", ErrOptions)
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	c := &Cursor{txn: t, opts: opts, left: opts.Limit, driverNext: true, ownNext: true}
	if r.empty() {
		c.done = true
		return c, nil
	}
	r = Range{bytes.Clone(r.Start), bytes.Clone(r.End)} // the caller may reuse its own
	if !t.writes.empty() {
		// A clone, so that writes during the walk are neither seen nor harm it.
		own := t.writes.clone()
		c.own = own.changes.Cursor(r.Start, r.End, opts.Reverse)
	}
	page := opts.PageSize
	if page == 0 {
		page = opts.Limit
	}
	d, err := t.driver.Cursor(ctx, r, CursorOptions{Reverse: opts.Reverse, KeysOnly: opts.KeysOnly, PageSize: page})
	if err != nil {
		return nil, fmt.Errorf("kv: cursor: %w", err)
	}
	c.driver = d
	t.remember(c)
	return c, nil
}

// empty reports whether no key can lie in r.
func (r Range) empty() bool { return r.End != nil && bytes.Compare(r.Start, r.End) >= 0 }

// Next moves to the next pair and reports whether there is one. After false,
// Err tells an error from the end.
func (c *Cursor) Next(ctx context.Context) bool {
	if !c.enter(ctx) {
		return false
	}
	defer c.txn.unlock()
	if c.done || c.limited() {
		return false
	}
	return c.settle(ctx)
}

// Seek moves to the first pair at or after key in the cursor's direction
// (reverse: the last pair at or below key) that lies within the range, and
// reports whether there is one. It may move either way, and a pair that it
// returns counts towards Limit as one from Next does.
func (c *Cursor) Seek(ctx context.Context, key []byte) bool {
	if !c.enter(ctx) {
		return false
	}
	defer c.txn.unlock()
	if c.driver == nil || c.limited() {
		return false
	}
	if len(key) == 0 { // before every key; drivers could take it for unbounded
		if c.done = c.opts.Reverse; c.done {
			return false
		}
		key = []byte{}
	}
	c.done = false
	c.driverNext, c.driverHeld = false, c.driver.Seek(ctx, key)
	if c.own != nil {
		c.ownNext, c.ownHeld = false, c.own.Seek(key)
	}
	return c.settle(ctx)
}

// enter begins an operation; on true the transaction is locked.
func (c *Cursor) enter(ctx context.Context) bool {
	if c.err != nil {
		return false
	}
	if err := c.txn.enter(ctx); err != nil {
		c.err = err
		return false
	}
	return true
}

func (c *Cursor) limited() bool { return c.opts.Limit > 0 && c.left == 0 }

// settle moves to the first pair, from where the sources stand, that the
// transaction sees: its own change of a key hides the snapshot's.
func (c *Cursor) settle(ctx context.Context) bool {
	for {
		if c.driverNext {
			c.driverNext, c.driverHeld = false, c.driver.Next(ctx)
		}
		if !c.driverHeld {
			if err := c.driver.Err(); err != nil {
				c.err = fmt.Errorf("kv: cursor: %w", err)
				return false
			}
		}
		if c.own == nil { // the common case, a walk without own writes
			if !c.driverHeld {
				c.done = true
				return false
			}
			c.driverNext = true
			return c.emit(c.driver.Key(), nil)
		}
		if c.ownNext {
			c.ownNext, c.ownHeld = false, c.own.Next()
		}
		if !c.driverHeld && !c.ownHeld {
			c.done = true
			return false
		}
		order := c.compare()
		if order < 0 {
			c.driverNext = true
			return c.emit(c.driver.Key(), nil)
		}
		own := c.own.Item()
		c.ownNext = true
		if own.Value.lockOnly {
			continue
		}
		if order == 0 {
			c.driverNext = true
		}
		if own.Value.value != nil {
			return c.emit(own.Key, own.Value.value)
		}
	}
}

// compare tells whose entry comes first in the cursor's direction: the
// driver's (negative), the own one (positive), or both at once (0).
func (c *Cursor) compare() int {
	switch {
	case !c.ownHeld:
		return -1
	case !c.driverHeld:
		return 1
	}
	order := bytes.Compare(c.driver.Key(), c.own.Item().Key)
	if c.opts.Reverse {
		return -order
	}
	return order
}

// emit makes key and value the current pair; a nil value is the driver's.
func (c *Cursor) emit(key, value []byte) bool {
	c.key = append(c.key[:0], key...)
	if !c.opts.KeysOnly {
		if value == nil {
			value = c.driver.Value()
		}
		c.value = append(c.value[:0], value...)
	}
	c.left--
	return true
}

// Key returns the current key. Its bytes are valid until the next call of
// Next, Seek or Close.
func (c *Cursor) Key() []byte { return c.key }

// Value returns the current value, nil if the cursor is KeysOnly. Its bytes
// are valid until the next call of Next, Seek or Close.
func (c *Cursor) Value() []byte { return c.value }

// Err returns the error that ended the cursor, or nil.
func (c *Cursor) Err() error { return c.err }

// Close releases the cursor. It may be called more than once.
func (c *Cursor) Close() {
	c.txn.mu.Lock()
	defer c.txn.unlock()
	if c.driver != nil {
		c.txn.forget(c)
		c.end()
	}
}

// end closes the driver's cursor, which is open. The transaction is locked.
func (c *Cursor) end() {
	d := c.driver
	c.driver, c.own, c.done = nil, nil, true
	d.Close()
}
