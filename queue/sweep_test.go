package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// sweep is a way in which each driver call goes wrong.
type sweep struct {
	name   string
	rule   kvfault.Rule
	shared bool // several processes have the store open, and it recovers
	crash  bool // the process is dead from that call on
}

var sweeps = []sweep{
	{"unavailable", kvfault.Rule{Err: kv.ErrUnavailable}, false, false},
	{"unavailable_shared", kvfault.Rule{Err: kv.ErrUnavailable}, true, false},
	{"full", kvfault.Rule{Call: kv.CallCommit, Err: kv.ErrFull}, false, false},
	{"useless", kvfault.Rule{Err: kv.ErrFailed}, false, false},
	{"failed", kvfault.Rule{Err: errFault}, false, false},
	{"conflict", kvfault.Rule{Call: kv.CallCommit, Err: kv.ErrConflict}, false, false},
	{"lost", kvfault.Rule{After: true, Err: errFault}, false, false},
	{"lost_shared", kvfault.Rule{Call: kv.CallCommit, After: true, Err: errFault}, true, false},
	{"crash", kvfault.Rule{Every: true, Err: kv.ErrClosed}, false, true},
	{"crash_shared", kvfault.Rule{Every: true, Err: kv.ErrClosed}, true, true},
}

// TestSweep makes each driver call of a scenario's life go wrong in turn, from
// the creation of topic and group over publishing, sequencing, handling,
// retries and dead letters to giving back the partitions, and checks what
// invariants 1 to 7 promise for whatever happens then.
func TestSweep(t *testing.T) {
	for _, kind := range handlerKinds {
		for _, sweep := range sweeps {
			t.Run(kind+"/"+sweep.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var faults kvfault.Faulty
					swept := 0
					for fault := range faults.Sweep(sweep.rule) {
						e := newEngine(t, queue.MemoryStore)
						e.shared = sweep.shared
						sweepOnce(t, e, kind, "", &faults, fault, sweep)
						swept++
					}
					require.Greater(t, swept, 10)
				})
			})
		}
	}
}

// TestSweepDrivers is TestSweep on every driver, with fewer combinations and not
// with every call, the fewest where each commit waits for a disk or a network. A
// driver's store serves for all of a sweep.
func TestSweepDrivers(t *testing.T) {
	queue.Stores(t, func(t *testing.T, open queue.OpenStore) {
		for k, kind := range []string{"plain", "txbatch"} {
			for _, sweep := range sweeps {
				if sweep.name != "lost" && sweep.name != "crash" {
					continue
				}
				t.Run(kind+"/"+sweep.name, func(t *testing.T) {
					e := newEngine(t, open)
					stride := 4
					switch info := e.driver.Info(); {
					case info.Shared && queue.Servers.Cluster(t).Kind() == tikvtest.Model:
						t.Skip("in the client library's model, locks of a commit that was given up stay for more than 20 s")
					case info.Shared:
						stride = 40
					case !info.NoSync:
						stride = 16
					}
					rule := sweep.rule
					for rule.Skip = k; ; rule.Skip += stride {
						var faults kvfault.Faulty
						for fault := range faults.Sweep(rule) {
							sweepOnce(t, e, kind, fmt.Sprint(rule.Skip, "/"), &faults, fault, sweep)
							if fault.Hits() == 0 {
								require.Greater(t, rule.Skip, 30)
								return
							}
							break
						}
					}
				})
			}
		}
	})
}

func sweepOnce(t testing.TB, e *engine, kind, prefix string, faults *kvfault.Faulty, fault *kvfault.Fault, sweep sweep) {
	crash := sweep.crash
	s := newScenario(t, e, kind, prefix)
	s.survives = !crash && !errors.Is(sweep.rule.Err, kv.ErrFailed)
	defer func() {
		if t.Failed() {
			t.Logf("fault %v", fault)
		}
	}()
	p := e.process(t, faults)
	fault.During(func() { s.life(p, scenarioRounds, func() bool { return crash && fault.Hits() > 0 }) })
	if crash && fault.Hits() > 0 {
		s.restart++
		next := e.process(t, &kvfault.Faulty{})
		s.life(next, scenarioRounds[:3], func() bool { return false })
		next.end(t)
	}
	p.end(t)
	s.verify()
}
