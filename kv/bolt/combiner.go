package bolt

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// maxGroup bounds the bytes that one bbolt transaction gets to write, unless
// a single commit has more.
const maxGroup = 16 << 20

// combiner owns the goroutine that commits: all commits that wait, in one go.
type combiner struct {
	commitAll func(group []*occ.Request)
	ended     chan struct{} // closed when the goroutine has returned

	mu      sync.Mutex
	work    sync.Cond // there is a request, or no more will come
	queue   []*request
	busy    chan struct{} // closed when the commit under way has ended; nil if there is none
	stopped bool
}

// request is a commit that waits for its answer.
type request struct {
	occ.Request
	size     int
	picked   bool          // by the goroutine, guarded by combiner.mu
	answered chan struct{} // closed when the request has its answer
}

func startCombiner(commitAll func(group []*occ.Request)) *combiner {
	c := &combiner{commitAll: commitAll, ended: make(chan struct{})}
	c.work.L = &c.mu
	go c.run()
	return c
}

// stop ends the goroutine. Nobody may be in commit.
func (c *combiner) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.work.Signal()
	<-c.ended
}

func (c *combiner) run() {
	defer close(c.ended)
	for {
		taken := c.take()
		if taken == nil {
			return
		}
		group := make([]*occ.Request, len(taken))
		for i, r := range taken {
			group[i] = &r.Request
		}
		c.commitAll(group)
		c.answer(taken)
	}
}

// take waits for requests and takes the oldest ones, or nil after stop.
func (c *combiner) take() []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.gather(); len(c.queue) == 0; c.gather() {
		if c.stopped {
			return nil
		}
		c.work.Wait()
	}
	n, size := 0, 0
	for n < len(c.queue) && (n == 0 || size+c.queue[n].size <= maxGroup) {
		size += c.queue[n].size
		c.queue[n].picked = true
		n++
	}
	taken := c.queue[:n]
	c.queue = slices.Clone(c.queue[n:])
	c.busy = make(chan struct{})
	return taken
}

// gather lets callers run that have just got their answer and are about to commit
// again, for as long as more requests come. Otherwise a group of one commit and a
// group of all others would alternate. c.mu is held, but not while the callers run.
func (c *combiner) gather() {
	for n := 0; n < len(c.queue); {
		n = len(c.queue)
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
}

func (c *combiner) answer(taken []*request) {
	c.mu.Lock()
	close(c.busy)
	c.busy = nil
	c.mu.Unlock()
	for _, r := range taken {
		close(r.answered)
	}
}

// commit hands in a commit and waits for the answer. If ctx ends before the
// goroutine has taken it, nothing is written.
func (c *combiner) commit(ctx context.Context, t *occ.Ticket, w *kv.Commit) (kv.Version, error) {
	r := &request{answered: make(chan struct{})}
	r.Ticket, r.Commit = t, w
	for i := range w.Writes {
		r.size += len(w.Writes[i].Key) + len(w.Writes[i].Value)
	}
	c.mu.Lock()
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	c.work.Signal()
	select {
	case <-r.answered:
	case <-ctx.Done():
		if c.withdraw(r) {
			return 0, fmt.Errorf("%w: waiting to commit: %w", kv.ErrUnavailable, ctx.Err())
		}
		<-r.answered
	}
	return r.Version, r.Err
}

// withdraw takes r back, if it still waits.
func (c *combiner) withdraw(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.picked {
		return false
	}
	i := slices.Index(c.queue, r)
	c.queue = slices.Delete(c.queue, i, i+1)
	return true
}

// wait returns when the commit under way, if there is one, has ended.
func (c *combiner) wait(ctx context.Context) error {
	c.mu.Lock()
	busy := c.busy
	c.mu.Unlock()
	if busy == nil {
		return nil
	}
	select {
	case <-busy:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
