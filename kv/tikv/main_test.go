package tikv_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Tests(m), leaves...)
}

// leaves is what goes on for some seconds after the end of its owner.
var leaves = []goleak.Option{
	// A closed client still waits for a server that it had lost.
	goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady"),
	// The model's database looks once a second whether it has been closed.
	goleak.IgnoreAnyFunction("github.com/pingcap/goleveldb/leveldb.(*DB).mpoolDrain"),
}
