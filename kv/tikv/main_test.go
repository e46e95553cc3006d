package tikv_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Tests(m), leaves)
}

// leaves is what the client library leaves behind for some seconds if a server
// was lost when it was closed.
var leaves = goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady")
