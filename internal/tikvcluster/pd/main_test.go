package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--name=n", "--data-dir=d", "--client-urls=http://0.0.0.0:1", "--advertise-client-urls=http://127.0.0.1:1", "--peer-urls=http://127.0.0.1:2", "--log-level=warn"},
		{"--name", "n", "--data-dir", "d", "--client-urls", "http://0.0.0.0:1", "--advertise-client-urls", "http://127.0.0.1:1", "--peer-urls", "http://127.0.0.1:2", "-L", "warn"},
	} {
		cfg, err := parse(args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, "n", cfg.Name)
		require.Equal(t, "d", cfg.DataDir)
		require.Equal(t, "http://0.0.0.0:1", cfg.ClientUrls)
		require.Equal(t, "http://127.0.0.1:1", cfg.AdvertiseClientUrls)
		require.Equal(t, "http://127.0.0.1:2", cfg.PeerUrls)
		require.Equal(t, "warn", cfg.Log.Level)
	}
}

func TestWrongFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--data-dir is missing":   nil,
		"--client-urls":           {"--data-dir=d", "--client-urls=127.0.0.1:1"},
		"--advertise-client-urls": {"--data-dir=d", "--advertise-client-urls=http://127.0.0.1"},
		"--peer-urls":             {"--data-dir=d", "--peer-urls=http://127.0.0.1:2/path"},
		"--advertise-peer-urls":   {"--data-dir=d", "--advertise-peer-urls=https://127.0.0.1:2"},
		"--log-level":             {"--data-dir=d", "--log-level=loud"},
		"unexpected argument":     {"--data-dir=d", "more"},
		"unknown flag":            {"--config=c"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, want)
	}
}
