package tikvtest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
	"github.com/tikv/client-go/v2/util/codec"
	pd "github.com/tikv/pd/client"

	"github.com/tito-db/tito-go/kv/tikv/internal/clientlog"
)

// model is the client library's own model of a cluster.
type model struct {
	servers *testutils.MockClient
	cluster *testutils.MockCluster
	pd      pd.Client

	splitting sync.Mutex
}

// newModel makes a cluster of one server that ends with the test.
func newModel(t testing.TB) *model {
	t.Helper()
	clientlog.Listen(nil)
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	if err != nil {
		t.Fatalf("tikvtest: %v", err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("tikvtest: close the model: %v", err)
		}
	})
	testutils.BootstrapWithSingleStore(cluster)
	return &model{servers: servers, cluster: cluster, pd: pd}
}

// client connects a new client.
func (m *model) client() (*tikv.KVStore, error) {
	return tikv.NewTestTiKVStore(lasting{m.servers}, m.pd, nil, nil, 0)
}

// split makes a region begin at each of keys.
func (m *model) split(keys [][]byte) {
	m.splitting.Lock()
	defer m.splitting.Unlock()
	for _, k := range keys {
		at := codec.EncodeBytes(nil, k)
		region, _, _, _ := m.cluster.GetRegionByKey(at)
		if bytes.Equal(region.GetStartKey(), at) {
			continue
		}
		id, peer := m.cluster.AllocID(), m.cluster.AllocID()
		m.cluster.Split(region.GetId(), id, k, []uint64{peer}, peer)
	}
}

// lasting is a connection to servers that outlive it.
type lasting struct{ tikv.Client }

func (lasting) Close() error { return nil }

// SendRequest does not tell of deadlines. A client that meets one takes the server
// for dead until it has asked it, by a connection that a model has not.
func (l lasting) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	resp, err := l.Client.SendRequest(ctx, addr, req, timeout)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = context.Canceled
	}
	return resp, err
}
