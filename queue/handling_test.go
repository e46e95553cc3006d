package queue_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// What a handler does to its Event changes nothing for the worker.
func TestHandlerChangesItsEvent(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		b.publish("k", "1", "2", "3")
		stop := b.run(each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			*ev = queue.Event{Seq: 99}
			return nil
		}))
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.Equal(b, "1/1 2/1 3/1", b.handled())
		require.EqualValues(b, 3, b.stats().Done)
	})
}

// A handler that ends its goroutine ends the worker, and is not forgotten.
func TestHandlerExits(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		b.publish("k", "1")
		stop := b.run(queue.Subscription{Handler: func(context.Context, *queue.Event) error {
			runtime.Goexit()
			return nil
		}})
		b.pass(time.Minute)
		require.ErrorIs(b, stop(), queue.ErrHandlerExited)
		require.Zero(b, b.stats().Done)
	})
}

// A handler that returns long after the worker was told to stop keeps its success,
// and the partitions are given back.
func TestDrainLateHandler(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		b.publish("k", "1")
		release := make(chan struct{})
		stop := b.run(queue.Subscription{DrainTimeout: time.Second, Handler: func(context.Context, *queue.Event) error {
			<-release
			return nil
		}})
		b.pass(time.Second)
		time.AfterFunc(10*time.Second, func() { close(release) })
		require.NoError(b, stop())
		require.EqualValues(b, 1, b.stats().Done)
	})
}

// As many events in flight as handlers keeps all handlers at work.
func TestMaxInFlightOfConcurrency(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		for range 256 {
			b.publish("", "x")
		}
		var mu sync.Mutex
		running, most := 0, 0
		stop := b.run(queue.Subscription{Concurrency: 16, MaxInFlight: 16, Handler: func(context.Context, *queue.Event) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			return nil
		}})
		b.pass(25 * time.Second)
		mu.Lock()
		require.Equal(b, 16, most)
		mu.Unlock()
		require.EqualValues(b, 256, b.stats().Done, "256 seconds of work, 16 at a time")
		require.NoError(b, stop())
	})
}

// A group that begins with what is new leaves out what waits in the inbox.
func TestFromNewestLeavesOutTheInbox(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		b.publish("k", "old")
		stop := b.run(queue.Subscription{Start: queue.FromNewest, Handler: func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			return nil
		}})
		b.pass(time.Second)
		b.publish("k", "new")
		b.pass(time.Second)
		require.NoError(b, stop())
		require.Equal(b, "new/1", b.handled())
	})
}

func TestPublishRefusesForeignTransactions(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		other := queue.MemoryStore(b, nil)
		err := other.Update(b.Context(), func(tx *kv.Txn) error {
			return b.q.Publish(b.Context(), tx, queue.Message{Topic: "topic"})
		})
		require.ErrorIs(b, err, queue.ErrOptions)
	})
}

// Events that write too much together are handled in smaller batches.
func TestBatchTooLargeHalves(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		for range 8 {
			b.publish("k", "x")
		}
		limit := b.store.Info().Limits
		stop := b.run(queue.Subscription{TxBatchHandler: func(_ context.Context, tx *kv.Txn, events []*queue.Event) error {
			b.note(events...)
			for range events { // two of them fit
				b.mu.Lock()
				key := []byte{'w', byte(len(b.saw)), byte(tx.Size() >> 20)}
				b.mu.Unlock()
				if err := tx.Set(key, make([]byte, min(limit.MaxValueSize, limit.MaxTxnSize*2/5))); err != nil {
					return err
				}
			}
			return nil
		}})
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.EqualValues(b, 8, b.stats().Done)
		sizes := map[int]bool{}
		for _, s := range b.saw {
			require.Equal(b, 1, s.attempt, "no event has failed")
			sizes[s.batch] = true
		}
		require.Equal(b, map[int]bool{8: true, 4: true, 2: true}, sizes)
	})
}
