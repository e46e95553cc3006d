package queue

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

// OpenStore opens an empty store, closed at the end of t.
type OpenStore func(t testing.TB, o *kv.Options) *kv.Store

// drivers are those that the tests of invariants run on. None may assume more
// than kv promises: that a watermark follows at once, for one.
var drivers = []struct {
	name string
	open OpenStore
}{
	{"memory", MemoryStore},
	{"pebble", pebbleStore},
	{"bolt", boltStore},
	{"tikv", tikvStore},
}

// Stores runs fn as a subtest for each driver.
func Stores(t *testing.T, fn func(t *testing.T, open OpenStore)) {
	t.Helper()
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) { fn(t, d.open) })
	}
}

// MemoryStore is the store for tests in a bubble of testing/synctest.
func MemoryStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	var all memory.Options
	if o != nil {
		all.Options = *o
	}
	s, err := memory.Open(&all)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// pebbleStore does not sync unless o says so: crashes of the machine are not
// what these tests are about.
func pebbleStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	var all pebble.Options
	if o != nil {
		all.Options = *o
	}
	if all.Durability == kv.DurabilityDefault {
		all.Durability = kv.NoSync
	}
	s, err := pebble.Open(t.TempDir(), &all)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func boltStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	var all bolt.Options
	if o != nil {
		all.Options = *o
	}
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store"), &all)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Servers are where stores in TiKV are.
var Servers tikvtest.Servers

func tikvStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	var all tikv.Options
	if o != nil {
		all.Options = *o
	}
	return Servers.Open(t, &all)
}
