package main

import "sync"

// latches let one request at a time work on a key, known by its hash.
type latches struct {
	mu   sync.Mutex
	free sync.Cond // something was released
	held map[uint64]struct{}
}

func newLatches() *latches {
	l := &latches{held: map[uint64]struct{}{}}
	l.free.L = &l.mu
	return l
}

// acquire takes all hashes at once, so that no two requests wait for each other.
func (l *latches) acquire(hashes []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.anyHeld(hashes) {
		l.free.Wait()
	}
	for _, h := range hashes {
		l.held[h] = struct{}{}
	}
}

func (l *latches) release(hashes []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range hashes {
		delete(l.held, h)
	}
	l.free.Broadcast()
}

func (l *latches) anyHeld(hashes []uint64) bool {
	for _, h := range hashes {
		if _, ok := l.held[h]; ok {
			return true
		}
	}
	return false
}
