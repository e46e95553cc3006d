package engine_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	pd "github.com/tikv/pd/client"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
	"github.com/tito-db/tito-go/kvtest"
)

type mock struct {
	servers *testutils.MockClient
	cluster *testutils.MockCluster
	pd      pd.Client
}

func newMock(t testing.TB, splits ...[]byte) *mock {
	t.Helper()
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, servers.Close()) })
	testutils.BootstrapWithMultiRegions(cluster, splits...)
	return &mock{servers: servers, cluster: cluster, pd: pd}
}

func (m *mock) client() (*tikv.KVStore, error) {
	return tikv.NewTestTiKVStore(lasting{m.servers}, m.pd, nil, nil, 0)
}

type lasting struct{ tikv.Client }

func (lasting) Close() error { return nil }

func (m *mock) open(t testing.TB, o *kv.Options) (*kv.Store, error) {
	c, err := m.client()
	require.NoError(t, err)
	var opts kv.Options
	if o != nil {
		opts = *o
	}
	d, err := engine.Open(t.Context(), c, engine.Options{TxnLifetime: opts.TxnLifetime, MaxTxnSize: opts.MaxTxnSize, Prefix: []byte("p")})
	if err != nil {
		return nil, err
	}
	return kv.NewStore(d, &opts)
}

func TestConformance(t *testing.T) {
	var mocks sync.Map
	h := kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			m := newMock(t)
			s, err := m.open(t, o)
			require.NoError(t, err)
			mocks.Store(s, m)
			return s
		},
		Reopen: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			m, _ := mocks.Load(s)
			_ = s.Close()
			n, err := m.(*mock).open(t, o)
			if err == nil {
				mocks.Store(n, m)
			}
			return n, err
		},
		Remote: true,
	}
	kvtest.Run(t, h)
}
