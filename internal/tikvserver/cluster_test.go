package tikvserver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"github.com/tito-db/tito-go/internal/tikvserver"
)

// patience is how long a server may take to come back.
const patience = 3 * time.Minute

func TestSharedClusterIsStartedOnce(t *testing.T) {
	c := shared(t)
	require.Same(t, c, servers.Shared(t))
	require.NotEmpty(t, c.PD())
	require.Error(t, c.Kill(t.Context(), tikvserver.TiKV), "it is not this test's to kill")
}

func TestSplitMakesRegions(t *testing.T) {
	c := shared(t)
	client := connect(t, c)
	prefix := space(t, client)
	var borders [][]byte
	for i := range 8 {
		borders = append(borders, fmt.Appendf(nil, "%s%d", prefix, i))
	}
	require.NoError(t, c.Split(t.Context(), borders[0], borders[4], borders[7]))
	require.NoError(t, c.Split(t.Context(), borders...), "some are borders already")

	regions, err := c.Regions(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(regions), 9)
	require.Empty(t, regions[0].Start)
	require.Empty(t, regions[len(regions)-1].End)
	ids := map[uint64]bool{}
	var starts [][]byte
	for i, r := range regions {
		ids[r.ID] = true
		starts = append(starts, r.Start)
		if i > 0 {
			require.Equal(t, regions[i-1].End, r.Start, "no gap and no overlap")
		}
	}
	require.Len(t, ids, len(regions))
	for _, border := range borders {
		require.Contains(t, starts, border)
	}

	// One transaction over all of them, read back across the borders.
	pairs := map[string]string{}
	for _, border := range borders {
		pairs[string(border)+"/key"] = "value"
	}
	set(t, client, pairs)
	require.Equal(t, pairs, scan(t, client, prefix))
}

// An older transaction may not write a key that another one has locked, without
// writing it, and committed.
func TestOlderWriterOfALockedKeyIsRefused(t *testing.T) {
	client := connect(t, shared(t))
	for name, before := range map[string]string{"absent": "", "present": "before"} {
		for _, onePC := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, one phase %t", name, onePC), func(t *testing.T) {
				prefix := space(t, client)
				key, other := []byte(prefix+"locked"), []byte(prefix+"other")
				if before != "" {
					set(t, client, map[string]string{string(key): before})
				}
				older := begin(t, client)
				require.NoError(t, older.Set(key, []byte("older")))

				locker := begin(t, client)
				locker.SetEnable1PC(onePC)
				locker.SetEnableAsyncCommit(onePC)
				require.NoError(t, locker.Set(other, []byte("x")))
				require.NoError(t, locker.LockKeys(t.Context(), kv.NewLockCtx(locker.StartTS(), kv.LockNoWait, time.Now()), key))
				require.NoError(t, locker.Commit(t.Context()))

				require.True(t, tikverr.IsErrWriteConflict(older.Commit(t.Context())))
				got := scan(t, client, string(key))
				if before == "" {
					require.Empty(t, got)
				} else {
					require.Equal(t, map[string]string{string(key): before}, got)
				}
			})
		}
	}
}

func TestDataSurvivesKilledServers(t *testing.T) {
	c := own(t)
	client := connect(t, c)
	require.NoError(t, c.Split(t.Context(), []byte("k3"), []byte("k6")))
	want := map[string]string{}
	for round, n := range []tikvserver.Node{tikvserver.TiKV, tikvserver.PD, tikvserver.TiKV} {
		// An asynchronous commit over three regions is acknowledged while most of
		// it is locks alone.
		pairs := map[string]string{}
		for i := range 9 {
			pairs[fmt.Sprintf("k%d", i)] = fmt.Sprintf("round %d", round)
		}
		set(t, client, pairs)
		require.NoError(t, c.Kill(t.Context(), n))
		for k, v := range pairs {
			want[k] = v
		}
		require.NoError(t, c.Start(t.Context(), n))
		start := time.Now()
		ready(t, c)
		require.Equal(t, want, scan(t, client, "k"))
		t.Logf("%v was back after %v", n, time.Since(start))
	}
	regions, err := c.Regions(t.Context())
	require.NoError(t, err)
	require.Len(t, regions, 3)
}

func TestPausedServerGoesOn(t *testing.T) {
	c := own(t)
	client := connect(t, c)
	set(t, client, map[string]string{"k": "before"})
	for _, n := range []tikvserver.Node{tikvserver.TiKV, tikvserver.PD} {
		require.NoError(t, c.Pause(t.Context(), n))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		require.Error(t, c.Ready(ctx), "while %v is paused", n)
		cancel()
		require.NoError(t, c.Unpause(t.Context(), n))
		ready(t, c)
		require.Equal(t, map[string]string{"k": "before"}, scan(t, client, "k"))
	}
}

func shared(t *testing.T) *tikvserver.Cluster {
	t.Helper()
	c := servers.Shared(t)
	if c == nil {
		t.Skip("there are no servers; the log says why")
	}
	return c
}

func own(t *testing.T) *tikvserver.Cluster {
	t.Helper()
	c := servers.Own(t)
	if c == nil {
		t.Skip("there are no servers; the log says why")
	}
	return c
}

func ready(t *testing.T, c *tikvserver.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, c.Ready(ctx))
}

func connect(t *testing.T, c *tikvserver.Cluster) *txnkv.Client {
	t.Helper()
	client, err := txnkv.NewClient(c.PD())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// space returns a prefix of keys that nobody else uses, and empties it at the end:
// the cluster may be somebody's.
func space(t *testing.T, client *txnkv.Client) string {
	t.Helper()
	prefix := fmt.Sprintf("tito/%s/%x/", t.Name(), rand.Uint64())
	t.Cleanup(func() {
		txn := begin(t, client)
		for key := range scan(t, client, prefix) {
			require.NoError(t, txn.Delete([]byte(key)))
		}
		require.NoError(t, txn.Commit(context.WithoutCancel(t.Context())))
	})
	return prefix
}

func begin(t *testing.T, client *txnkv.Client) *transaction.KVTxn {
	t.Helper()
	txn, err := client.Begin()
	require.NoError(t, err)
	return txn
}

func set(t *testing.T, client *txnkv.Client, pairs map[string]string) {
	t.Helper()
	txn := begin(t, client)
	txn.SetEnable1PC(true)
	txn.SetEnableAsyncCommit(true)
	for k, v := range pairs {
		require.NoError(t, txn.Set([]byte(k), []byte(v)))
	}
	require.NoError(t, txn.Commit(t.Context()))
}

// scan returns all pairs under a prefix, forwards, and checks that backwards gives
// the same.
func scan(t *testing.T, client *txnkv.Client, prefix string) map[string]string {
	t.Helper()
	txn := begin(t, client)
	end := kv.PrefixNextKey([]byte(prefix))
	there, err := txn.Iter([]byte(prefix), end)
	require.NoError(t, err)
	forward := drain(t, there)
	back, err := txn.IterReverse(end, []byte(prefix))
	require.NoError(t, err)
	require.Equal(t, forward, drain(t, back))
	return forward
}

type iterator interface {
	Valid() bool
	Key() []byte
	Value() []byte
	Next() error
	Close()
}

func drain(t *testing.T, it iterator) map[string]string {
	t.Helper()
	defer it.Close()
	pairs := map[string]string{}
	for it.Valid() {
		pairs[string(it.Key())] = string(it.Value())
		require.NoError(t, it.Next())
	}
	return pairs
}
