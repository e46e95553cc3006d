package group

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/hooked"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

var servers tikvtest.Servers

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servers.Tests(m),
		// A closed client of TiKV still waits for a server that it had lost.
		goleak.IgnoreAnyFunction("github.com/tikv/client-go/v2/internal/client.(*batchCommandsClient).waitConnReady"),
		// The database of the client library's model looks once a second whether it
		// has been closed.
		goleak.IgnoreAnyFunction("github.com/pingcap/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// stores runs fn as a subtest for each driver.
func stores(t *testing.T, fn func(t *testing.T, open teststores.Open)) {
	t.Helper()
	teststores.Each(t, &servers, fn)
}

// bench is a store with a topic, and the parts of workers that a test calls itself,
// on one goroutine.
type bench struct {
	testing.TB
	store *access.Store
	h     *hooked.Driver
	inbox *eventlog.Inbox
	n     int // topics so far
	ids   byte
	topic string
}

const benchPartitions = 16

var benchKeys = eventlog.Keys{}

func newBench(t testing.TB, open teststores.Open) *bench {
	b := &bench{TB: t, h: &hooked.Driver{}, inbox: eventlog.NewInbox(benchKeys, 1)}
	b.store = &access.Store{
		Store: open(t, &kv.Options{Wrap: b.h.Wrap}), Log: slog.New(slog.DiscardHandler),
		MinPoll: 20 * time.Millisecond, MaxPoll: time.Second,
	}
	b.h.Reset(nil)
	return b
}

// id returns the id of a new process.
func (b *bench) id() cluster.ID {
	b.ids++
	return cluster.ID{b.ids}
}

// fresh goes on with a topic that nobody has used, which is created.
func (b *bench) fresh() {
	b.n++
	b.topic = fmt.Sprint("topic", b.n)
	b.h.Reset(nil)
	_, err := eventlog.EnsureTopic(b.Context(), b.store, benchKeys, b.topic, benchPartitions)
	require.NoError(b, err)
}

// publish publishes payloads under one key, each in a transaction of its own.
func (b *bench) publish(key string, payloads ...string) {
	b.Helper()
	for _, p := range payloads {
		require.NoError(b, b.store.Update(b.Context(), func(tx *kv.Txn) error {
			_, _, err := b.inbox.Put(tx, &eventlog.Message{Topic: b.topic, Key: key, Payload: []byte(p)}, nil)
			return err
		}))
	}
}

// move moves all that was published to the log.
func (b *bench) move() {
	b.Helper()
	m, err := eventlog.NewSequencer(b.store, benchKeys, b.topic, benchPartitions).Move(b.Context(), eventlog.AllShards, false)
	require.NoError(b, err)
	require.Zero(b, m.Shards)
}

// worker is the parts of a worker of the group "group", whose handlers take single
// events and have no transaction. Others are dead, for all it knows.
type worker struct {
	id   cluster.ID
	c    *Config
	s    *Scheduler
	f    *Fetcher
	k    *Checkpointer
	rows *Rows
}

func (b *bench) worker(id cluster.ID) *worker {
	b.Helper()
	w := &worker{id: id, c: &Config{
		Store: b.store, Keys: benchKeys, Topic: b.topic, Group: "group",
		Process: id, MemberTTL: 15 * time.Second,
		Health:      func(cluster.ID, time.Time) cluster.Health { return cluster.Dead },
		Owns:        func(int) bool { return true },
		Concurrency: 8, MaxInFlight: 1024, Timeout: time.Minute,
	}}
	origin, err := Ensure(b.Context(), b.store, benchKeys, b.topic, "group", benchPartitions, false)
	require.NoError(b, err)
	w.rows = NewRows(nil, b.topic, "group", benchPartitions, origin)
	w.s = NewScheduler(w.c, true)
	w.k = w.s.Open(w.rows)
	w.f = NewFetcher(w.s)
	return w
}

// take has w claim the partitions in which there is something to do, and read their
// events. It returns nil if there is nothing.
func (b *bench) take(w *worker) []Part {
	b.Helper()
	require.NoError(b, w.f.Load(b.Context()))
	if parts := w.s.TryJob(); parts != nil {
		return parts
	}
	require.NoError(b, w.f.TryFetch(b.Context()))
	return w.s.TryJob()
}

func (b *bench) partition(key string) int {
	return eventlog.PartitionOf(keyhash.Of(key), benchPartitions)
}

// stored returns the checkpoint of a key's partition.
func (b *bench) stored(key string) Checkpoint {
	b.Helper()
	var got []Checkpoint
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) (err error) {
		got, err = NewRows(nil, b.topic, "group", benchPartitions, Origin{}).Read(b.Context(), tx, []int{b.partition(key)})
		return err
	}))
	return got[0]
}

// scan returns everything in a range of the store.
func (b *bench) scan(r kv.Range) map[string]string {
	b.Helper()
	all := map[string]string{}
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
		for pair, err := range tx.Scan(b.Context(), r, nil) {
			if err != nil {
				return err
			}
			all[string(pair.Key)] = string(pair.Value)
		}
		return nil
	}))
	return all
}

// dump returns everything in the store.
func (b *bench) dump() map[string]string { return b.scan(kv.Range{}) }

// letters returns the rows of the group's dead letters.
func (b *bench) letters() map[string]string {
	b.Helper()
	return b.scan(layout.PrefixRange(DeadPrefix(nil, b.topic, "group")))
}

// died makes a partition look as if its owner had died.
func (b *bench) died(key string) Token {
	b.Helper()
	dead := NewToken(cluster.ID{1, 2, 3})
	require.NoError(b, b.store.Update(b.Context(), func(tx *kv.Txn) error {
		return NewRows(nil, b.topic, "group", benchPartitions, Origin{}).Put(tx, b.partition(key), &Checkpoint{Owner: dead})
	}))
	return dead
}

// everywhere runs body with n = 0, 1, 2 and so on, for it to do something before the
// n-th driver call of a program, until n is not below the number of calls that body
// returns; then it has been done after all of them. Where each commit waits for a
// disk or a network it takes every third call only.
func (b *bench) everywhere(body func(n int) (calls int)) {
	b.Helper()
	stride := 1
	if !b.store.Info().NoSync {
		stride = 3
	}
	n := 0
	for ; ; n += stride {
		if calls := body(n); n >= calls {
			break
		}
	}
	require.Greater(b, n, 2, "the program makes too few calls for this to prove something")
}
