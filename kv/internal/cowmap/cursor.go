package cowmap

import "bytes"

// Cursor walks the entries of a Map with start <= key < end, in either
// direction. The Map must not change meanwhile (walk a Clone if it may).
type Cursor[V any] struct {
	root       *node[V]
	start, end []byte
	reverse    bool
	started    bool
	done       bool

	// path leads from the root to the current entry: in each node the index of
	// the child that comes next, in the last the index of the entry.
	path  []step[V]
	space [4]step[V] // what path begins in: enough for some 100,000 entries
}

type step[V any] struct {
	n *node[V]
	i int
}

// Cursor returns a cursor before its first entry. A nil bound is unbounded.
func (m *Map[V]) Cursor(start, end []byte, reverse bool) *Cursor[V] {
	c := &Cursor[V]{root: m.root, start: start, end: end, reverse: reverse}
	c.path = c.space[:0]
	return c
}

// Next moves to the next entry in the cursor's direction, the first one at the
// first call, and reports whether there is one.
func (c *Cursor[V]) Next() bool {
	switch {
	case c.done:
		return false
	case c.started && c.reverse:
		return c.settle(c.backward())
	case c.started:
		return c.settle(c.forward())
	case c.reverse && c.end == nil:
		c.begin()
		c.descendLast(c.root)
		return c.settle(c.backward())
	case c.reverse:
		return c.seekBelow(c.end)
	default:
		return c.seekAtOrAbove(c.start)
	}
}

// Seek moves to the first entry at or after key in the cursor's direction,
// within its bounds, and reports whether there is one.
func (c *Cursor[V]) Seek(key []byte) bool {
	switch {
	case !c.reverse && bytes.Compare(key, c.start) < 0:
		return c.seekAtOrAbove(c.start)
	case !c.reverse:
		return c.seekAtOrAbove(key)
	case c.end != nil && bytes.Compare(key, c.end) >= 0:
		return c.seekBelow(c.end)
	case c.descend(key):
		return c.settle(true)
	default:
		return c.settle(c.backward())
	}
}

// Item returns the current entry, after Next or Seek returned true.
func (c *Cursor[V]) Item() *Item[V] {
	s := c.path[len(c.path)-1]
	return s.n.items[s.i]
}

func (c *Cursor[V]) seekAtOrAbove(key []byte) bool {
	return c.settle(c.descend(key) || c.climbForward())
}

func (c *Cursor[V]) seekBelow(key []byte) bool {
	c.descend(key)
	return c.settle(c.backward())
}

// settle ends the cursor at the border of the map or of the range.
func (c *Cursor[V]) settle(ok bool) bool {
	switch {
	case !ok:
	case c.reverse:
		ok = c.start == nil || bytes.Compare(c.Item().Key, c.start) >= 0
	default:
		ok = c.end == nil || bytes.Compare(c.Item().Key, c.end) < 0
	}
	c.done = !ok
	return ok
}

func (c *Cursor[V]) begin() {
	c.started = true
	c.path = c.path[:0]
}

// descend moves to key, or where there is none to the place in a leaf where it
// would be, which may be after the leaf's last entry.
func (c *Cursor[V]) descend(key []byte) (found bool) {
	c.begin()
	for n := c.root; n != nil; {
		i, found := n.search(key)
		c.path = append(c.path, step[V]{n, i})
		if found {
			return true
		}
		if n.children == nil {
			break
		}
		n = n.children[i]
	}
	return false
}

// descendLast moves from n to after the last entry below it.
func (c *Cursor[V]) descendLast(n *node[V]) {
	for n != nil {
		c.path = append(c.path, step[V]{n, len(n.items)})
		if n.children == nil {
			return
		}
		n = n.children[len(n.items)]
	}
}

// forward moves to the entry after the current one.
func (c *Cursor[V]) forward() bool {
	s := &c.path[len(c.path)-1]
	s.i++
	if s.n.children == nil {
		return c.climbForward()
	}
	for n := s.n.children[s.i]; n != nil; {
		c.path = append(c.path, step[V]{n, 0})
		if n.children == nil {
			break
		}
		n = n.children[0]
	}
	return true
}

// climbForward moves from a place after the last entry of a leaf to the next
// entry above it.
func (c *Cursor[V]) climbForward() bool {
	for len(c.path) > 0 {
		s := c.path[len(c.path)-1]
		if s.i < len(s.n.items) {
			return true
		}
		c.path = c.path[:len(c.path)-1]
	}
	return false
}

// backward moves to the entry before the current place.
func (c *Cursor[V]) backward() bool {
	if len(c.path) == 0 {
		return false
	}
	if s := c.path[len(c.path)-1]; s.n.children != nil {
		c.descendLast(s.n.children[s.i])
	}
	for len(c.path) > 0 {
		s := &c.path[len(c.path)-1]
		if s.i > 0 {
			s.i--
			return true
		}
		c.path = c.path[:len(c.path)-1]
	}
	return false
}
