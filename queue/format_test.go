package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// Both errors of rows are those of kv, too, and neither is the other.
func TestErrorsOfRows(t *testing.T) {
	require.ErrorIs(t, queue.ErrCorrupt, kv.ErrCorrupt)
	require.ErrorIs(t, queue.ErrNewerFormat, kv.ErrNewerFormat)
	require.NotErrorIs(t, queue.ErrCorrupt, queue.ErrNewerFormat)
	require.NotErrorIs(t, queue.ErrNewerFormat, queue.ErrCorrupt)
	require.NotErrorIs(t, kv.ErrCorrupt, queue.ErrCorrupt)
	require.EqualError(t, queue.ErrCorrupt, "queue: store is corrupt")
}

// setFormat makes the format of all rows whose keys begin with prefix one that this
// program does not know. The format is the byte at a place of the value.
func setFormat(t testing.TB, store *kv.Store, prefix string, at int, format byte) {
	require.NoError(t, store.Update(t.Context(), func(tx *kv.Txn) error {
		n := 0
		for pair, err := range tx.Scan(t.Context(), kv.Range{Start: []byte(prefix), End: []byte(prefix + "\xff")}, nil) {
			if err != nil {
				return err
			}
			row := append([]byte(nil), pair.Value...)
			row[at] = format
			if err := tx.Set(append([]byte(nil), pair.Key...), row); err != nil {
				return err
			}
			n++
		}
		require.NotZero(t, n, prefix)
		return nil
	}))
}

func dump(t testing.TB, store *kv.Store) map[string]string {
	all := map[string]string{}
	require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) error {
		for pair, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			all[string(pair.Key)] = string(pair.Value)
		}
		return nil
	}))
	return all
}

// used is a store with a topic and a group whose worker has given up one event and
// handled another, and a queue in it.
func used(t testing.TB) (*kv.Store, *queue.Queue) {
	store := queue.MemoryStore(t, nil)
	q, err := queue.Open(store, &queue.Options{Partitions: 16})
	require.NoError(t, err)
	publish(t, store, q, queue.Message{Topic: "a", Key: "k"}, queue.Message{Topic: "a", Key: "k"})
	ctx, stop := context.WithCancel(t.Context())
	w, err := q.Subscribe(queue.Subscription{Topic: "a", Group: "g", Handler: func(_ context.Context, ev *queue.Event) error {
		if ev.Seq == 1 {
			return queue.Cancel(nil)
		}
		stop()
		return nil
	}})
	require.NoError(t, err)
	require.NoError(t, w.Run(ctx))
	return store, q
}

// A worker does not begin where it does not know the format of the topic's or the
// group's rows, and writes nothing.
func TestNewerFormatAtStart(t *testing.T) {
	for name, prefix := range map[string]string{"topic": "qt", "group": "qg", "checkpoint": "qc", "head": "qh"} {
		for format, want := range map[byte]error{2: queue.ErrNewerFormat, 0: queue.ErrCorrupt} {
			synctest.Test(t, func(t *testing.T) {
				store, q := used(t)
				setFormat(t, store, prefix, 0, format)
				before := dump(t, store)
				w, err := q.Subscribe(queue.Subscription{Topic: "a", Group: "g", Handler: func(context.Context, *queue.Event) error {
					return errors.New("called")
				}})
				require.NoError(t, err)
				require.ErrorIs(t, w.Run(t.Context()), want, name)
				require.Equal(t, before, dump(t, store), name)
			})
		}
	}
}

// A running worker ends with the error of a row that it cannot read.
func TestNewerFormatWhileRunning(t *testing.T) {
	for format, want := range map[byte]error{2: queue.ErrNewerFormat, 0: queue.ErrCorrupt} {
		synctest.Test(t, func(t *testing.T) {
			store, q := used(t)
			w, err := q.Subscribe(queue.Subscription{Topic: "a", Group: "g", Handler: func(context.Context, *queue.Event) error { return nil }})
			require.NoError(t, err)
			ran := make(chan error, 1)
			go func() { ran <- w.Run(t.Context()) }()
			synctest.Wait()
			require.Empty(t, ran)
			setFormat(t, store, "qh", 0, format)
			publish(t, store, q, queue.Message{Topic: "a", Key: "k"})
			select {
			case err := <-ran:
				require.ErrorIs(t, err, want)
			case <-time.After(time.Minute):
				require.Fail(t, "the worker goes on")
			}
		})
	}
}
