package tito_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// Every write publishes one event to each topic, and says what it did.
func TestEventOperations(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		db := openTickets(t, open, nil)
		write := func(want []string, fn func(ctx context.Context, tx *tito.Tx) error) {
			t.Helper()
			before := len(published(t, db.Store(), ""))
			update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, fn(ctx, tx)) })
			all := published(t, db.Store(), "")[before:]
			for _, topic := range []string{"ticket", "ticket.images"} {
				require.Equal(t, want, lines(t, on(topic, all)), topic)
			}
		}
		rec := func(id, note string) *ticket { return &ticket{ID: id, Code: id, Note: note} }
		write([]string{"INSERT tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.Create(ctx, tx, rec("a", ""), nil)
			return err
		})
		write([]string{"INSERT tickets b"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.Put(ctx, tx, rec("b", ""), nil)
			return err
		})
		for range 2 { // the second time it changes nothing
			write([]string{"UPDATE tickets b"}, func(ctx context.Context, tx *tito.Tx) error {
				_, err := tickets.Put(ctx, tx, rec("b", "put"), nil)
				return err
			})
			write([]string{"UPDATE tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
				_, err := tickets.Update(ctx, tx, rec("a", "updated"), nil)
				return err
			})
			write([]string{"UPDATE tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
				_, err := tickets.Patch(ctx, tx, "a", func(r *ticket) error { r.Note = "patched"; return nil }, nil)
				return err
			})
		}
		write([]string{"DELETE tickets b"}, func(ctx context.Context, tx *tito.Tx) error {
			return tickets.Delete(ctx, tx, "b", nil)
		})
		write([]string{"INSERT tickets b", "INSERT tickets c"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.CreateMany(ctx, tx, []*ticket{rec("b", ""), rec("c", "")}, nil)
			return err
		})
		write([]string{"UPDATE tickets c", "INSERT tickets d", "UPDATE tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.PutMany(ctx, tx, []*ticket{rec("c", ""), rec("d", ""), rec("a", "")}, nil)
			return err
		})
		write([]string{"UPDATE tickets d", "UPDATE tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.UpdateMany(ctx, tx, []*ticket{rec("d", ""), rec("a", "")}, nil)
			return err
		})
		write([]string{"DELETE tickets d", "DELETE tickets a"}, func(ctx context.Context, tx *tito.Tx) error {
			n, err := tickets.DeleteMany(ctx, tx, []string{"d", "none", "a", "d"}, nil)
			require.Equal(t, 2, n)
			return err
		})
		// Each write in a transaction, and its own order.
		write([]string{"INSERT tickets e", "UPDATE tickets e", "DELETE tickets e", "INSERT tickets e"}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.Create(ctx, tx, rec("e", ""), nil)
			require.NoError(t, err)
			_, err = tickets.Put(ctx, tx, rec("e", "2"), nil)
			require.NoError(t, err)
			require.NoError(t, tickets.Delete(ctx, tx, "e", nil))
			_, err = tickets.Put(ctx, tx, rec("e", "3"), nil)
			return err
		})
		write([]string{}, func(ctx context.Context, tx *tito.Tx) error {
			_, err := tickets.PutMany(ctx, tx, nil, nil)
			return err
		})
	})
}

// A topic takes the events of several tables, and tells them apart.
func TestEventTables(t *testing.T) {
	db := openTickets(t, memoryStore, nil)
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := clerks.Create(ctx, tx, &clerk{ID: "p"}, nil)
		require.NoError(t, err)
		_, err = tickets.Create(ctx, tx, &ticket{ID: "t"}, nil)
		require.NoError(t, err)
	})
	all := on("ticket", published(t, db.Store(), ""))
	require.Equal(t, []string{"INSERT clerks p", "INSERT tickets t"}, lines(t, all))
	_, err := tickets.ParseEvent(all[0])
	require.ErrorIs(t, err, tito.ErrEvent)
	require.ErrorContains(t, err, `of table "clerks", not of "tickets"`)
	c, err := clerks.ParseEvent(all[0])
	require.NoError(t, err)
	require.Equal(t, &tito.Change[clerk, string]{Operation: tito.OpInsert, Table: "clerks", ID: "p", Key: "p"}, c)
}

// What did not commit has published nothing, and what did has once.
func TestEventsAreTransactional(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := t.Context()
		db := openTickets(t, open, nil)
		regret := errors.New("regret")
		require.ErrorIs(t, db.Update(ctx, func(tx *tito.Tx) error {
			_, err := tickets.Create(ctx, tx, &ticket{ID: "a"}, nil)
			require.NoError(t, err)
			return regret
		}), regret)
		require.Empty(t, published(t, db.Store(), ""))

		// A write that is refused publishes nothing, although the rest commits.
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.CreateMany(ctx, tx, []*ticket{{ID: "a", Code: "1"}, {ID: "b", Code: "1"}}, nil)
			require.ErrorIs(t, err, tito.ErrDuplicate)
			_, err = tickets.Update(ctx, tx, &ticket{ID: "a"}, nil)
			require.ErrorIs(t, err, tito.ErrNotFound)
			require.ErrorIs(t, tickets.Delete(ctx, tx, "a", nil), tito.ErrNotFound)
		})
		require.Empty(t, published(t, db.Store(), ""))

		// So does one that a savepoint takes back.
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			sp, err := tx.KV().Savepoint()
			require.NoError(t, err)
			_, err = tickets.Create(ctx, tx, &ticket{ID: "a"}, nil)
			require.NoError(t, err)
			require.NoError(t, tx.KV().RollbackTo(sp))
		})
		require.Empty(t, published(t, db.Store(), ""))

		// A closure that is run again publishes once.
		runs := 0
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			runs++
			ok, err := tickets.Exists(ctx, tx, "a")
			require.NoError(t, err)
			if runs == 1 {
				require.False(t, ok)
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := tickets.Put(ctx, tx, &ticket{ID: "a", Note: "first"}, nil)
					require.NoError(t, err)
				})
			}
			_, err = tickets.Put(ctx, tx, &ticket{ID: "a"}, nil)
			require.NoError(t, err)
		})
		require.Equal(t, 2, runs)
		require.Equal(t, []string{"INSERT tickets a", "UPDATE tickets a"}, lines(t, on("ticket", published(t, db.Store(), ""))))
	})
}

// A transaction of the store has rows, events and writes of others in one.
func TestEventsInJoinedTransaction(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := t.Context()
		db := openTickets(t, open, nil)
		regret := errors.New("regret")
		for _, end := range []error{regret, nil} {
			err := db.Store().Update(ctx, func(txn *kv.Txn) error {
				require.NoError(t, txn.Set([]byte("own"), []byte("1")))
				require.NoError(t, db.Queue().Publish(ctx, txn, queue.Message{Topic: "ticket", Payload: []byte("by hand")}))
				_, err := tickets.Create(ctx, db.Tx(txn), &ticket{ID: "a"}, nil)
				require.NoError(t, err)
				_, err = clerks.Create(ctx, db.Tx(txn), &clerk{ID: "p"}, nil)
				require.NoError(t, err)
				return end
			})
			require.ErrorIs(t, err, end)
			if end != nil {
				require.Empty(t, published(t, db.Store(), ""))
			}
		}
		all := on("ticket", published(t, db.Store(), ""))
		require.Len(t, all, 3)
		require.Equal(t, "by hand", string(all[0].Payload))
		require.Equal(t, []string{"INSERT tickets a", "INSERT clerks p"}, lines(t, all[1:]))
		require.Equal(t, "1", dump(t, db.Store(), "")["own"])
	})
}

func TestEventOptions(t *testing.T) {
	db := openTickets(t, memoryStore, nil)
	none := &tito.WriteOptions{NoEvents: true, Metadata: map[string]string{"by": "nobody"}}
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := tickets.Create(ctx, tx, &ticket{ID: "a", Code: "a"}, none)
		require.NoError(t, err)
		_, err = tickets.Put(ctx, tx, &ticket{ID: "a", Code: "a"}, none)
		require.NoError(t, err)
		_, err = tickets.Patch(ctx, tx, "a", func(*ticket) error { return nil }, none)
		require.NoError(t, err)
		_, err = tickets.PutMany(ctx, tx, []*ticket{{ID: "a", Code: "a"}, {ID: "b", Code: "b"}}, none)
		require.NoError(t, err)
		require.NoError(t, tickets.Delete(ctx, tx, "a", none))
		_, err = tickets.DeleteMany(ctx, tx, []string{"b"}, none)
		require.NoError(t, err)
	})
	require.Empty(t, published(t, db.Store(), ""))

	by := &tito.WriteOptions{Metadata: map[string]string{"by": "ada", "trace": ""}}
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		saved, err := tickets.Create(ctx, tx, &ticket{ID: "a"}, by)
		require.NoError(t, err)
		_, err = tickets.Update(ctx, tx, saved, &tito.WriteOptions{Expect: saved.Meta.Revision, Metadata: map[string]string{"n": "1"}})
		require.NoError(t, err)
		_, err = tickets.DeleteMany(ctx, tx, []string{"a"}, by)
		require.NoError(t, err)
		_, err = clerks.Create(ctx, tx, &clerk{ID: "p"}, nil)
		require.NoError(t, err)
	})
	all := on("ticket", published(t, db.Store(), ""))
	require.Len(t, all, 4)
	for i, want := range []map[string]string{by.Metadata, {"n": "1"}, by.Metadata, nil} {
		require.Equal(t, want, all[i].Headers)
		e, err := tito.ParseEvent(all[i])
		require.NoError(t, err)
		require.Equal(t, want, e.Metadata)
	}
	c, err := tickets.ParseEvent(all[0])
	require.NoError(t, err)
	require.Equal(t, by.Metadata, c.Metadata)
}

// Images are the stored records, and nothing that was hydrated.
func TestEventImages(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		db := openTickets(t, open, nil)
		var first, second *ticket
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := clerks.Create(ctx, tx, &clerk{ID: "p", Name: "Ada"}, nil)
			require.NoError(t, err)
			first, err = tickets.Create(ctx, tx, &ticket{ID: "a", Owner: "p", Note: "1", Lead: &clerk{ID: "x", Name: "not to be stored"}}, nil)
			require.NoError(t, err)
		})
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			rec, err := tickets.Get(ctx, tx, "a", ticketLead)
			require.NoError(t, err)
			require.Equal(t, "Ada", rec.Lead.Name)
			rec.Note = "2"
			second, err = tickets.Update(ctx, tx, rec, nil)
			require.NoError(t, err)
		})
		update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, tickets.Delete(ctx, tx, "a", nil)) })
		require.Equal(t, first.Meta.Created, second.Meta.Created)
		require.Greater(t, second.Meta.Revision, first.Meta.Revision)

		all := on("ticket.images", published(t, db.Store(), ""))
		want := []struct {
			op            tito.Operation
			before, after *ticket
		}{{tito.OpInsert, nil, first}, {tito.OpUpdate, first, second}, {tito.OpDelete, second, nil}}
		require.Len(t, all, len(want))
		for i, w := range want {
			c, err := tickets.ParseEvent(all[i])
			require.NoError(t, err)
			require.Equal(t, &tito.Change[ticket, string]{Operation: w.op, Table: "tickets", ID: "a", Before: w.before, After: w.after, Key: "a"}, c)
			require.NotContains(t, string(all[i].Payload), "Ada")
			require.NotContains(t, string(all[i].Payload), "not to be stored")

			e, err := tito.ParseEvent(all[i])
			require.NoError(t, err)
			for rec, image := range map[*ticket]*tito.Image{w.before: e.Before, w.after: e.After} {
				if rec == nil {
					continue // one nil may hide the other, which Change has shown
				}
				require.Equal(t, rec.Meta, image.Meta)
				require.Equal(t, uint8(1), image.Codec)
				require.Contains(t, string(image.Record), `"Note":"`+rec.Note+`"`)
			}
		}
		for _, ev := range on("ticket", published(t, db.Store(), "")) {
			e, err := tito.ParseEvent(ev)
			require.NoError(t, err)
			require.Nil(t, e.Before)
			require.Nil(t, e.After)
		}
	})
}

// The record that a caller goes on to change is not the one in the event.
func TestEventImageIsACopy(t *testing.T) {
	db := openTickets(t, memoryStore, nil)
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		saved, err := tickets.Create(ctx, tx, &ticket{ID: "a", Note: "stored"}, nil)
		require.NoError(t, err)
		saved.Note = "changed"
		_, err = tickets.Create(ctx, tx, &ticket{ID: "b", Code: "b", Note: "another"}, nil) // uses the same memory
		require.NoError(t, err)
	})
	c, err := tickets.ParseEvent(on("ticket.images", published(t, db.Store(), ""))[0])
	require.NoError(t, err)
	require.Equal(t, "stored", c.After.Note)
}

func TestEventWhen(t *testing.T) {
	db := openTickets(t, memoryStore, nil)
	for _, state := range []string{"new", "new", "open", "open", "done"} {
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.Put(ctx, tx, &ticket{ID: "a", State: state}, nil)
			require.NoError(t, err)
		})
	}
	update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, tickets.Delete(ctx, tx, "a", nil)) })
	var states []string
	for _, ev := range on("ticket.state", published(t, db.Store(), "")) {
		c, err := tickets.ParseEvent(ev)
		require.NoError(t, err)
		require.Nil(t, c.Before)
		if c.After != nil {
			states = append(states, c.After.State)
		} else {
			states = append(states, c.Operation.String())
		}
	}
	require.Equal(t, []string{"new", "open", "done", "DELETE"}, states)
	require.Len(t, on("ticket", published(t, db.Store(), "")), 6)
}

// Publishing asks nothing of the driver beyond the rows in the commit.
func TestCostOfEvents(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := t.Context()
		var calls kvfault.Counting
		db := openTickets(t, open, &kv.Options{Wrap: calls.Wrap})
		const topics = 3
		one := kvfault.Counts{BatchGets: 1, Commits: 1, Begins: 1}
		get := kvfault.Counts{Gets: 1, Commits: 1, Begins: 1}
		cost := func(name string, budget kvfault.Counts, rows, writes int, fn func(tx *tito.Tx) error) {
			t.Run(name, func(t *testing.T) {
				budget.Writes = writes + topics*rows
				calls.Expect(t, budget, func() { require.NoError(t, db.Update(ctx, fn)) })
			})
		}
		rec := func(id, state string) *ticket { return &ticket{ID: id, Code: id, State: state} }
		cost("create", one, 1, 2, func(tx *tito.Tx) error { _, err := tickets.Create(ctx, tx, rec("a", "1"), nil); return err })
		cost("put", one, 1, 1, func(tx *tito.Tx) error { _, err := tickets.Put(ctx, tx, rec("a", "2"), nil); return err })
		cost("update", one, 1, 1, func(tx *tito.Tx) error { _, err := tickets.Update(ctx, tx, rec("a", "3"), nil); return err })
		cost("patch", get, 1, 1, func(tx *tito.Tx) error {
			_, err := tickets.Patch(ctx, tx, "a", func(r *ticket) error { r.State = "4"; return nil }, nil)
			return err
		})
		cost("put many", one, 3, 5, func(tx *tito.Tx) error {
			_, err := tickets.PutMany(ctx, tx, []*ticket{rec("a", "5"), rec("b", "1"), rec("c", "1")}, nil)
			return err
		})
		cost("delete", get, 1, 2, func(tx *tito.Tx) error { return tickets.Delete(ctx, tx, "a", nil) })
		cost("delete many", one, 2, 4, func(tx *tito.Tx) error {
			_, err := tickets.DeleteMany(ctx, tx, []string{"b", "c"}, nil)
			return err
		})
		require.Len(t, published(t, db.Store(), ""), topics*10)
	})
}

// An event that is refused leaves the whole call unwritten, and the transaction
// as it was.
func TestLimitsOfEvents(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		db := openTickets(t, open, nil)
		rec := func(id string, size int) *ticket {
			return &ticket{ID: id, Code: id, Note: strings.Repeat("x", size)}
		}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.Create(ctx, tx, rec("half", queue.MaxPayloadSize*2/3), nil)
			require.NoError(t, err)
		})
		before := dump(t, db.Store(), "")
		headers := &tito.WriteOptions{Metadata: map[string]string{"h": strings.Repeat("x", queue.MaxHeaderSize)}}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			refused := func(want error, text string, fn func() error) {
				t.Helper()
				size := tx.KV().Size()
				err := fn()
				require.ErrorIs(t, err, want)
				require.ErrorContains(t, err, text)
				require.Equal(t, size, tx.KV().Size())
			}
			refused(queue.ErrPayloadTooLarge, `table "tickets", row over`, func() error {
				_, err := tickets.CreateMany(ctx, tx, []*ticket{rec("fine", 0), rec("over", queue.MaxPayloadSize)}, nil)
				return err
			})
			refused(queue.ErrPayloadTooLarge, `topic "ticket.images"`, func() error { // two images that fit singly
				_, err := tickets.Patch(ctx, tx, "half", func(*ticket) error { return nil }, nil)
				return err
			})
			refused(queue.ErrMessage, `table "tickets"`, func() error {
				_, err := tickets.Create(ctx, tx, rec("fine", 0), headers)
				return err
			})
			refused(queue.ErrMessage, "headers", func() error { return tickets.Delete(ctx, tx, "half", headers) })
			refused(queue.ErrMessage, "headers", func() error {
				n, err := tickets.DeleteMany(ctx, tx, []string{"half"}, headers)
				require.Zero(t, n)
				return err
			})
			ended, cancel := context.WithCancel(ctx)
			cancel()
			refused(context.Canceled, "", func() error { return tickets.Delete(ended, tx, "half", nil) })
		})
		require.Equal(t, before, dump(t, db.Store(), ""))
		// Without events there is room.
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.Create(ctx, tx, rec("over", queue.MaxPayloadSize), &tito.WriteOptions{NoEvents: true})
			require.NoError(t, err)
		})
	})
}

// A transaction that grew too large cannot commit a row without its event.
func TestEventsInFullTransaction(t *testing.T) {
	const limit = 20_000
	db := openTickets(t, memoryStore, &kv.Options{MaxTxnSize: limit})
	before, errFits := dump(t, db.Store(), ""), errors.New("it fits")
	fits, over := 0, 0
	for size := limit - 3000; size < limit-len("filler"); size += 13 { // every place in a record's writes
		err := db.Update(t.Context(), func(tx *tito.Tx) error {
			require.NoError(t, tx.KV().Set([]byte("filler"), make([]byte, size)))
			_, err := tickets.Create(t.Context(), tx, &ticket{ID: "a"}, nil)
			if err == nil {
				fits++
				return errFits
			}
			over++
			require.ErrorIs(t, err, kv.ErrTxnTooLarge)
			return nil // the caller overlooks it
		})
		if !errors.Is(err, errFits) {
			require.ErrorIs(t, err, kv.ErrTxnTooLarge)
		}
		require.Equal(t, before, dump(t, db.Store(), ""))
	}
	require.Positive(t, fits)
	require.Greater(t, over, 20)
}
