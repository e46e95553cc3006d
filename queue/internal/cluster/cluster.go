package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tito-db/tito-go/queue/internal/access"
)

// Cluster is the processes of a queue as one of them sees them. It does nothing on
// a store that no other process has open: there this process has everything.
type Cluster struct {
	store *access.Store
	opts  Options

	mu      sync.Mutex
	members *members        // runs while there are users, on shared stores; else nil
	left    <-chan struct{} // closed when the members that ran before have ended; nil if there are none
}

// Options of a Cluster.
type Options struct {
	Prefix []byte        // of every key of the queue
	ID     ID            // of this process
	TTL    time.Duration // how long a process may show no sign of life

	// Reads returns what the workers of this process read.
	Reads func() []Subject

	// Changed is called when who is alive, or what they read, has changed. No lock
	// of the Cluster is held.
	Changed func()
}

// New returns a Cluster.
func New(store *access.Store, o Options) *Cluster { return &Cluster{store: store, opts: o} }

// Join makes a worker's process known, before the worker takes partitions, and
// keeps it so until the caller calls leave. Workers with fixed partitions do not
// share them with others, but sequence with them.
func (c *Cluster) Join(ctx context.Context) (leave func(), err error) {
	if !c.store.Info().Shared {
		return func() {}, nil
	}
	c.mu.Lock()
	m := c.members
	if m == nil {
		m = newMembers(c.store, &c.opts, c.left)
		run, stop := context.WithCancel(context.Background())
		m.stop = stop
		c.members = m
		go m.run(run)
	}
	m.mu.Lock()
	m.users++
	m.mu.Unlock()
	c.mu.Unlock()
	leave = func() { c.leave(m) }
	if err := m.first(ctx); err != nil {
		leave()
		return nil, fmt.Errorf("queue: joining: %w", err)
	}
	return leave, nil
}

func (c *Cluster) leave(m *members) {
	c.mu.Lock()
	m.mu.Lock()
	m.users--
	last := m.users == 0
	m.mu.Unlock()
	if last {
		c.members, c.left = nil, m.exited
		m.stop()
	}
	c.mu.Unlock()
	if last {
		<-m.exited
	}
}

func (c *Cluster) running() *members {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members
}

// Hurry makes the next sign of life come at once.
func (c *Cluster) Hurry() {
	if m := c.running(); m != nil {
		m.soon()
	}
}

// Health is what this process knows of another.
type Health uint8

// The values of Health.
const (
	Dead    Health = iota
	Alive          // as of the last look
	Unknown        // it may have joined since the last look
)

// Health tells how a process is that was met, as the owner of something, at a time.
// A process that has no row when this one looks after that has left, or has been
// dead for long.
func (c *Cluster) Health(id ID, met time.Time) Health {
	m := c.running()
	if m == nil {
		return Dead
	}
	return m.health(id, met)
}
