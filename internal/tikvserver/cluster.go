package tikvserver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is how a cluster came to be.
type Kind int

// The kinds of cluster.
const (
	External   Kind = iota // it was running already, and goes on
	Containers             // started here, in Docker
	Processes              // started here, on this machine; always the stand-in
)

func (k Kind) String() string {
	switch k {
	case External:
		return "external"
	case Containers:
		return "containers"
	case Processes:
		return "processes"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Node is one of the two servers of a cluster that was started here.
type Node int

// The servers.
const (
	PD Node = iota
	TiKV
)

func (n Node) String() string {
	switch n {
	case PD:
		return "PD"
	case TiKV:
		return "TiKV"
	}
	return fmt.Sprintf("Node(%d)", int(n))
}

// Cluster is a PD and at least one TiKV. Its methods may be called from several
// goroutines, but one server is killed, started or paused by one at a time.
type Cluster struct {
	kind    Kind
	what    string
	pd      []string
	standin bool
	own     bool
	nodes   [2]node // by Node; nil if External
	close   func(context.Context) error
}

// node is a server that can be ended and started again with its data.
type node interface {
	kill(ctx context.Context) error
	start(ctx context.Context) error
	pause(ctx context.Context) error
	unpause(ctx context.Context) error
	output(ctx context.Context) string // the last of what it printed
}

// PD returns where clients find PD, as host:port.
func (c *Cluster) PD() []string { return c.pd }

// Kind returns how the cluster came to be.
func (c *Cluster) Kind() Kind { return c.kind }

// Standin reports whether its store is the stand-in of internal/tikvcluster, and
// not TiKV.
func (c *Cluster) Standin() bool { return c.standin }

// String describes the cluster for logs.
func (c *Cluster) String() string {
	if c.standin {
		return c.what + " (the stand-in, not TiKV)"
	}
	return c.what
}

// Kill ends a server as kill -9 does, and returns when it is gone.
func (c *Cluster) Kill(ctx context.Context, n Node) error {
	return c.do(n, "kill", func(s node) error { return s.kill(ctx) })
}

// Start starts a server that was killed, on the data that it left. See Ready.
func (c *Cluster) Start(ctx context.Context, n Node) error {
	return c.do(n, "start", func(s node) error { return s.start(ctx) })
}

// Pause freezes a server: its connections stay, and nothing answers.
func (c *Cluster) Pause(ctx context.Context, n Node) error {
	return c.do(n, "pause", func(s node) error { return s.pause(ctx) })
}

// Unpause lets a paused server go on.
func (c *Cluster) Unpause(ctx context.Context, n Node) error {
	return c.do(n, "unpause", func(s node) error { return s.unpause(ctx) })
}

func (c *Cluster) do(n Node, what string, f func(node) error) error {
	if !c.own {
		return fmt.Errorf("tikvserver: %s %v: only a test's own cluster allows it", what, n)
	}
	if err := f(c.nodes[n]); err != nil {
		return fmt.Errorf("tikvserver: %s %v: %w", what, n, err)
	}
	return nil
}

// Ready returns when PD says that the store is up and a transaction commits.
func (c *Cluster) Ready(ctx context.Context) error {
	_, err := c.ready(ctx)
	return err
}

// ready also tells whether the store is the stand-in.
func (c *Cluster) ready(ctx context.Context) (standin bool, err error) {
	err = retry(ctx, func(ctx context.Context) (err error) {
		standin, err = c.storeUp(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("tikvserver: wait for the store: %w", err)
	}
	if err := c.probe(ctx); err != nil {
		return false, fmt.Errorf("tikvserver: commit a transaction: %w", err)
	}
	return standin, nil
}

func (c *Cluster) end(ctx context.Context) error {
	if c.close == nil {
		return nil
	}
	return c.close(ctx)
}

func (c *Cluster) output(ctx context.Context) string {
	var all string
	for n, s := range c.nodes {
		if s != nil {
			all += fmt.Sprintf("--- %v\n%s\n", Node(n), s.output(ctx))
		}
	}
	return all
}

// begin makes a new cluster ready. If it cannot, it ends it, and the error has
// what the servers said.
func (c *Cluster) begin(ctx context.Context) (*Cluster, error) {
	standin, err := c.ready(ctx)
	if err == nil {
		c.standin = standin
		return c, nil
	}
	// ctx may be what has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	return nil, errors.Join(fmt.Errorf("%w\n%s", err, c.output(ctx)), c.end(ctx))
}

// retry calls f until it returns nil or ctx ends, and then says why f failed last.
func retry(ctx context.Context, f func(context.Context) error) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}
