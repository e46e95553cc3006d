package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/queue"
)

func publish(t testing.TB, store *kv.Store, q *queue.Queue, messages ...queue.Message) {
	t.Helper()
	require.NoError(t, store.Update(t.Context(), func(tx *kv.Txn) error { return q.Publish(t.Context(), tx, messages...) }))
}

func TestSmoke(t *testing.T) {
	for _, kind := range []string{"plain", "tx", "batch", "txbatch"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, err := memory.Open(nil)
				require.NoError(t, err)
				defer store.Close()
				q, err := queue.Open(store, nil)
				require.NoError(t, err)
				var mu sync.Mutex
				got := map[string][]string{}
				record := func(evs ...*queue.Event) error {
					mu.Lock()
					defer mu.Unlock()
					for _, ev := range evs {
						got[ev.Key] = append(got[ev.Key], string(ev.Payload))
					}
					return nil
				}
				s := queue.Subscription{Topic: "a", Group: "g"}
				switch kind {
				case "plain":
					s.Handler = func(_ context.Context, ev *queue.Event) error { return record(ev) }
				case "tx":
					s.TxHandler = func(_ context.Context, _ *kv.Txn, ev *queue.Event) error { return record(ev) }
				case "batch":
					s.BatchHandler = func(_ context.Context, evs []*queue.Event) error { return record(evs...) }
				case "txbatch":
					s.TxBatchHandler = func(_ context.Context, _ *kv.Txn, evs []*queue.Event) error { return record(evs...) }
				}
				w, err := q.Subscribe(s)
				require.NoError(t, err)
				want := map[string][]string{}
				for i := range 1000 {
					key := fmt.Sprint(i % 17)
					publish(t, store, q, queue.Message{Topic: "a", Key: key, Payload: []byte(fmt.Sprint(i))})
					want[key] = append(want[key], fmt.Sprint(i))
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				synctest.Wait()
				for i := range 1000 {
					key := fmt.Sprint(i % 17)
					publish(t, store, q, queue.Message{Topic: "a", Key: key, Payload: []byte(fmt.Sprint(i))})
					want[key] = append(want[key], fmt.Sprint(i))
				}
				<-time.After(time.Second)
				synctest.Wait()
				cancel()
				require.NoError(t, <-done)
				require.Equal(t, want, got)
			})
		})
	}
}
