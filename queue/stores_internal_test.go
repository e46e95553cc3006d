package queue

import (
	"testing"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// Servers are where stores in TiKV are.
var Servers tikvtest.Servers

// OpenStore opens an empty store, closed at the end of t.
type OpenStore = teststores.Open

// Stores runs fn as a subtest for each driver. The tests of invariants do. None of
// them may assume more than kv promises: that a watermark follows at once, for one.
func Stores(t *testing.T, fn func(t *testing.T, open OpenStore)) {
	t.Helper()
	teststores.Each(t, &Servers, fn)
}

// MemoryStore is the store for tests in a bubble of testing/synctest.
func MemoryStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	return teststores.Memory(t, o)
}
