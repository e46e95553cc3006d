package queue

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// While a suspect is with a handler another one waits, and its executor does not:
// it has other partitions to work on.
func TestSuspectKeepsNoExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, MemoryStore)
		b.fresh()
		w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
		b.publish("k", "1")
		b.move(b.sequencer(), eventlog.AllShards)
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			return w.rows.Put(tx, b.partition("k"), &group.Checkpoint{Quarantine: group.Suspect})
		}))
		j := b.take(w)
		p := j.parts[0]
		require.True(t, p.Suspect())
		require.True(t, b.q.enterQuarantine()) // another one
		j.runEvent(p, &p.Events[0])
		require.True(t, p.Halted)
		require.Positive(t, p.Wait)
		require.Zero(t, p.Done())
		b.q.leaveQuarantine()
	})
}
