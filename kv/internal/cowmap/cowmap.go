// Package cowmap is an ordered map from byte keys to values whose copies cost
// nothing: Clone shares all nodes, and a write copies only the path that it
// changes. A transaction's write set uses it for savepoints and for iterators
// that must not see later writes; the memory driver uses it as its store, one
// clone a commit.
package cowmap

import (
	"bytes"

	"github.com/tidwall/btree"
)

// Map is an ordered map. Reading one Map from many goroutines is safe while
// nobody writes to it; Clone counts as a write.
type Map[V any] struct {
	tree *btree.BTreeG[Item[V]]
}

// Item is one entry. Key must not be modified.
type Item[V any] struct {
	Key   []byte
	Value V
}

func less[V any](a, b Item[V]) bool { return bytes.Compare(a.Key, b.Key) < 0 }

// degree keeps nodes at no more than 31 items: small enough that copying a
// path for a commit of a few keys is cheap, large enough for shallow trees.
const degree = 16

// New returns an empty map.
func New[V any]() Map[V] {
	return Map[V]{btree.NewBTreeGOptions(less[V], btree.Options{NoLocks: true, Degree: degree})}
}

// Clone returns a map with the same entries. Writes to either leave the other alone.
func (m Map[V]) Clone() Map[V] { return Map[V]{m.tree.Copy()} }

// Len returns the number of entries.
func (m Map[V]) Len() int { return m.tree.Len() }

// Get returns the value of key.
func (m Map[V]) Get(key []byte) (V, bool) {
	it, ok := m.tree.Get(Item[V]{Key: key})
	return it.Value, ok
}

// Set sets key, which the map keeps, and returns the value that it replaced.
func (m Map[V]) Set(key []byte, v V) (V, bool) {
	old, replaced := m.tree.Set(Item[V]{key, v})
	return old.Value, replaced
}

// Delete removes key.
func (m Map[V]) Delete(key []byte) { m.tree.Delete(Item[V]{Key: key}) }

// Ascend calls yield for each entry in key order until it returns false.
func (m Map[V]) Ascend(yield func(Item[V]) bool) { m.tree.Scan(yield) }

// Cursor walks the entries of a Map with start <= key < end, in either
// direction. The Map must not change meanwhile (walk a Clone if it may).
type Cursor[V any] struct {
	it         btree.IterG[Item[V]]
	start, end []byte
	reverse    bool
	started    bool
	done       bool
}

// Cursor returns a cursor before its first entry. A nil bound is unbounded.
func (m Map[V]) Cursor(start, end []byte, reverse bool) *Cursor[V] {
	return &Cursor[V]{it: m.tree.Iter(), start: start, end: end, reverse: reverse}
}

// Next moves to the next entry in the cursor's direction, the first one at the
// first call, and reports whether there is one.
func (c *Cursor[V]) Next() bool {
	switch {
	case c.done:
		return false
	case !c.started && c.reverse:
		return c.seekBelow(c.end, false)
	case !c.started:
		return c.seekAtOrAbove(c.start)
	case c.reverse:
		return c.settle(c.it.Prev())
	default:
		return c.settle(c.it.Next())
	}
}

// Seek moves to the first entry at or after key in the cursor's direction,
// within its bounds, and reports whether there is one.
func (c *Cursor[V]) Seek(key []byte) bool {
	if c.reverse {
		if c.end != nil && bytes.Compare(key, c.end) >= 0 {
			return c.seekBelow(c.end, false)
		}
		return c.seekBelow(key, true)
	}
	if bytes.Compare(key, c.start) < 0 {
		key = c.start
	}
	return c.seekAtOrAbove(key)
}

// Item returns the current entry, after Next or Seek returned true.
func (c *Cursor[V]) Item() Item[V] { return c.it.Item() }

func (c *Cursor[V]) seekAtOrAbove(key []byte) bool {
	c.started = true
	if key == nil {
		return c.settle(c.it.First())
	}
	return c.settle(c.it.Seek(Item[V]{Key: key}))
}

// seekBelow moves to the last entry below key, or at it if inclusive.
func (c *Cursor[V]) seekBelow(key []byte, inclusive bool) bool {
	c.started = true
	if key == nil {
		return c.settle(c.it.Last())
	}
	if !c.it.Seek(Item[V]{Key: key}) {
		return c.settle(c.it.Last())
	}
	if inclusive && bytes.Equal(c.it.Item().Key, key) {
		return c.settle(true)
	}
	return c.settle(c.it.Prev())
}

// settle ends the cursor at the border of the tree or of the range. The tree's
// iterator must not be moved past its end, where it would start over.
func (c *Cursor[V]) settle(ok bool) bool {
	if ok {
		key := c.it.Item().Key
		if c.reverse {
			ok = bytes.Compare(key, c.start) >= 0
		} else {
			ok = c.end == nil || bytes.Compare(key, c.end) < 0
		}
	}
	c.done = !ok
	return ok
}
