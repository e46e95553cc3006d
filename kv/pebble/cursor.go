package pebble

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// cursor walks a range of a snapshot.
type cursor struct {
	d        *driver
	it       *pebble.Iterator
	reverse  bool
	keysOnly bool
	started  bool
	done     bool
	value    []byte
	buf      []byte // for the key of Seek
	err      error
}

func newCursor(ctx context.Context, t *txn, r kv.Range, o kv.CursorOptions) (*cursor, error) {
	if err := t.d.fuse.err(); err != nil {
		return nil, err
	}
	c := &cursor{d: t.d, reverse: o.Reverse, keysOnly: o.KeysOnly}
	bounds := make([]byte, 0, len(r.Start)+len(r.End)+2)
	bounds = append(append(bounds, userSpace), r.Start...)
	lower := bounds
	if r.End == nil {
		bounds = append(bounds, endSpace)
	} else {
		bounds = append(append(bounds, userSpace), r.End...)
	}
	it, err := t.snapshot.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: bounds[len(lower):]})
	if err := t.d.engineError(err); err != nil {
		return nil, err
	}
	c.it = it
	return c, nil
}

func (c *cursor) Next(context.Context) bool {
	switch {
	case c.done:
		return false
	case c.started && c.reverse:
		return c.settle(c.it.Prev())
	case c.started:
		return c.settle(c.it.Next())
	case c.reverse:
		return c.settle(c.it.Last())
	default:
		return c.settle(c.it.First())
	}
}

func (c *cursor) Seek(_ context.Context, key []byte) bool {
	if c.err != nil {
		return false
	}
	c.buf = append(append(c.buf[:0], userSpace), key...)
	if c.reverse {
		return c.settle(c.it.SeekLT(append(c.buf, 0))) // below the next possible key: at or below key
	}
	return c.settle(c.it.SeekGE(c.buf))
}

// settle takes in where the iterator stands. Values are loaded here, where a
// failure can still be told, and only if they are asked for.
func (c *cursor) settle(ok bool) bool {
	c.started = true
	var err error
	if !ok {
		err = c.it.Error()
	} else if !c.keysOnly {
		c.value, err = c.it.ValueAndErr()
	}
	c.err = c.d.engineError(err)
	c.done = !ok || c.err != nil
	return !c.done
}

func (c *cursor) Key() []byte   { return c.it.Key()[1:] }
func (c *cursor) Value() []byte { return c.value }
func (c *cursor) Err() error    { return c.err }
func (c *cursor) Close()        { _ = c.it.Close() } // errors have been told by Err
