package tito_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// replica is a ticket as a handler keeps it, with how many events it was of.
type replica struct {
	ID     string
	State  string
	Events int
}

// Handlers that write through DB.Tx make a copy of the table, of each event once.
func TestEventsReachHandlers(t *testing.T) {
	replicas := tito.Define(tito.Schema[replica, string]{Table: "replicas", ID: tito.StringID(func(r *replica) *string { return &r.ID })})
	stores(t, func(t *testing.T, open openStore) {
		db, err := tito.Open(t.Context(), open(t, nil), nil, tickets, clerks, replicas)
		require.NoError(t, err)
		const rows, rounds = 30, 4
		for round := range rounds {
			for i := range rows {
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					id := fmt.Sprint(i)
					_, err := tickets.Put(ctx, tx, &ticket{ID: id, Code: id, State: fmt.Sprint(round)}, nil)
					require.NoError(t, err)
				})
			}
		}
		update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, tickets.Delete(ctx, tx, "0", nil)) })

		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var left atomic.Int64
		left.Store(rows*rounds + 1)
		worker, err := db.Queue().Subscribe(queue.Subscription{
			Topic: "ticket.images", Group: "copy",
			TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
				txn.OnCommit(func() {
					if left.Add(-1) == 0 {
						stop()
					}
				})
				err := copyTicket(ctx, db.Tx(txn), replicas, ev)
				if err != nil {
					t.Error(err)
					stop()
				}
				return err
			},
		})
		require.NoError(t, err)
		require.NoError(t, worker.Run(ctx))
		require.Zero(t, left.Load())

		want, got := map[string]replica{}, map[string]replica{}
		for rec, err := range tickets.Scan().All(t.Context(), db) {
			require.NoError(t, err)
			want[rec.ID] = replica{rec.ID, rec.State, rounds}
		}
		require.Len(t, want, rows-1)
		for r, err := range replicas.Scan().All(t.Context(), db) {
			require.NoError(t, err)
			got[r.ID] = *r
		}
		require.Equal(t, want, got)
	})
}

// copyTicket applies one event to the copy. It relies on the order of a row's
// events: Create fails if there is a copy, Patch and Delete if there is none.
func copyTicket(ctx context.Context, tx *tito.Tx, replicas *tito.Table[replica, string], ev *queue.Event) error {
	c, err := tickets.ParseEvent(ev)
	if err != nil {
		return err
	}
	switch c.Operation {
	case tito.OpInsert:
		_, err = replicas.Create(ctx, tx, &replica{ID: c.ID, State: c.After.State, Events: 1}, nil)
	case tito.OpUpdate:
		_, err = replicas.Patch(ctx, tx, c.ID, func(r *replica) error {
			if r.State != c.Before.State {
				return fmt.Errorf("event of state %s after %s", c.Before.State, r.State)
			}
			r.State = c.After.State
			r.Events++
			return nil
		}, nil)
	case tito.OpDelete:
		err = replicas.Delete(ctx, tx, c.ID, nil)
	}
	return err
}
