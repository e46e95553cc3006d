package tito_test

import (
	"os"
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

// servers are what tikvStore's stores are on: see package tikvtest.
var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

// openStore opens an empty store, closed at the end of t.
type openStore func(t testing.TB, o *kv.Options) *kv.Store

// stores runs fn as a subtest for each driver.
func stores(t *testing.T, fn func(t *testing.T, open openStore)) {
	t.Helper()
	embedded(t, fn)
	t.Run("tikv", func(t *testing.T) { fn(t, tikvStore) })
}

// embedded does so for each driver that waits for nothing outside of the process,
// so that fn may be in a bubble of testing/synctest, which no connection can be.
func embedded(t *testing.T, fn func(t *testing.T, open openStore)) {
	t.Helper()
	for name, open := range map[string]openStore{"memory": memoryStore, "pebble": pebbleStore, "bolt": boltStore} {
		t.Run(name, func(t *testing.T) { fn(t, open) })
	}
}

func memoryStore(t testing.TB, o *kv.Options) *kv.Store {
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

// pebbleStore does not sync unless o says so: these tests are not about crashes.
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

func tikvStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	var all tikv.Options
	if o != nil {
		all.Options = *o
	}
	return servers.Open(t, &all)
}
