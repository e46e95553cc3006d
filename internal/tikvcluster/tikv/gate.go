package main

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// gate holds reads back while a prewrite that chooses its own commit timestamp
// is under way on their keys.
//
// Such a prewrite asks PD for the timestamp first and shows its locks (or, in one
// phase, its data) after that. A read at a later timestamp that came in between
// would miss a write that is older than itself. TiKV prevents that with locks in
// memory; unistore does not.
//
// A prewrite passes before it asks for its timestamp. So a read that finds no
// prewrite at the gate has a timestamp lower than any that comes later.
type gate struct {
	mu      sync.Mutex
	running map[*passage]struct{}
}

// passage is one prewrite under way.
type passage struct {
	startTS uint64
	keys    [][]byte // sorted
	over    chan struct{}
}

// enter announces a prewrite of keys, which it may reorder. The caller ends it
// with leave.
func (g *gate) enter(startTS uint64, keys [][]byte) *passage {
	slices.SortFunc(keys, bytes.Compare)
	p := &passage{startTS: startTS, keys: keys, over: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == nil {
		g.running = map[*passage]struct{}{}
	}
	g.running[p] = struct{}{}
	return p
}

func (g *gate) leave(p *passage) {
	g.mu.Lock()
	delete(g.running, p)
	g.mu.Unlock()
	close(p.over)
}

// wait returns when no prewrite that was under way, and that a read at readTS
// could have to see, is left. touches says whether the read wants one of some
// sorted keys.
func (g *gate) wait(ctx context.Context, readTS uint64, touches func(keys [][]byte) bool) error {
	g.mu.Lock()
	var ahead []*passage
	for p := range g.running {
		if p.startTS < readTS && touches(p.keys) {
			ahead = append(ahead, p)
		}
	}
	g.mu.Unlock()
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
