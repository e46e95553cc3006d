package engine

import (
	"context"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/tito-db/tito-go/kv"
)

// evasive is a connection to servers that never tell what became of a prewrite.
type evasive struct{ tikv.Client }

func (c evasive) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	if req.Type == tikvrpc.CmdPrewrite {
		stale := &errorpb.Error{StaleCommand: &errorpb.StaleCommand{}}
		return &tikvrpc.Response{Resp: &kvrpcpb.PrewriteResponse{RegionError: stale}}, nil
	}
	return c.Client.SendRequest(ctx, addr, req, timeout)
}

// TestOpenEnds: a store that cannot be made is given up in time, though whether
// it has been made is not known.
func TestOpenEnds(t *testing.T) {
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	require.NoError(t, err)
	testutils.BootstrapWithSingleStore(cluster)
	client, err := tikv.NewTestTiKVStore(evasive{servers}, pd, nil, nil, 0)
	require.NoError(t, err)
	_, err = Open(t.Context(), client, Options{Timeout: 100 * time.Millisecond})
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.ErrorIs(t, err, errTimeout)
	require.NotErrorIs(t, err, kv.ErrCommitUnknown)
}

// late is a clock of a cluster that is slow to tell the time once, when it is asked
// for the second time.
type late struct {
	oracle.Oracle
	asked int
}

func (l *late) GetTimestamp(ctx context.Context, o *oracle.Option) (uint64, error) {
	ts, err := l.Oracle.GetTimestamp(ctx, o)
	if l.asked++; l.asked == 2 {
		ts += oracle.ComposeTS(time.Hour.Milliseconds(), 0)
	}
	return ts, err
}

// TestOpenTriesAgain: a store is made though the first try took longer than the
// lifetime of transactions.
func TestOpenTriesAgain(t *testing.T) {
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	require.NoError(t, err)
	testutils.BootstrapWithSingleStore(cluster)
	client, err := tikv.NewTestTiKVStore(servers, pd, nil, nil, 0)
	require.NoError(t, err)
	clock := &late{Oracle: client.GetOracle()}
	client.SetOracle(clock)
	d, err := Open(t.Context(), client, Options{})
	require.NoError(t, err)
	require.Greater(t, clock.asked, 2)
	require.NoError(t, d.Close())
}
