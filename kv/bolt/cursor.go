package bolt

import (
	"bytes"
	"context"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
)

// cursor walks a range of a snapshot. Its bytes are bbolt's map of the file.
type cursor struct {
	d        *driver
	c        *bbolt.Cursor
	r        kv.Range
	reverse  bool
	keysOnly bool

	placed, done bool
	key, value   []byte
	probe        byte // keeps the compiler from leaving out the reads of touch
	err          error
}

func (c *cursor) Next(context.Context) bool {
	if c.done || !c.usable() {
		return false
	}
	defer c.d.shield(debug.SetPanicOnFault(true), &c.err)
	first := !c.placed
	c.placed = true
	switch {
	case first && c.reverse:
		return c.settle(c.below(c.r.End))
	case first:
		return c.settle(c.from(c.r.Start))
	case c.reverse:
		return c.settle(c.c.Prev())
	default:
		return c.settle(c.c.Next())
	}
}

func (c *cursor) Seek(_ context.Context, key []byte) bool {
	if !c.usable() {
		return false
	}
	defer c.d.shield(debug.SetPanicOnFault(true), &c.err)
	c.placed, c.done = true, false
	switch {
	case !c.reverse && bytes.Compare(key, c.r.Start) < 0:
		return c.settle(c.from(c.r.Start))
	case !c.reverse:
		return c.settle(c.from(key))
	case c.r.End != nil && bytes.Compare(key, c.r.End) >= 0:
		return c.settle(c.below(c.r.End))
	default:
		return c.settle(c.upTo(key))
	}
}

// usable reports whether the store is of use, and keeps the error if it is not.
func (c *cursor) usable() bool {
	if c.err == nil {
		c.err = c.d.err()
	}
	return c.err == nil
}

// from moves to the first pair at or after key.
func (c *cursor) from(key []byte) (k, v []byte) {
	if len(key) == 0 {
		return c.c.First()
	}
	return c.c.Seek(key)
}

// below moves to the last pair before key, or to the last of all if it is nil.
func (c *cursor) below(key []byte) (k, v []byte) {
	if key == nil {
		return c.c.Last()
	}
	if k, _ := c.c.Seek(key); k == nil {
		return c.c.Last()
	}
	return c.c.Prev()
}

// upTo moves to the last pair at or before key.
func (c *cursor) upTo(key []byte) (k, v []byte) {
	k, v = c.c.Seek(key)
	switch {
	case k == nil:
		return c.c.Last()
	case bytes.Equal(k, key):
		return k, v
	}
	return c.c.Prev()
}

// settle makes k and v the current pair unless they lie outside of the range.
func (c *cursor) settle(k, v []byte) bool {
	switch {
	case k == nil,
		!c.reverse && c.r.End != nil && bytes.Compare(k, c.r.End) >= 0,
		c.reverse && bytes.Compare(k, c.r.Start) < 0:
		c.done = true
		return false
	}
	c.touch(k)
	if !c.keysOnly {
		c.touch(v)
	}
	c.key, c.value = k, v
	return true
}

// touch reads a byte of each page of b, which the caller is going to read without
// the shield. If a damaged page says that b extends beyond the file, or the disk
// does not give a page, the fault happens here.
func (c *cursor) touch(b []byte) {
	const smallestPage = 4 << 10
	for i := 0; i < len(b); i += smallestPage {
		c.probe ^= b[i]
	}
	if len(b) > 0 {
		c.probe ^= b[len(b)-1]
	}
}

func (c *cursor) Key() []byte   { return c.key }
func (c *cursor) Value() []byte { return c.value }
func (c *cursor) Err() error    { return c.err }
func (c *cursor) Close()        {}
