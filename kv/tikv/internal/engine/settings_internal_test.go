package engine

import (
	"context"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
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
