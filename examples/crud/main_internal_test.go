package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

func TestOutput(t *testing.T) {
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	for name, open := range map[string]teststores.Open{"memory": teststores.Memory, "tikv": teststores.TiKV(&servers)} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), open(t, nil), &out))
			require.Equal(t, string(want), out.String())
		})
	}
}
