package tikv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/tikvserver"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// own returns a cluster whose servers the test may kill.
func own(t *testing.T) *tikvtest.Cluster {
	t.Helper()
	c := servers.Own(t)
	if c.Kind() == tikvtest.Model {
		t.Skip("there are no servers to kill or pause")
	}
	return c
}

// TestTrouble: no acknowledged commit is lost, none is half there, and the
// driver recovers by itself.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		name    string
		trouble func(ctx context.Context, s *tikvserver.Cluster) error
	}{
		{"TiKV is killed and comes back", restart(tikvserver.TiKV)},
		{"PD is killed and comes back", restart(tikvserver.PD)},
		{"TiKV hangs for a while", hang(tikvserver.TiKV)},
		{"PD hangs for a while", hang(tikvserver.PD)},
		{"both are killed and come back", func(ctx context.Context, s *tikvserver.Cluster) error {
			return errors.Join(
				s.Kill(ctx, tikvserver.TiKV), s.Kill(ctx, tikvserver.PD),
				s.Start(ctx, tikvserver.PD), s.Start(ctx, tikvserver.TiKV), s.Ready(ctx))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := own(t)
			store := cluster.Open(t, nil)
			kvtest.Disturb(t, store, func(ctx context.Context) error {
				return c.trouble(ctx, cluster.Servers())
			}, nil)
		})
	}
}

func restart(n tikvserver.Node) func(context.Context, *tikvserver.Cluster) error {
	return func(ctx context.Context, s *tikvserver.Cluster) error {
		return errors.Join(s.Kill(ctx, n), s.Start(ctx, n), s.Ready(ctx))
	}
}

// hangTime is more than clients wait for an answer before they ask whether
// there is still somebody.
const hangTime = 6 * time.Second

func hang(n tikvserver.Node) func(context.Context, *tikvserver.Cluster) error {
	return func(ctx context.Context, s *tikvserver.Cluster) error {
		if err := s.Pause(ctx, n); err != nil {
			return err
		}
		timer := time.NewTimer(hangTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return s.Unpause(ctx, n)
	}
}

// TestWithoutServers: calls end in time, say why, and what was begun can be
// closed.
func TestWithoutServers(t *testing.T) {
	_ = require.NoError
}
