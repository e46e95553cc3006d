package kv

import (
	"github.com/tito-db/tito-go/kv/internal/cowmap"
)

// writeSet holds what a transaction has written and locked, in key order. A
// key has one entry: a later write replaces an earlier one, and a write takes
// the place of a lock, since it conflicts with at least as much.
type writeSet struct {
	changes cowmap.Map[change]
	size    int // bytes, as Limits.MaxTxnSize counts them
	writes  int // entries that are not locks
}

// change is one entry: a new value, a deletion (value nil) or only a lock.
type change struct {
	value    []byte
	lockOnly bool
}

func (w *writeSet) empty() bool { return w.changes.Len() == 0 }

// get returns the pending write of key, if there is one.
func (w *writeSet) get(key []byte) (value []byte, written bool) {
	c, ok := w.changes.Get(key)
	return c.value, ok && !c.lockOnly
}

// put sets or, with a nil value, deletes key. It keeps copies, and reports
// false, changing nothing, if the set would pass limit.
func (w *writeSet) put(key, value []byte, limit int) bool {
	if w.size+len(key)+len(value) > limit && !w.fits(key, value, limit) {
		return false
	}
	buf := make([]byte, len(key)+len(value))
	copy(buf, key)
	k := buf[:len(key):len(key)]
	var v []byte
	if value != nil {
		v = buf[len(key):]
		copy(v, value)
	}
	w.set(k, change{value: v})
	return true
}

// fits tells whether the set stays within limit once key's entry is replaced.
func (w *writeSet) fits(key, value []byte, limit int) bool {
	size := w.size + len(key) + len(value)
	if old, ok := w.changes.Get(key); ok {
		size -= len(key) + len(old.value)
	}
	return size <= limit
}

// lock adds key to the conflict check, and reports false if the set would pass limit.
func (w *writeSet) lock(key []byte, limit int) bool {
	if _, ok := w.changes.Get(key); ok {
		return true
	}
	if w.size+len(key) > limit {
		return false
	}
	w.set(append(make([]byte, 0, len(key)), key...), change{lockOnly: true})
	return true
}

func (w *writeSet) set(key []byte, c change) {
	old, replaced := w.changes.Set(key, c)
	if replaced {
		w.size -= len(key) + len(old.value)
	}
	if !c.lockOnly && (!replaced || old.lockOnly) {
		w.writes++
	}
	w.size += len(key) + len(c.value)
}

// clone returns a set that later writes to w do not change.
func (w *writeSet) clone() writeSet {
	c := *w
	c.changes = w.changes.Clone()
	return c
}

// commit lists the set for a driver.
func (w *writeSet) commit() *Commit {
	c := &Commit{Writes: make([]Write, 0, w.writes)}
	w.changes.Ascend(func(it *cowmap.Item[change]) bool {
		if it.Value.lockOnly {
			c.Locks = append(c.Locks, it.Key)
		} else {
			c.Writes = append(c.Writes, Write{it.Key, it.Value.value})
		}
		return true
	})
	return c
}
