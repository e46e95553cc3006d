package tito_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// Whatever is written, in transactions that commit or do not, and whichever
// writes fail: who applies the events in order has the table, and each image
// before is what the events had led to.
func TestEventsReplayToTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		store, err := memory.Open(nil)
		require.NoError(t, err)
		defer store.Close()
		db, err := tito.Open(ctx, store, nil, tickets, clerks)
		require.NoError(t, err)
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rec := rapid.Custom(func(t *rapid.T) *ticket {
			return &ticket{ID: ids.Draw(t, "id"), Code: ids.Draw(t, "code"), State: ids.Draw(t, "state")}
		})
		recs := rapid.SliceOfN(rec, 0, 3)
		regret, writes := errors.New("regret"), 0
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			commits := rapid.Bool().Draw(t, "commits")
			done := 0
			err := db.Update(ctx, func(tx *tito.Tx) error {
				for range rapid.IntRange(1, 4).Draw(t, "writes") {
					n, err := drawWrite(ctx, t, tx, rec, recs, ids)
					if err == nil {
						done += n
					} else if !errors.Is(err, tito.ErrNotFound) && !errors.Is(err, tito.ErrExists) &&
						!errors.Is(err, tito.ErrDuplicate) && !errors.Is(err, tito.ErrRepeated) {
						return err
					}
				}
				if !commits {
					return regret
				}
				return nil
			})
			if commits {
				require.NoError(t, err)
				writes += done
			} else {
				require.ErrorIs(t, err, regret)
			}
		}
		table := map[string]*ticket{}
		events := on("ticket.images", published(t, store, ""))
		require.Len(t, events, writes)
		for _, ev := range events {
			c, err := tickets.ParseEvent(ev)
			require.NoError(t, err)
			require.Equal(t, table[c.ID], c.Before)
			require.Equal(t, c.Before == nil, c.Operation == tito.OpInsert)
			if table[c.ID] = c.After; c.After == nil {
				require.Equal(t, tito.OpDelete, c.Operation)
				delete(table, c.ID)
			}
		}
		stored := map[string]*ticket{}
		for rec, err := range tickets.Scan().All(ctx, db) {
			require.NoError(t, err)
			stored[rec.ID] = rec
		}
		require.Equal(t, stored, table)
	})
}

// drawWrite makes one write, and returns how many rows it was of.
func drawWrite(ctx context.Context, t *rapid.T, tx *tito.Tx, rec *rapid.Generator[*ticket], recs *rapid.Generator[[]*ticket], ids *rapid.Generator[string]) (int, error) {
	var err error
	var many []*ticket
	n := 1
	switch rapid.IntRange(0, 8).Draw(t, "write") {
	case 0:
		_, err = tickets.Create(ctx, tx, rec.Draw(t, "record"), nil)
	case 1:
		_, err = tickets.Put(ctx, tx, rec.Draw(t, "record"), nil)
	case 2:
		_, err = tickets.Update(ctx, tx, rec.Draw(t, "record"), nil)
	case 3:
		_, err = tickets.Patch(ctx, tx, ids.Draw(t, "id"), func(r *ticket) error {
			r.Note += "p"
			return nil
		}, nil)
	case 4:
		err = tickets.Delete(ctx, tx, ids.Draw(t, "id"), nil)
	case 5:
		many, err = tickets.CreateMany(ctx, tx, recs.Draw(t, "records"), nil)
		n = len(many)
	case 6:
		many, err = tickets.PutMany(ctx, tx, recs.Draw(t, "records"), nil)
		n = len(many)
	case 7:
		many, err = tickets.UpdateMany(ctx, tx, recs.Draw(t, "records"), nil)
		n = len(many)
	case 8:
		n, err = tickets.DeleteMany(ctx, tx, rapid.SliceOfN(ids, 0, 3).Draw(t, "ids"), nil)
	}
	return n, err
}
