package queue_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/queue"
)

func TestMain(m *testing.M) {
	if code, ok := beChild(); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(queue.Servers.Tests(m), leaves...)
}

// leaves is what goes on for some seconds after the end of its owner.
var leaves = []goleak.Option{
	// A closed client of TiKV still waits for a server that it had lost.
	goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady"),
	// The database of the client library's model looks once a second whether it
	// has been closed.
	goleak.IgnoreAnyFunction("github.com/pingcap/goleveldb/leveldb.(*DB).mpoolDrain"),
}
