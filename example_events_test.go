package tito_test

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

type Invoice struct{ OrderID, Customer string }

var Invoices = tito.Define(tito.Schema[Invoice, string]{
	Table: "invoices",
	ID:    tito.StringID(func(i *Invoice) *string { return &i.OrderID }),
})

// bill writes an invoice for each new order until ctx ends, and calls billed after each.
func bill(ctx context.Context, db *tito.DB, billed func()) error {
	worker, err := Orders.Consume(db, queue.Subscription{Topic: "order", Group: "billing"},
		func(ctx context.Context, tx *tito.Tx, order *tito.Change[Order, string]) error {
			if order.Operation != tito.OpInsert {
				return nil
			}
			tx.KV().OnCommit(billed)
			invoice := &Invoice{OrderID: order.ID, Customer: order.After.Customer}
			_, err := Invoices.Create(ctx, tx, invoice, nil) // commits with the group's progress
			return err
		})
	if err != nil {
		return err
	}
	return worker.Run(ctx) // when ctx ends, it finishes what it has started
}

func Example_events() {
	ctx := context.Background()
	store, err := memory.Open(nil)
	check(err)
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, Orders, Invoices)
	check(err)
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := Orders.Create(ctx, tx, &Order{ID: "o1", Customer: "ada"}, nil)
		return err
	})
	check(err)

	working, stop := context.WithCancel(ctx)
	defer stop()
	check(bill(working, db, stop)) // one order is enough here

	invoice, err := Invoices.Get(ctx, db, "o1")
	check(err)
	fmt.Println(invoice.Customer, "pays for", invoice.OrderID)
	// Output: ada pays for o1
}
