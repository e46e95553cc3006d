package tikvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tito-db/tito-go/internal/tikvserver"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
)

// Kind is what a test's servers are.
type Kind int

// The kinds of servers.
const (
	// Model is the client library's own model of a cluster, inside the process. It
	// commits in two phases whatever it is asked for, so that the shorter ways of
	// a commit, which is what most commits take, are not tested on it.
	Model Kind = iota

	// Standin is this project's stand-in for TiKV: see internal/tikvcluster.
	Standin

	// TiKV is TiKV itself or, where a cluster was running already, what it says
	// it is.
	TiKV
)

func (k Kind) String() string {
	switch k {
	case Model:
		return "model"
	case Standin:
		return "stand-in"
	case TiKV:
		return "TiKV"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Cluster is where a test's stores are. Its methods may be called from several
// goroutines.
type Cluster struct {
	servers *tikvserver.Cluster
	model   *model // if servers is nil
}

func newCluster(t testing.TB, servers *tikvserver.Cluster) *Cluster {
	t.Helper()
	if servers == nil {
		return &Cluster{model: newModel(t)}
	}
	return &Cluster{servers: servers}
}

// Kind tells what the servers are.
func (c *Cluster) Kind() Kind {
	switch {
	case c.servers == nil:
		return Model
	case c.servers.Standin():
		return Standin
	}
	return TiKV
}

// PD returns the addresses of PD, for tikv.Open; none if the Kind is Model.
func (c *Cluster) PD() []string {
	if c.servers == nil {
		return nil
	}
	return c.servers.PD()
}

// Open opens a store of the test's own, at a prefix that nobody else has;
// o.Prefix is ignored.
func (c *Cluster) Open(t testing.TB, o *tikv.Options) *kv.Store {
	t.Helper()
	prefix := c.Prefix(t)
	s, err := c.OpenAt(t.Context(), prefix, o)
	if err != nil {
		t.Fatalf("tikvtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
			t.Errorf("tikvtest: %v", err)
		}
	})
	return s
}

// Prefix returns a prefix that nobody else has, for OpenAt. What is kept there
// is deleted when the test ends.
func (c *Cluster) Prefix(t testing.TB) string {
	t.Helper()
	prefix := randomPrefix()
	if c.servers != nil { // a model ends with the test
		t.Cleanup(func() { c.Erase(t, prefix) })
	}
	return prefix
}

// OpenAt opens the store at prefix; o.Prefix is ignored.
func (c *Cluster) OpenAt(ctx context.Context, prefix string, o *tikv.Options) (*kv.Store, error) {
	var opts tikv.Options
	if o != nil {
		opts = *o
	}
	opts.Prefix = prefix
	if c.servers != nil {
		return tikv.Open(ctx, c.servers.PD(), &opts)
	}
	client, err := c.model.client()
	if err != nil {
		return nil, err
	}
	d, err := engine.Open(ctx, client, engine.Options{
		Prefix:      []byte(prefix),
		TxnLifetime: opts.TxnLifetime,
		MaxTxnSize:  opts.MaxTxnSize,
		Timeout:     opts.Timeout,
		Logger:      opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	return kv.NewStore(d, &opts.Options)
}

// eraseTimeout is enough for a store of some hundred thousand keys.
const eraseTimeout = time.Minute

// Erase deletes what is kept at prefix, which nobody may be using.
func (c *Cluster) Erase(t testing.TB, prefix string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), eraseTimeout)
	defer cancel()
	s, err := c.OpenAt(ctx, prefix, nil)
	if err == nil {
		var d *engine.Driver
		s.As(&d)
		err = errors.Join(d.Erase(ctx), s.Close())
	}
	if err != nil {
		t.Errorf("tikvtest: delete a store's keys: %v", err)
	}
}

// Split splits the cluster's regions at these keys of the store at prefix.
func (c *Cluster) Split(ctx context.Context, prefix string, keys ...[]byte) error {
	at := make([][]byte, len(keys))
	for i, k := range keys {
		at[i] = engine.StoredKey(prefix, k)
	}
	if c.servers != nil {
		return c.servers.Split(ctx, at...)
	}
	c.model.split(at)
	return nil
}

// Servers returns the servers, nil if the Kind is Model.
func (c *Cluster) Servers() *tikvserver.Cluster { return c.servers }
