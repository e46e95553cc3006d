package main

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// readFence holds reads back while a prewrite that chooses its own commit timestamp
// is under way on their keys.
//
// Such a prewrite asks PD for the timestamp first and shows its locks (or, in one
// phase, its data) after that. A read at a later timestamp that came in between
// would miss a write that is older than itself. TiKV prevents that with locks in
// memory; unistore does not.
//
// A prewrite enters before it asks for its timestamp. So a read that finds no
// prewrite within the fence has a timestamp lower than any that comes later.
type readFence struct {
	mu      sync.Mutex
	running map[*prewrite]struct{}
}

// prewrite is one prewrite under way.
type prewrite struct {
	startTS uint64
	keys    [][]byte // sorted
	over    chan struct{}
}

// enter announces a prewrite of keys, which it may reorder. The caller ends it
// with leave.
func (f *readFence) enter(startTS uint64, keys [][]byte) *prewrite {
	slices.SortFunc(keys, bytes.Compare)
	p := &prewrite{startTS: startTS, keys: keys, over: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil {
		f.running = map[*prewrite]struct{}{}
	}
	f.running[p] = struct{}{}
	return p
}

func (f *readFence) leave(p *prewrite) {
	f.mu.Lock()
	delete(f.running, p)
	f.mu.Unlock()
	close(p.over)
}

// wait returns when no prewrite that was under way, and that a read at readTS
// could have to see, is left. touches says whether the read wants one of some
// sorted keys.
func (f *readFence) wait(ctx context.Context, readTS uint64, touches func(keys [][]byte) bool) error {
	f.mu.Lock()
	var ahead []*prewrite
	for p := range f.running {
		if p.startTS < readTS && touches(p.keys) {
			ahead = append(ahead, p)
		}
	}
	f.mu.Unlock()
	for _, p := range ahead {
		select {
		case <-p.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// anyOf touches single keys.
func anyOf(wanted ...[]byte) func([][]byte) bool {
	return func(keys [][]byte) bool {
		return slices.ContainsFunc(wanted, func(key []byte) bool {
			_, found := slices.BinarySearchFunc(keys, key, bytes.Compare)
			return found
		})
	}
}

// within touches the keys from start until before end; an empty end is infinite.
func within(start, end []byte) func([][]byte) bool {
	return func(keys [][]byte) bool {
		i, _ := slices.BinarySearchFunc(keys, start, bytes.Compare)
		return i < len(keys) && (len(end) == 0 || bytes.Compare(keys[i], end) < 0)
	}
}
