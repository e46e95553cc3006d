package tito_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/tito"
)

// TestRequestsToTiKV counts what each operation sends to PD and to TiKV, in a store
// of one region, and with a region for the rows and for each index; by hand it is
// the same.
func TestRequestsToTiKV(t *testing.T) {
	type cost struct {
		reads  requests // in one region
		spread requests // in several
		writes int      // how many of those are written
	}
	costs := map[string]cost{
		"Create":                     {requests{"BatchGet": 1}, requests{"BatchGet": 2}, 4},
		"Create with an event":       {requests{"BatchGet": 1}, requests{"BatchGet": 2}, 5},
		"Update of an indexed field": {requests{"BatchGet": 1}, requests{"BatchGet": 2}, 2},
		"Update of another field":    {requests{"BatchGet": 1}, requests{"BatchGet": 2}, 1},
		"Patch of another field":     {requests{"Get": 1}, requests{"Get": 1}, 1},
		"Delete":                     {requests{"Get": 1}, requests{"Get": 1}, 4},
		"Get":                        {requests{"Get": 1}, requests{"Get": 1}, 0},
		"Page of 50":                 {requests{"Scan": 1, "BatchGet": 1}, requests{"Scan": 1, "BatchGet": 1}, 0},
		"Page of 50 with a relation": {requests{"Scan": 1, "BatchGet": 2}, requests{"Scan": 1, "BatchGet": 2}, 0},
	}
	for _, op := range tikvOps() {
		for _, spread := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/spread=%t", op.name, spread), func(t *testing.T) {
				c := servers.Cluster(t)
				cost, ok := costs[op.name]
				require.True(t, ok)
				p := newTiKVContest(t, c, op)
				if spread {
					p.spread(c)
				}
				want, regions := maps.Clone(cost.reads), min(cost.writes, 1)
				if spread {
					want, regions = maps.Clone(cost.spread), cost.writes
				}
				want["Timestamp"] = 1 // of the snapshot
				if regions > 0 {
					want["Timestamp"]++ // of the commit
					want["Prewrite"] = regions
				}
				switch {
				case regions > 0 && c.Kind() == tikvtest.Model: // always two phases
					want["Timestamp"]++
					want["Commit"] = regions
				case regions > 1: // when the commit has returned already
					want["Commit"] = regions
				}
				sent := meter(p.client)
				sent.expect(t, want, p.prepare, func() { p.byTito(p.db) })
				sent.expect(t, want, p.prepare, p.byHand)
			})
		}
	}
}

// spread has regions begin at the events, where there are some, and at each index,
// for both programs.
func (p *tikvContest) spread(c *tikvtest.Cluster) {
	p.tb.Helper()
	require.NoError(p.tb, p.twin.Update(context.Background(), func(tx *tito.Tx) error {
		_, err := p.users.Create(context.Background(), tx, benchUserAt(1<<30), nil)
		if err == nil {
			err = p.users.Delete(context.Background(), tx, benchUserAt(1<<30).ID, nil)
		}
		return err
	}))
	var borders [][]byte
	for i, w := range p.note.script.writes[1:] { // they ascend, and each is in a part of its own
		common := 0
		for before := p.note.script.writes[i].Key; before[common] == w.Key[common]; {
			common++
		}
		borders = append(borders, w.Key[:common+1])
	}
	for _, prefix := range []string{p.prefix, p.own} {
		require.NoError(p.tb, c.Split(context.Background(), prefix, borders...))
	}
}

// requests counts requests by their kind.
type requests map[string]int

func (r requests) less(before requests) requests {
	diff := maps.Clone(r)
	for kind, n := range before {
		if diff[kind] -= n; diff[kind] == 0 {
			delete(diff, kind)
		}
	}
	return diff
}

func (r requests) String() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, fmt.Sprint(kind, " ", r[kind]))
	}
	return strings.Join(parts, ", ")
}

// requestMeter counts the requests of a client.
type requestMeter struct {
	mu   sync.Mutex
	sent requests
}

// meter counts what client sends from now on.
func meter(client *tikv.KVStore) *requestMeter {
	m := &requestMeter{sent: requests{}}
	client.SetTiKVClient(meteredClient{client.GetTiKVClient(), m})
	client.SetOracle(meteredOracle{client.GetOracle(), m})
	return m
}

func (m *requestMeter) add(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[kind]++
}

func (m *requestMeter) counts() requests {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.sent)
}

// expect requires that fn, after prepare, sends what want says. Other things may come
// in between: the end of an earlier commit, the news of where a region is. So it
// may take a few tries.
func (m *requestMeter) expect(t *testing.T, want requests, prepare, fn func()) {
	t.Helper()
	const tries = 10
	var got requests
	for try := range tries {
		prepare()
		m.settle(try)
		before := m.counts()
		fn()
		m.settle(try)
		if got = m.counts().less(before); maps.Equal(got, want) {
			return
		}
	}
	require.Equal(t, want.String(), got.String())
}

// settle returns when nothing has been sent for a while, which is longer with each
// try: who knows how slow the machine is?
func (m *requestMeter) settle(try int) {
	while := 20 * time.Millisecond << try
	for before := requests(nil); !maps.Equal(before, m.counts()); <-time.After(while) {
		before = m.counts()
	}
}

type meteredClient struct {
	tikv.Client
	m *requestMeter
}

func (c meteredClient) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	if req.Type != tikvrpc.CmdStoreSafeTS { // which the client asks for now and then
		c.m.add(req.Type.String())
	}
	return c.Client.SendRequest(ctx, addr, req, timeout)
}

type meteredOracle struct {
	oracle.Oracle
	m *requestMeter
}

func (o meteredOracle) GetTimestamp(ctx context.Context, opt *oracle.Option) (uint64, error) {
	o.m.add("Timestamp")
	return o.Oracle.GetTimestamp(ctx, opt)
}

func (o meteredOracle) GetTimestampAsync(ctx context.Context, opt *oracle.Option) oracle.Future {
	o.m.add("Timestamp")
	return o.Oracle.GetTimestampAsync(ctx, opt)
}
