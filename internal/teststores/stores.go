// Package teststores opens empty stores, one function for each driver, for tests
// of what has to be the same on all of them. Only tests may import it.
package teststores

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// Open opens an empty store, which is closed at the end of t. A nil o means the
// driver's defaults.
type Open func(t testing.TB, o *kv.Options) *kv.Store

// Each runs fn as a subtest for each driver; servers are those of the test process.
func Each(t *testing.T, servers *tikvtest.Servers, fn func(t *testing.T, open Open)) {
	t.Helper()
	Embedded(t, fn)
	t.Run("tikv", func(t *testing.T) { fn(t, TiKV(servers)) })
}

// Embedded does so for each driver that waits for nothing outside of the process,
// so that fn may be in a bubble of testing/synctest, which no connection can be.
func Embedded(t *testing.T, fn func(t *testing.T, open Open)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { fn(t, Memory) })
	t.Run("pebble", func(t *testing.T) { fn(t, Pebble) })
	t.Run("bolt", func(t *testing.T) { fn(t, Bolt) })
}

// Memory is an Open.
func Memory(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	s, err := memory.Open(&memory.Options{Options: orDefault(o)})
	return closed(t, s, err)
}

// Pebble is an Open. It does not sync unless o says so: what crashes of the
// machine do, the driver's own tests find out.
func Pebble(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	all := orDefault(o)
	if all.Durability == kv.DurabilityDefault {
		all.Durability = kv.NoSync
	}
	s, err := pebble.Open(t.TempDir(), &pebble.Options{Options: all})
	return closed(t, s, err)
}

// Bolt is an Open.
func Bolt(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store"), &bolt.Options{Options: orDefault(o)})
	return closed(t, s, err)
}

// TiKV returns an Open for the cluster that the test process has, which may be a
// model of one: see package tikvtest.
func TiKV(servers *tikvtest.Servers) Open {
	return func(t testing.TB, o *kv.Options) *kv.Store {
		t.Helper()
		return servers.Open(t, &tikv.Options{Options: orDefault(o)})
	}
}

func orDefault(o *kv.Options) kv.Options {
	if o == nil {
		return kv.Options{}
	}
	return *o
}

// closed closes s at the end of t, if there is one.
func closed(t testing.TB, s *kv.Store, err error) *kv.Store {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
