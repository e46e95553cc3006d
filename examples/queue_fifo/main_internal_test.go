package main

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/tito"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

func output(t *testing.T) string {
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	return string(want)
}

func TestOutput(t *testing.T) {
	for name, open := range map[string]teststores.Open{"memory": teststores.Memory, "tikv": teststores.TiKV(&servers)} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // whatever the goroutines do
				var out strings.Builder
				require.NoError(t, run(t.Context(), open(t, nil), &out))
				require.Equal(t, output(t), out.String())
			}
		})
	}
}

// An end before anything was handled loses nothing, and is no failure.
func TestInterruptedAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out strings.Builder
	require.NoError(t, run(ctx, teststores.Memory(t, nil), writer(func(b []byte) (int, error) {
		stop()
		return out.Write(b)
	})))
	require.Equal(t, "published 30 events of 5 customers\nhistory: 0 done, 30 waiting, 0 dead\ntax: 0 done, 30 waiting, 0 dead\n", out.String())
}

type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// Workers that end at any commit of theirs, and begin again, make of the events
// what they make of them in one go.
func TestInterruptedAnywhere(t *testing.T) {
	resumed := 0
	for after := int64(1); after < 100; after += 3 {
		var commits atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
			return watched{d, func() {
				if commits.Add(1) == after {
					stop()
				}
			}}
		}}})
		require.NoError(t, err)
		db, err := tito.Open(t.Context(), store, nil, orders, histories, lines)
		require.NoError(t, err)
		var out strings.Builder
		s := shop{db, &out}
		commits.Store(-1 << 40) // not counted
		require.NoError(t, s.sell(t.Context()))
		commits.Store(0)
		require.NoError(t, s.work(ctx))
		stop()
		for _, group := range groups {
			stats, err := s.stats(t.Context(), group)
			require.NoError(t, err)
			if stats.Lag() > 0 {
				require.NoError(t, s.work(t.Context()))
				resumed++
				break
			}
		}
		require.NoError(t, s.report(t.Context()))
		require.Equal(t, output(t), out.String(), "after %d commits", after)
		require.NoError(t, store.Close())
	}
	require.Greater(t, resumed, 5)
}

// watched tells of each commit before it begins.
type watched struct {
	kv.Driver
	note func()
}

func (d watched) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	tx, err := d.Driver.Begin(ctx, o)
	return watchedTxn{tx, d.note}, err
}

type watchedTxn struct {
	kv.DriverTxn
	note func()
}

func (t watchedTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	t.note()
	return t.DriverTxn.Commit(ctx, c)
}
