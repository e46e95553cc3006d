package tito_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
)

// openStore opens an empty store, closed at the end of t.
type openStore func(t testing.TB, o *kv.Options) *kv.Store

// stores runs fn as a subtest for each driver.
func stores(t *testing.T, fn func(t *testing.T, open openStore)) {
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
