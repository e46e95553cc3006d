package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/txnkv"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
)

// programs returns the folder of the built servers, which the environment names:
// building them here would take minutes.
func programs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TITO_TIKV_STANDIN")
	if dir == "" {
		t.Skip("TITO_TIKV_STANDIN names no folder with the stand-in's programs, as it does in the step standin of CI")
	}
	return dir
}

// cluster is the program as it runs in a test.
type cluster struct {
	pd    string // address
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, bin, data string) *cluster {
	t.Helper()
	ports, err := standin.FreePorts(3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ports.Release()) })
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	c := &cluster{stop: cancel, ended: make(chan error, 1)}
	go func() {
		err := run(ctx, []string{
			"-build=false", "-bin-dir", bin, "-data-dir", data,
			"-pd-port", strconv.Itoa(ports.Numbers[0]), "-peer-port", strconv.Itoa(ports.Numbers[1]), "-tikv-port", strconv.Itoa(ports.Numbers[2]),
		}, in, os.Stderr)
		in.CloseWithError(io.EOF)
		c.ended <- err
	}()
	said := make([]byte, 100)
	n, err := out.Read(said)
	if err != nil {
		require.NoError(t, <-c.ended)
	}
	address, found := strings.CutPrefix(strings.TrimSpace(string(said[:n])), "PD is at ")
	require.True(t, found)
	c.pd = address
	return c
}

func (c *cluster) client(t *testing.T) *txnkv.Client {
	t.Helper()
	client, err := txnkv.NewClient([]string{c.pd})
	require.NoError(t, err)
	return client
}

func TestDataSurvivesARestart(t *testing.T) {
	bin, data := programs(t), t.TempDir()
	c := start(t, bin, data)
	client := c.client(t)
	txn, err := client.Begin()
	require.NoError(t, err)
	require.NoError(t, txn.Set([]byte("k"), []byte("v")))
	require.NoError(t, txn.Commit(t.Context()))
	require.NoError(t, client.Close())
	c.stop()
	require.NoError(t, <-c.ended)

	// On other ports.
	c = start(t, bin, data)
	client = c.client(t)
	txn, err = client.Begin()
	require.NoError(t, err)
	value, err := txn.Get(t.Context(), []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(value))
	require.NoError(t, client.Close())
	c.stop()
	require.NoError(t, <-c.ended)
}

func TestServerThatEndsIsReported(t *testing.T) {
	bin := programs(t)
	ports, err := standin.FreePorts(2)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ports.Release()) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "log")) // both servers write to it
	require.NoError(t, err)
	defer log.Close()

	err = run(t.Context(), []string{
		"-build=false", "-bin-dir", bin, "-data-dir", t.TempDir(),
		"-pd-port", port, "-peer-port", strconv.Itoa(ports.Numbers[0]), "-tikv-port", strconv.Itoa(ports.Numbers[1]),
	}, io.Discard, log)
	require.ErrorContains(t, err, "pd has ended")
}

func TestWrongCommandLine(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"more"}, io.Discard, io.Discard), "more")
	require.Error(t, run(t.Context(), []string{"-pd-port=x"}, io.Discard, io.Discard))
	require.Error(t, run(t.Context(), []string{"-build=false", "-bin-dir", filepath.Join(t.TempDir(), "none"), "-data-dir", t.TempDir()}, io.Discard, io.Discard))
}
