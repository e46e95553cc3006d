package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

func memoryStore(t *testing.T) *kv.Store {
	store, err := memory.Open(nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func tikvStore(t *testing.T) *kv.Store { return servers.Open(t, nil) }

func TestOutput(t *testing.T) {
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	for name, open := range map[string]func(t *testing.T) *kv.Store{"memory": memoryStore, "tikv": tikvStore} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), open(t), &out))
			require.Equal(t, string(want), out.String())
		})
	}
}
