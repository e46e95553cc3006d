package tikv_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/kv/tikv/internal/clientlog"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) {
	clientlog.Listen(nil) // clients of others than this driver log otherwise
	if os.Getenv(childEnv) != "" {
		os.Exit(pausedChild())
	}
	goleak.VerifyTestMain(servers.Tests(m), leaves...)
}

// leaves is what goes on for some seconds after the end of its owner.
var leaves = []goleak.Option{
	// A closed client still waits for a server that it had lost.
	goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady"),
	// The model's database looks once a second whether it has been closed.
	goleak.IgnoreAnyFunction("github.com/pingcap/goleveldb/leveldb.(*DB).mpoolDrain"),
}

// ability is what some servers can do and some cannot.
type ability int

const (
	onePhase  ability = iota // commit in one phase
	processes                // serve several processes
	mortal                   // be killed and paused, where a test has its own
	forgiving                // answer again after they did not
)

// lacks is what each kind of servers cannot do, and why. Everything else is the
// same on all of them.
var lacks = map[tikvtest.Kind]map[ability]string{
	tikvtest.Model: {
		onePhase:  "the client library's model always commits in two phases",
		processes: "a model of a cluster lives in one process",
		forgiving: "the client library asks a server that it has given up whether it lives, by a connection that a model has not",
		mortal:    "a model has no servers that could be killed or paused",
	},
	tikvtest.Standin: {},
	tikvtest.TiKV:    {},
}

// needs skips the test if the cluster lacks something, and says why.
func needs(t *testing.T, c *tikvtest.Cluster, a ability) {
	t.Helper()
	if why, lacking := lacks[c.Kind()][a]; lacking {
		t.Skip(why)
	}
}
