package tikv_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// garbageCluster is one whose garbage a test may collect: that of other people
// is theirs.
func garbageCluster(t *testing.T) *tikvtest.Cluster {
	t.Helper()
	c := servers.Cluster(t)
	if c.Kind() == tikvtest.TiKV {
		c = servers.Own(t)
	}
	return c
}

func driver(t *testing.T, s *kv.Store) *engine.Driver {
	t.Helper()
	var d *engine.Driver
	require.True(t, s.As(&d))
	return d
}

func put(t *testing.T, s *kv.Store, key, value string) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.Set([]byte(key), []byte(value))
	}))
}

func TestCollectGarbage(t *testing.T) {
	c := garbageCluster(t)
	s := c.Open(t, &tikv.Options{Options: kv.Options{TxnLifetime: time.Hour}})
	put(t, s, "a", "old")
	view, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true})
	require.NoError(t, err)
	defer view.Rollback()
	txn, err := s.Begin(t.Context(), nil)
	require.NoError(t, err)
	defer txn.Rollback()
	put(t, s, "a", "new")

	one, two := engine.NewCollector(driver(t, s)), engine.NewCollector(driver(t, s))
	one.Settle, two.Settle = 0, 0
	one.Lease, two.Lease = time.Hour, time.Hour
	one.Window, two.Window = time.Hour, time.Hour
	require.NoError(t, one.Collect(t.Context()))
	v, err := view.Get(t.Context(), []byte("a"))
	require.NoError(t, err, "the window is kept")
	require.Equal(t, "old", string(v))

	one.Window = 0
	require.NoError(t, one.Collect(t.Context()), "the lease is its own")
	for _, want := range []struct {
		tx  *kv.Txn
		err error
	}{{view, kv.ErrSnapshotTooOld}, {txn, kv.ErrTxnTooOld}} {
		_, err = want.tx.Get(t.Context(), []byte("a"))
		require.ErrorIs(t, err, want.err)
		_, err = want.tx.BatchGet(t.Context(), [][]byte{[]byte("a")})
		require.ErrorIs(t, err, want.err)
		for _, err := range want.tx.Scan(t.Context(), kv.Range{}, nil) {
			require.ErrorIs(t, err, want.err)
		}
	}
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		v, err := tx.Get(t.Context(), []byte("a"))
		require.Equal(t, "new", string(v))
		return err
	}))

	require.ErrorIs(t, two.Collect(t.Context()), engine.ErrNotCollector)
	one.Lease = 0
	require.NoError(t, one.Collect(t.Context()))
	require.NoError(t, two.Collect(t.Context()), "the lease has ended")
}

func TestRunGC(t *testing.T) {
	s := garbageCluster(t).Open(t, nil)
	for _, o := range []*tikv.GCOptions{{Window: time.Second}, {Interval: time.Second}, {Window: -1}} {
		require.ErrorIs(t, tikv.RunGC(t.Context(), s, o), kv.ErrOptions)
	}
	other, err := memory.Open(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	require.ErrorIs(t, tikv.RunGC(t.Context(), other, nil), kv.ErrOptions)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tikv.RunGC(ctx, s, &tikv.GCOptions{Window: 24 * time.Hour}) }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	go func() { ended <- tikv.RunGC(t.Context(), s, &tikv.GCOptions{Window: 24 * time.Hour}) }()
	require.NoError(t, s.Close())
	if err := <-ended; !errors.Is(err, kv.ErrOptions) { // it was closed before the other goroutine came
		require.ErrorIs(t, err, kv.ErrClosed)
	}
	require.ErrorIs(t, tikv.RunGC(t.Context(), s, nil), kv.ErrOptions)
}

func TestWarnOfGarbage(t *testing.T) {
	c := servers.Cluster(t)
	if c.Kind() != tikvtest.Model {
		t.Skip("what this cluster's safe point is, is not known")
	}
	var log bytes.Buffer
	c.Open(t, &tikv.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Contains(t, log.String(), "nobody collects")
}
