package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--pd-endpoints=127.0.0.1:1,127.0.0.1:2", "--addr=0.0.0.0:3", "--advertise-addr=127.0.0.1:3", "--data-dir=d", "--log-level=warn"},
		{"--pd-endpoints", "127.0.0.1:1,127.0.0.1:2", "--addr", "0.0.0.0:3", "--advertise-addr", "127.0.0.1:3", "--data-dir", "d", "-L", "warn"},
	} {
		f, err := parse(args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, f.endpoints())
		require.Equal(t, "0.0.0.0:3", f.addr)
		require.Equal(t, "127.0.0.1:3", f.advertised())
		require.Equal(t, "d", f.dataDir)
		require.Equal(t, "warn", f.logLevel)
	}
}

func TestWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--data-dir is missing":     {"--pd-endpoints=127.0.0.1:1"},
		"--pd-endpoints is missing": {"--data-dir=d"},
		"--pd-endpoints":            {"--data-dir=d", "--pd-endpoints=nowhere"},
		"--addr":                    {"--data-dir=d", "--pd-endpoints=127.0.0.1:1", "--addr=20160"},
		"--advertise-addr":          {"--data-dir=d", "--pd-endpoints=127.0.0.1:1", "--addr=0.0.0.0:1"},
		"--log-level":               {"--data-dir=d", "--pd-endpoints=127.0.0.1:1", "--log-level=loud"},
		"unexpected argument":       {"--data-dir=d", "--pd-endpoints=127.0.0.1:1", "more"},
		"not defined":               {"--store=d"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, want)
	}
}
