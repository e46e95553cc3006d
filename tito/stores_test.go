package tito_test

import (
	"os"
	"testing"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// servers are where stores in TiKV are.
var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

// openStore opens an empty store, closed at the end of t.
type openStore = teststores.Open

// stores runs fn as a subtest for each driver.
func stores(t *testing.T, fn func(t *testing.T, open openStore)) {
	t.Helper()
	teststores.Each(t, &servers, fn)
}

// embedded does so for each driver that a bubble of testing/synctest can hold.
func embedded(t *testing.T, fn func(t *testing.T, open openStore)) {
	t.Helper()
	teststores.Embedded(t, fn)
}

func memoryStore(t testing.TB, o *kv.Options) *kv.Store {
	t.Helper()
	return teststores.Memory(t, o)
}
