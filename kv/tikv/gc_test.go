package tikv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// garbageCluster is one whose garbage a test may collect: that of a cluster
// which others use as well is theirs. Where no servers can be started it is a
// model, and says so.
func garbageCluster(t *testing.T) *tikvtest.Cluster {
	t.Helper()
	return servers.Own(t)
}

// leaseKey is where a collector says that it is the one.
const leaseKey = "\x00tito/gc"

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

	one.Window = time.Hour
	require.NoError(t, one.Collect(t.Context()))
	_, err = view.Get(t.Context(), []byte("a"))
	require.ErrorIs(t, err, kv.ErrSnapshotTooOld, "a larger window does not bring back what was collected")

	require.ErrorIs(t, two.Collect(t.Context()), engine.ErrNotCollector)
	one.Lease = 0
	require.NoError(t, one.Collect(t.Context()))
	require.NoError(t, two.Collect(t.Context()), "the lease has ended")
	require.NoError(t, one.Release(t.Context()))
	require.ErrorIs(t, one.Collect(t.Context()), engine.ErrNotCollector, "the lease was another's")
	require.NoError(t, two.Release(t.Context()))
	require.NoError(t, one.Collect(t.Context()), "the lease was given up")
}

// TestCollectedConflict: a transaction never passes over a conflict since its
// trace has been collected.
func TestCollectedConflict(t *testing.T) {
	c := garbageCluster(t)
	prefix := c.Prefix(t)
	require.NoError(t, c.Split(t.Context(), prefix, []byte("m")))
	s, err := c.OpenAt(t.Context(), prefix, &tikv.Options{Options: kv.Options{TxnLifetime: time.Hour}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	d := driver(t, s)
	collector := engine.NewCollector(d)
	collector.Settle = 0
	for name, keys := range map[string]int{"one phase": 1, "async": 2, "two phases": 600} {
		t.Run(name, func(t *testing.T) {
			put(t, s, "z", name)
			tx, err := d.Begin(t.Context(), kv.BeginOptions{})
			require.NoError(t, err)
			defer tx.Release()
			require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Delete([]byte("z")) }))
			require.NoError(t, collector.Collect(t.Context()))
			commit := &kv.Commit{Writes: []kv.Write{{Key: []byte("z"), Value: []byte("1")}}}
			for i := 1; i < keys; i++ {
				commit.Writes = append(commit.Writes, kv.Write{Key: fmt.Append(nil, "a", i), Value: []byte("1")})
			}
			_, err = tx.Commit(t.Context(), commit)
			require.ErrorIs(t, err, kv.ErrTxnTooOld)
			require.Empty(t, scanKeys(t, s))
		})
	}
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

	require.NoError(t, s.Close())
	require.ErrorIs(t, tikv.RunGC(t.Context(), s, nil), kv.ErrClosed)
}

// TestRunGCEnds: it ends with its context and with its store, and leaves no
// lease behind.
func TestRunGCEnds(t *testing.T) {
	c := garbageCluster(t)
	for name, end := range map[string]struct {
		by   func(s *kv.Store, cancel context.CancelCauseFunc)
		want error
	}{
		"context": {func(_ *kv.Store, cancel context.CancelCauseFunc) { cancel(errLost) }, context.Canceled},
		"store":   {func(s *kv.Store, _ context.CancelCauseFunc) { require.NoError(t, s.Close()) }, kv.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s, other := c.Open(t, nil), c.Open(t, nil)
			ended := make(chan error, 1)
			go func() { ended <- tikv.RunGC(ctx, s, &tikv.GCOptions{Window: 24 * time.Hour}) }()
			h := newByHand(t, other, "")
			for err := tikverr.ErrNotExist; err != nil; { // until it has the lease
				require.True(t, tikverr.IsErrNotFound(err))
				err = h.get(t.Context(), []byte(leaseKey))
			}
			end.by(s, cancel)
			err := <-ended
			require.ErrorIs(t, err, end.want)
			require.Equal(t, name == "context", errors.Is(err, errLost), "the cause is told")
			require.True(t, tikverr.IsErrNotFound(h.get(t.Context(), []byte(leaseKey))), "there is no lease left")
		})
	}
}

// TestRunGCWaits: one that waits for another's lease ends with its store, not
// with the wait.
func TestRunGCWaits(t *testing.T) {
	c := garbageCluster(t)
	s := c.Open(t, nil)
	other := engine.NewCollector(driver(t, c.Open(t, nil)))
	other.Settle, other.Lease, other.Window = 0, time.Hour, 24*time.Hour
	require.NoError(t, other.Collect(t.Context()))

	w := intercept(t, s)
	asked := make(chan struct{}, 1)
	w.set(func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
		resp, err := send()
		if req.Type == tikvrpc.CmdGet && string(req.Get().GetKey()) == leaseKey {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		return resp, err
	})
	ended := make(chan error, 1)
	go func() { ended <- tikv.RunGC(t.Context(), s, nil) }()
	<-asked
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-ended, kv.ErrClosed)
}

// TestWarnOfGarbage: who opens a store learns that nobody collects garbage, until
// somebody does.
func TestWarnOfGarbage(t *testing.T) {
	c := garbageCluster(t)
	prefix := c.Prefix(t)
	warned := func(t *testing.T, use func(s *kv.Store)) bool {
		var log bytes.Buffer
		s, err := c.OpenAt(t.Context(), prefix, &tikv.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		use(s)
		require.NoError(t, s.Close()) // nothing is logged after that
		return strings.Contains(log.String(), "nobody collects")
	}
	require.True(t, warned(t, func(s *kv.Store) {
		one := engine.NewCollector(driver(t, s))
		one.Settle = 0
		require.NoError(t, one.Collect(t.Context()))
	}))
	t.Run("collected", func(t *testing.T) {
		needs(t, c, processes) // each client of a model has a safe point of its own
		require.False(t, warned(t, func(*kv.Store) {}))
	})
}
