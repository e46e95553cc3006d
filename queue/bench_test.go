package queue_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// benchStores are the stores that the benchmarks compare, with the durability
// of all commits.
var benchStores = []struct { // immutable
	name string
	open func(b *testing.B) (*kv.Store, error)
}{
	{"memory", func(*testing.B) (*kv.Store, error) { return memory.Open(nil) }},
	{"pebble_nosync", func(b *testing.B) (*kv.Store, error) {
		return pebble.Open(b.TempDir(), &pebble.Options{Options: kv.Options{Durability: kv.NoSync}})
	}},
	{"pebble_sync", func(b *testing.B) (*kv.Store, error) { return pebble.Open(b.TempDir(), nil) }},
	{"bolt", func(b *testing.B) (*kv.Store, error) { return bolt.Open(b.TempDir()+"/queue.db", nil) }},
	{"tikv", func(b *testing.B) (*kv.Store, error) {
		calls := &kvfault.Counting{}
		b.Cleanup(func() { b.ReportMetric(float64(calls.Counts().RoundTrips())/float64(b.N), "calls/event") })
		return queue.Servers.Open(b, &tikv.Options{Options: kv.Options{Wrap: calls.Wrap}}), nil
	}},
}

const (
	benchPayload = 100
	benchBatch   = 1000
)

// benchmark runs fn on each store.
func benchmark(b *testing.B, fn func(b *testing.B, store *kv.Store, q *queue.Queue)) {
	for _, s := range benchStores {
		b.Run(s.name, func(b *testing.B) {
			store, err := s.open(b)
			require.NoError(b, err)
			defer func() { require.NoError(b, store.Close()) }()
			q, err := queue.Open(store, nil)
			require.NoError(b, err)
			b.ReportAllocs()
			fn(b, store, q)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// enqueue publishes n messages, batches of them in a transaction, evenly spread.
func enqueue(b *testing.B, store *kv.Store, q *queue.Queue, n int) {
	messages := make([]queue.Message, 0, benchBatch)
	for done := 0; done < n; done += len(messages) {
		messages = messages[:0]
		for i := done; i < min(done+benchBatch, n); i++ {
			payload := make([]byte, benchPayload)
			binary.BigEndian.PutUint64(payload, uint64(i))
			messages = append(messages, queue.Message{Topic: "bench", Payload: payload})
		}
		if err := store.Update(b.Context(), func(tx *kv.Txn) error { return q.Publish(b.Context(), tx, messages...) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnqueue(b *testing.B) {
	benchmark(b, func(b *testing.B, store *kv.Store, q *queue.Queue) { enqueue(b, store, q, b.N) })
}

// BenchmarkDrain handles b.N events that wait in the inbox, spread evenly over
// 1024 partitions, with a transactional batch handler that does nothing, and
// reports how fast the last tenth went compared to the first. Use it with
// -benchtime 1000000x.
func BenchmarkDrain(b *testing.B) {
	benchmark(b, func(b *testing.B, store *kv.Store, q *queue.Queue) {
		enqueue(b, store, q, b.N)
		var handled atomic.Int64
		marks := make([]time.Time, 11) // when each tenth was done
		ctx, cancel := context.WithCancel(b.Context())
		w, err := q.Subscribe(queue.Subscription{
			Topic: "bench", Group: "drain", BatchSize: benchBatch,
			TxBatchHandler: func(_ context.Context, tx *kv.Txn, events []*queue.Event) error {
				tx.OnCommit(func() {
					n := handled.Add(int64(len(events)))
					for i := (n - int64(len(events))) * 10 / int64(b.N); i < n*10/int64(b.N); i++ {
						marks[i+1] = time.Now()
					}
					if n == int64(b.N) {
						cancel()
					}
				})
				return nil
			},
		})
		require.NoError(b, err)
		b.ResetTimer()
		marks[0] = time.Now()
		require.NoError(b, w.Run(ctx))
		b.StopTimer()
		if first, last := marks[1].Sub(marks[0]), marks[10].Sub(marks[9]); b.N >= 10*benchBatch {
			b.ReportMetric(float64(first)/float64(last), "last/first-tenth")
		}
	})
}

// BenchmarkSteady publishes and handles at the same time: b.N events, each for
// another partition than those before it, never more than 8000 ahead of the
// handler, so that the inbox never runs empty.
func BenchmarkSteady(b *testing.B) {
	benchmark(b, func(b *testing.B, store *kv.Store, q *queue.Queue) {
		const ahead = 8
		ctx, cancel := context.WithCancel(b.Context())
		room := make(chan struct{}, ahead) // a place for each batch under way
		var handled atomic.Int64
		w, err := q.Subscribe(queue.Subscription{
			Topic: "bench", Group: "steady", BatchSize: benchBatch,
			TxBatchHandler: func(_ context.Context, tx *kv.Txn, events []*queue.Event) error {
				tx.OnCommit(func() {
					n := handled.Add(int64(len(events)))
					for range n/benchBatch - (n-int64(len(events)))/benchBatch {
						<-room
					}
					if n == int64(b.N) {
						cancel()
					}
				})
				return nil
			},
		})
		require.NoError(b, err)
		ran := make(chan error, 1)
		b.ResetTimer()
		go func() { ran <- w.Run(ctx) }()
		for done := 0; done < b.N; done += benchBatch {
			room <- struct{}{}
			enqueue(b, store, q, min(benchBatch, b.N-done))
		}
		require.NoError(b, <-ran)
	})
}

// BenchmarkLatency publishes one event, waits until its handler runs, and so on:
// the median of the time between.
func BenchmarkLatency(b *testing.B) {
	benchmark(b, func(b *testing.B, store *kv.Store, q *queue.Queue) {
		ctx, cancel := context.WithCancel(b.Context())
		started := make(chan time.Time, 1)
		w, err := q.Subscribe(queue.Subscription{
			Topic: "bench", Group: "latency",
			Handler: func(context.Context, *queue.Event) error {
				started <- time.Now()
				return nil
			},
		})
		require.NoError(b, err)
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		once := func() time.Duration {
			begin := time.Now()
			require.NoError(b, store.Update(ctx, func(tx *kv.Txn) error {
				return q.Publish(ctx, tx, queue.Message{Topic: "bench", Key: "one", Payload: make([]byte, benchPayload)})
			}))
			return (<-started).Sub(begin)
		}
		once() // the worker is up, and has claimed the partition
		b.ResetTimer()
		var took []time.Duration
		for b.Loop() {
			took = append(took, once())
		}
		b.StopTimer()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		cancel()
		require.NoError(b, <-ran)
	})
}

// BenchmarkIdle waits for b.N seconds on ten topics of 1024 partitions that each
// have an event in every partition, all of them handled, and reports the share of
// one core that it takes. Use it with -benchtime 10x.
func BenchmarkIdle(b *testing.B) {
	benchmark(b, func(b *testing.B, store *kv.Store, q *queue.Queue) {
		const topics = 10
		ctx, cancel := context.WithCancel(b.Context())
		var handled atomic.Int64
		all := make(chan struct{})
		ran := make(chan error, topics)
		for i := range topics {
			topic := string(rune('a' + i))
			require.NoError(b, store.Update(ctx, func(tx *kv.Txn) error {
				for range 4096 {
					if err := q.Publish(ctx, tx, queue.Message{Topic: topic}); err != nil {
						return err
					}
				}
				return nil
			}))
			w, err := q.Subscribe(queue.Subscription{
				Topic: topic, Group: "idle",
				BatchHandler: func(_ context.Context, events []*queue.Event) error {
					if handled.Add(int64(len(events))) == topics*4096 {
						close(all)
					}
					return nil
				},
			})
			require.NoError(b, err)
			go func() { ran <- w.Run(ctx) }()
		}
		<-all
		b.ResetTimer()
		before := cpuTime(b)
		timer := time.NewTimer(time.Duration(b.N) * time.Second)
		<-timer.C
		used := cpuTime(b) - before
		b.StopTimer()
		b.ReportMetric(100*used.Seconds()/b.Elapsed().Seconds(), "%core")
		cancel()
		for range topics {
			require.NoError(b, <-ran)
		}
	})
}
