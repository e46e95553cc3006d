// Package cowmap is an ordered map from byte keys to values whose copies cost
// nothing: Clone shares all nodes, and a write copies only the path that it
// changes. A transaction's write set uses it for savepoints and for iterators
// that must not see later writes; the memory driver uses it as its store, one
// clone a commit.
//
// It is a B-tree. Nodes point to their entries, so that copying a node copies
// eight bytes an entry: what a commit costs is mostly the garbage it makes.
package cowmap

import (
	"bytes"
	"slices"
)

// Map is an ordered map; the zero Map is empty. Many goroutines may read and Clone
// one Map while nobody writes to it: Clone changes nothing that readers look at.
type Map[V any] struct {
	root   *node[V] // nil if empty
	length int
	owner  *owner // of the nodes that may be changed in place; nil for none
}

// Item is one entry. Nothing modifies it, because clones share it.
type Item[V any] struct {
	Key   []byte
	Value V
}

// A node has at most maxItems entries and, unless it is the root, at least minItems:
// a full node splits into two nodes with minItems entries each, and one entry between
// them.
const (
	maxItems = 2*minItems + 1
	minItems = 15
)

type node[V any] struct {
	owner    *owner
	items    []*Item[V]
	children []*node[V] // one more than items; nil in a leaf
}

// owner tells apart the writers of nodes. It has a size, so that each has its
// own address.
type owner struct{ _ byte }

// Clone returns a map with the same entries. Writes to either leave the other alone.
func (m *Map[V]) Clone() Map[V] {
	m.owner = nil
	return *m
}

// Len returns the number of entries.
func (m *Map[V]) Len() int { return m.length }

// Get returns the value of key.
func (m *Map[V]) Get(key []byte) (v V, ok bool) {
	for n := m.root; n != nil; {
		i, found := n.search(key)
		if found {
			return n.items[i].Value, true
		}
		if n.children == nil {
			break
		}
		n = n.children[i]
	}
	return v, false
}

// search returns the index of key, or of the first greater one.
func (n *node[V]) search(key []byte) (int, bool) {
	low, high := 0, len(n.items)
	for low < high {
		mid := int(uint(low+high) / 2)
		switch order := bytes.Compare(n.items[mid].Key, key); {
		case order == 0:
			return mid, true
		case order < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// Set sets key, which the map keeps, and returns the value that it replaced.
func (m *Map[V]) Set(key []byte, v V) (old V, replaced bool) {
	it := &Item[V]{key, v}
	if m.owner == nil {
		m.owner = new(owner)
	}
	if m.root == nil {
		m.root = &node[V]{owner: m.owner, items: make([]*Item[V], 0, 4)} // most maps are a small transaction's
	}
	if len(m.root.items) == maxItems {
		m.root = m.newNode(nil, []*node[V]{m.root})
		m.split(m.root, 0)
	}
	for n := m.own(&m.root); ; {
		i, found := n.search(key)
		if !found && n.children != nil && len(n.children[i].items) == maxItems {
			m.split(n, i) // on the way down, so that there is room when a child splits
			i, found = n.search(key)
		}
		switch {
		case found:
			old, n.items[i] = n.items[i].Value, it
			return old, true
		case n.children == nil:
			n.items = slices.Insert(n.items, i, it)
			m.length++
			return old, false
		}
		n = m.own(&n.children[i])
	}
}

// own makes sure that m may change the node at p, by a copy if it is shared.
func (m *Map[V]) own(p **node[V]) *node[V] {
	n := *p
	if n.owner == m.owner {
		return n
	}
	*p = m.newNode(n.items, n.children)
	return *p
}

// newNode returns a node with copies of items and, unless nil, children, and with
// room for one more item and child. Nodes of full size would save allocations, but
// make more garbage, which costs more.
func (m *Map[V]) newNode(items []*Item[V], children []*node[V]) *node[V] {
	n := &node[V]{m.owner, append(make([]*Item[V], 0, len(items)+1), items...), nil}
	if children != nil {
		n.children = append(make([]*node[V], 0, len(children)+1), children...)
	}
	return n
}

// split moves the upper half of n's full child i into a new child after it,
// and the entry between them into n.
func (m *Map[V]) split(n *node[V], i int) {
	left := m.own(&n.children[i])
	middle := left.items[minItems]
	var upper []*node[V]
	if left.children != nil {
		upper = left.children[minItems+1:]
	}
	right := m.newNode(left.items[minItems+1:], upper)
	left.items = slices.Delete(left.items, minItems, maxItems)
	if left.children != nil {
		left.children = slices.Delete(left.children, minItems+1, maxItems+1)
	}
	n.items = slices.Insert(n.items, i, middle)
	n.children = slices.Insert(n.children, i+1, right)
}

// Delete removes key.
func (m *Map[V]) Delete(key []byte) {
	if _, ok := m.Get(key); !ok {
		return // without copying anything
	}
	if m.owner == nil {
		m.owner = new(owner)
	}
	root := m.own(&m.root)
	m.remove(root, func(n *node[V]) (int, bool) { return n.search(key) })
	m.length--
	if len(root.items) == 0 {
		m.root = nil
		if root.children != nil {
			m.root = root.children[0]
		}
	}
}

// last is a way to the greatest entry below a node.
func last[V any](n *node[V]) (int, bool) {
	if n.children == nil {
		return len(n.items) - 1, true
	}
	return len(n.items), false
}

// remove removes and returns an entry below n, to which way leads: in each
// node it gives the entry's index, or the index of the child that has it. n has
// an entry to spare, unless it is the root.
func (m *Map[V]) remove(n *node[V], way func(*node[V]) (int, bool)) *Item[V] {
	i, found := way(n)
	if n.children == nil {
		it := n.items[i]
		n.items = slices.Delete(n.items, i, i+1)
		return it
	}
	if len(n.children[i].items) == minItems {
		m.fill(n, i)
		i, found = way(n)
	}
	child := m.own(&n.children[i])
	if !found {
		return m.remove(child, way)
	}
	it := n.items[i]
	n.items[i] = m.remove(child, last[V]) // the entry before it takes its place
	return it
}

// fill gives n's child i an entry to spare: it takes an entry from a neighbour
// through n, or merges the child with a neighbour.
func (m *Map[V]) fill(n *node[V], i int) {
	switch {
	case i > 0 && len(n.children[i-1].items) > minItems:
		left, child := m.own(&n.children[i-1]), m.own(&n.children[i])
		end := len(left.items) - 1
		child.items = slices.Insert(child.items, 0, n.items[i-1])
		n.items[i-1] = left.items[end]
		left.items = slices.Delete(left.items, end, end+1)
		if child.children != nil {
			child.children = slices.Insert(child.children, 0, left.children[end+1])
			left.children = slices.Delete(left.children, end+1, end+2)
		}
	case i < len(n.items) && len(n.children[i+1].items) > minItems:
		child, right := m.own(&n.children[i]), m.own(&n.children[i+1])
		child.items = append(child.items, n.items[i])
		n.items[i] = right.items[0]
		right.items = slices.Delete(right.items, 0, 1)
		if child.children != nil {
			child.children = append(child.children, right.children[0])
			right.children = slices.Delete(right.children, 0, 1)
		}
	default:
		i = min(i, len(n.items)-1)
		child, right := m.own(&n.children[i]), n.children[i+1]
		child.items = append(append(child.items, n.items[i]), right.items...)
		child.children = append(child.children, right.children...)
		n.items = slices.Delete(n.items, i, i+1)
		n.children = slices.Delete(n.children, i+1, i+2)
	}
}

// Ascend calls yield for each entry in key order until it returns false.
func (m *Map[V]) Ascend(yield func(*Item[V]) bool) {
	if m.root != nil {
		m.root.ascend(yield)
	}
}

func (n *node[V]) ascend(yield func(*Item[V]) bool) bool {
	for i, it := range n.items {
		if len(n.children) > 0 && !n.children[i].ascend(yield) || !yield(it) {
			return false
		}
	}
	return len(n.children) == 0 || n.children[len(n.items)].ascend(yield)
}
