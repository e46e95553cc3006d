package tito_test

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/kv"
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
	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: "order",
		Group: "billing",
		TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
			order, err := Orders.ParseEvent(ev)
			if err != nil || order.Operation != tito.OpInsert {
				return err
			}
			txn.OnCommit(billed)
			invoice := &Invoice{OrderID: order.ID, Customer: order.After.Customer}
			_, err = Invoices.Create(ctx, db.Tx(txn), invoice, nil) // commits with the group's progress
			return err
		},
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
