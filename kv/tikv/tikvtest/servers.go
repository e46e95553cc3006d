package tikvtest

import (
	"crypto/rand"
	"testing"

	"github.com/tito-db/tito-go/internal/tikvserver"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

// Servers gives the tests of one process their cluster. The zero value is
// ready, and its methods may be called from several goroutines.
type Servers struct {
	found tikvserver.Servers
}

// Tests returns what runs m's tests and then ends what was started for them; its
// result is for os.Exit.
func (s *Servers) Tests(m *testing.M) interface{ Run() int } { return s.found.Tests(m) }

// Open opens a store of the test's own, at a prefix that nobody else has;
// o.Prefix is ignored. It needs Tests to have been called.
func (s *Servers) Open(t testing.TB, o *tikv.Options) *kv.Store {
	t.Helper()
	return s.Cluster(t).Open(t, o)
}

// Cluster returns the cluster that the tests share, or a model of one that ends
// with t. It needs Tests to have been called.
func (s *Servers) Cluster(t testing.TB) *Cluster {
	t.Helper()
	return newCluster(t, s.found.Shared(t))
}

// Own returns a cluster of t's own, which it may kill and pause, or a model of
// one that ends with t, where none can be started.
func (s *Servers) Own(t testing.TB) *Cluster {
	t.Helper()
	return newCluster(t, s.found.Own(t))
}

// randomPrefix returns a prefix that was never used before.
func randomPrefix() string { return "tikvtest/" + rand.Text() + "/" }
