package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// inbox counts the events of topic "a" that no worker has seen.
func inbox(t *testing.T, store *kv.Store, q *queue.Queue) uint64 {
	t.Helper()
	var s queue.Stats
	require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) (err error) {
		s, err = q.Stats(t.Context(), tx, "a", "g")
		return err
	}))
	return s.Inbox
}

func TestUniqueDrops(t *testing.T) {
	store, err := memory.Open(nil)
	require.NoError(t, err)
	defer store.Close()
	q, err := queue.Open(store, nil)
	require.NoError(t, err)

	one := queue.Message{Topic: "a", Unique: "1"}
	publish(t, store, q, one, one, queue.Message{Topic: "a"}, queue.Message{Topic: "a"})
	require.EqualValues(t, 3, inbox(t, store, q), "a call drops its own repetition, and nothing without Unique")
	publish(t, store, q, one)
	require.EqualValues(t, 3, inbox(t, store, q), "what an earlier transaction published is dropped")
	publish(t, store, q, queue.Message{Topic: "b", Unique: "1"}, queue.Message{Topic: "a", Unique: "2"})
	require.EqualValues(t, 4, inbox(t, store, q), "other topics and values are others")

	rollback := errors.New("rollback")
	three := queue.Message{Topic: "a", Unique: "3"}
	err = store.Update(t.Context(), func(tx *kv.Txn) error {
		require.NoError(t, q.Publish(t.Context(), tx, three))
		return rollback
	})
	require.ErrorIs(t, err, rollback)
	publish(t, store, q, three)
	require.EqualValues(t, 5, inbox(t, store, q), "what was rolled back is not remembered")

	// Two transactions that do not see each other: the second one conflicts.
	first, err := store.Begin(t.Context(), nil)
	require.NoError(t, err)
	second, err := store.Begin(t.Context(), nil)
	require.NoError(t, err)
	four := queue.Message{Topic: "a", Unique: "4"}
	require.NoError(t, q.Publish(t.Context(), first, four))
	require.NoError(t, q.Publish(t.Context(), second, four))
	require.NoError(t, first.Commit(t.Context()))
	require.ErrorIs(t, second.Commit(t.Context()), kv.ErrConflict)
	require.EqualValues(t, 6, inbox(t, store, q))
}

func TestUniqueExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := memory.Open(nil)
		require.NoError(t, err)
		defer store.Close()
		q, err := queue.Open(store, nil)
		require.NoError(t, err)
		m := queue.Message{Topic: "a", Unique: "1", UniqueFor: time.Hour}

		var mu sync.Mutex
		handled := 0
		w, err := q.Subscribe(queue.Subscription{Topic: "a", Group: "g", Handler: func(context.Context, *queue.Event) error {
			mu.Lock()
			defer mu.Unlock()
			handled++
			return nil
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()

		publish(t, store, q, m)
		elapse(59 * time.Minute)
		publish(t, store, q, m)
		elapse(2 * time.Minute)
		publish(t, store, q, m) // an hour after the first one
		elapse(time.Second)
		mu.Lock()
		require.Equal(t, 2, handled)
		mu.Unlock()
		require.Positive(t, remembered(t, store))
		elapse(2 * time.Hour)
		require.Zero(t, remembered(t, store), "what has expired is removed")
		cancel()
		require.NoError(t, <-ran)
	})
}

// What has expired is removed also if it does not fit into one transaction.
func TestUniqueExpiresInPieces(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		store := queue.MemoryStore(b, &kv.Options{MaxTxnSize: 32 << 10})
		q, err := queue.Open(store, nil)
		require.NoError(t, err)
		for i := range 200 {
			publish(t, store, q, queue.Message{Topic: "topic", Unique: strings.Repeat("u", 250) + fmt.Sprint(i), UniqueFor: time.Hour})
		}
		require.Equal(t, 400, remembered(t, store))
		stop := b.runOn(q, queue.Subscription{Handler: func(context.Context, *queue.Event) error { return nil }})
		elapse(2 * time.Hour)
		require.Zero(t, remembered(t, store))
		require.NoError(t, stop())
	})
}

// elapse lets time pass in a bubble, until all that has to happen then has.
func elapse(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// remembered counts the rows that Unique has left behind.
func remembered(t *testing.T, store *kv.Store) int {
	n := 0
	require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) error {
		for p, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			if p.Key[0] == 'q' && strings.ContainsRune("ux", rune(p.Key[1])) {
				n++
			}
		}
		return nil
	}))
	return n
}

func TestPublishCost(t *testing.T) {
	var calls kvfault.Counting
	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: calls.Wrap}})
	require.NoError(t, err)
	defer store.Close()
	q, err := queue.Open(store, nil)
	require.NoError(t, err)
	calls.Expect(t, kvfault.Counts{Commits: 1, Writes: 3}, func() {
		publish(t, store, q, queue.Message{Topic: "a", Key: "k"}, queue.Message{Topic: "a"}, queue.Message{Topic: "b"})
	})
	calls.Expect(t, kvfault.Counts{BatchGets: 1, Commits: 1, Writes: 6}, func() {
		publish(t, store, q, queue.Message{Topic: "a", Unique: "1"}, queue.Message{Topic: "a", Unique: "2"})
	})
}
