package tito_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// A topic is refused by Open if and only if the queue would refuse it later.
func TestOpenChecksTopics(t *testing.T) {
	store := memoryStore(t, nil)
	q, err := queue.Open(store, nil)
	require.NoError(t, err)
	regret := errors.New("regret")
	for topic, ok := range map[string]bool{
		"": false, "a": true, "user.created": true, "größer": true, "a b": true, "a\tb": false, "a\x00": false, "\xff": false,
		strings.Repeat("x", 200): true, strings.Repeat("x", 201): false, strings.Repeat("é", 100): true, strings.Repeat("é", 101): false,
	} {
		_, err := tito.Open(t.Context(), store, nil, eventTable(tito.Event[plan]{Topic: topic}))
		published := store.Update(t.Context(), func(tx *kv.Txn) error {
			if err := q.Publish(t.Context(), tx, queue.Message{Topic: topic}); err != nil {
				return err
			}
			return regret
		})
		if ok {
			require.NoError(t, err, topic)
			require.ErrorIs(t, published, regret, topic)
		} else {
			require.ErrorIs(t, err, tito.ErrSchema, topic)
			require.ErrorContains(t, err, `table "plans"`)
			require.ErrorIs(t, published, queue.ErrMessage, topic)
		}
	}
	_, err = tito.Open(t.Context(), store, nil, eventTable(tito.Event[plan]{Topic: "a"}, tito.Event[plan]{Topic: "b"}, tito.Event[plan]{Topic: "a", After: true}))
	require.ErrorIs(t, err, tito.ErrSchema)
	require.ErrorContains(t, err, `topic "a" is declared twice`)
}

func eventTable(events ...tito.Event[plan]) *tito.Table[plan, string] {
	return tito.Define(tito.Schema[plan, string]{Table: "plans", ID: planID, Events: events})
}

// Events are no part of the catalogue: they come and go with the program.
func TestEventsMayChange(t *testing.T) {
	store := memoryStore(t, nil)
	for _, table := range []*tito.Table[plan, string]{eventTable(), eventTable(tito.Event[plan]{Topic: "a"}), eventTable()} {
		before := dump(t, store, "")
		_, err := tito.Open(t.Context(), store, nil, table)
		require.NoError(t, err)
		if len(before) > 0 {
			require.Equal(t, before, dump(t, store, ""))
		}
	}
}

func TestQueueOptions(t *testing.T) {
	store := memoryStore(t, nil)
	_, err := tito.Open(t.Context(), store, &tito.Options{Queue: &queue.Options{Partitions: 15}})
	require.ErrorIs(t, err, queue.ErrOptions)
	_, err = tito.Open(t.Context(), store, &tito.Options{Prefix: []byte("a"), Queue: &queue.Options{Prefix: []byte("a")}})
	require.ErrorIs(t, err, tito.ErrOptions)

	prefix := []byte("app/")
	db, err := tito.Open(t.Context(), store, &tito.Options{Prefix: prefix, Queue: &queue.Options{Partitions: 32}})
	require.NoError(t, err)
	prefix[0] = 'x' // the caller's to change
	require.NotNil(t, db.Queue())
	require.NoError(t, store.Update(t.Context(), func(tx *kv.Txn) error {
		return db.Queue().Publish(t.Context(), tx, queue.Message{Topic: "t", Payload: []byte("hello")})
	}))
	all := published(t, store, "app/")
	require.Len(t, all, 1)
	require.Equal(t, "hello", string(all[0].Payload))
}
