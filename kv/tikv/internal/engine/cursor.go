package engine

import (
	"bytes"
	"context"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// cursor walks a range page by page. It asks for pages by itself: the client's
// own iterators know no context, and may try for long after it has ended.
type cursor struct {
	t        *txn
	reverse  bool
	keysOnly bool
	size     int // pairs to ask for

	start, end []byte // the range that is left to walk when the page is used up
	lo, hi     []byte // the range

	page    []pair // in the cursor's direction
	from    []byte // the bound at which the page was asked for
	at      int    // in page
	err     error
	started bool
}

// pair is a key, as the store keeps it, and its value.
type pair struct {
	key, value []byte
}

// Bounds of the number of pairs to ask for, and of what they may have in bytes.
const (
	defaultPage  = 256
	maxPage      = 10 << 10
	maxPageBytes = 8 << 20
)

// Cursor asks for nothing yet.
func (t *txn) Cursor(_ context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	c := &cursor{t: t, reverse: o.Reverse, keysOnly: o.KeysOnly, size: o.PageSize}
	if c.size == 0 {
		c.size = defaultPage
	}
	c.size = min(c.size, maxPage)
	c.lo, c.hi = t.d.space.bounds(r)
	c.start, c.end = c.lo, c.hi
	c.from = c.bound()
	return c, nil
}

// bound is where the next page begins.
func (c *cursor) bound() []byte {
	if c.reverse {
		return c.end
	}
	return c.start
}

// Next takes the next pair of the page, or of the next page.
func (c *cursor) Next(ctx context.Context) bool {
	if c.err != nil {
		return false
	}
	c.at++
	if !c.started {
		c.started, c.at = true, 0
	}
	return c.settle(ctx)
}

// settle makes sure that there is a pair at c.at, if there is one at all.
func (c *cursor) settle(ctx context.Context) bool {
	for c.at >= len(c.page) {
		c.at = 0
		if c.page = nil; bytes.Compare(c.start, c.end) >= 0 {
			return false
		}
		if c.err = c.fetch(ctx); c.err != nil {
			return false
		}
	}
	return true
}

// fetch asks for the next page, which may be empty though more follow.
func (c *cursor) fetch(ctx context.Context) error {
	c.from = c.bound()
	p, err := c.t.page(ctx, pageRequest{start: c.start, end: c.end, reverse: c.reverse, keysOnly: c.keysOnly, limit: c.size})
	if err != nil {
		return err
	}
	c.page = p.pairs
	if c.reverse {
		c.end = p.next
	} else {
		c.start = p.next
	}
	if p.bytes > maxPageBytes { // values are large, so the next page has fewer pairs
		c.size = max(1, len(p.pairs)*maxPageBytes/p.bytes)
	}
	return nil
}

// Seek stays on the page if the page covers key. Otherwise it asks for a page that
// begins at key.
func (c *cursor) Seek(ctx context.Context, key []byte) bool {
	c.started, c.err = true, nil
	k := c.t.d.space.key(key)
	if c.covers(k) {
		c.at, _ = slices.BinarySearchFunc(c.page, k, c.order)
		return c.settle(ctx)
	}
	c.page, c.at = nil, 0
	if c.reverse {
		c.start, c.end = c.lo, least(c.hi, append(k, 0)) // the end is the first key that is too high
	} else {
		c.start, c.end = greatest(c.lo, k), c.hi
	}
	return c.settle(ctx)
}

// covers reports whether the first pair at or after k is on the page, or on
// the one that follows it.
func (c *cursor) covers(k []byte) bool {
	if len(c.page) == 0 {
		return false
	}
	last := c.page[len(c.page)-1].key
	if c.reverse {
		return bytes.Compare(k, c.from) < 0 && bytes.Compare(k, last) >= 0
	}
	return bytes.Compare(k, c.from) >= 0 && bytes.Compare(k, last) <= 0
}

func (c *cursor) order(p pair, k []byte) int {
	if c.reverse {
		return bytes.Compare(k, p.key)
	}
	return bytes.Compare(p.key, k)
}

func least(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}

func greatest(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

func (c *cursor) Key() []byte   { return c.t.d.space.user(c.page[c.at].key) }
func (c *cursor) Value() []byte { return c.page[c.at].value }
func (c *cursor) Err() error    { return c.err }
func (c *cursor) Close()        { c.page = nil }
