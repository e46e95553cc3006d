package tikvserver_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/internal/tikvserver"
)

var servers tikvserver.Servers

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Tests(m),
		// A closed client-go still waits a few seconds for a server that it had lost.
		goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady"))
}
