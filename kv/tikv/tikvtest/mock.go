package tikvtest

import (
	"testing"

	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	pd "github.com/tikv/pd/client"
)

// mock is the client's own model of a cluster, inside the process.
type mock struct {
	servers *testutils.MockClient
	cluster *testutils.MockCluster
	pd      pd.Client
}

// newMock makes a cluster of one server that ends with the test.
func newMock(t testing.TB, splits ...[]byte) *mock {
	t.Helper()
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	if err != nil {
		t.Fatalf("tikvtest: %v", err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("tikvtest: close the mock: %v", err)
		}
	})
	testutils.BootstrapWithMultiRegions(cluster, splits...)
	return &mock{servers: servers, cluster: cluster, pd: pd}
}

// client connects a new client.
func (m *mock) client() (*tikv.KVStore, error) {
	return tikv.NewTestTiKVStore(lasting{m.servers}, m.pd, nil, nil, 0)
}

// lasting is a connection to servers that outlive it.
type lasting struct{ tikv.Client }

func (lasting) Close() error { return nil }
