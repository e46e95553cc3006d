package tito_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

type Order struct{ ID, Customer string }

type Invoice struct{ OrderID, Text string }

var (
	Orders = tito.Define(tito.Schema[Order, string]{
		Table:        "orders",
		ID:           tito.StringID(func(o *Order) *string { return &o.ID }),
		Events:       []tito.Event[Order]{{Topic: "order", After: true}}, // of each write, with what it stored
		PartitionKey: func(o *Order) string { return o.Customer },        // whose events stay in order
	})
	Invoices = tito.Define(tito.Schema[Invoice, string]{
		Table: "invoices",
		ID:    tito.StringID(func(i *Invoice) *string { return &i.OrderID }),
	})
)

func Example_events() {
	ctx, stop := context.WithCancel(context.Background())
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, Orders, Invoices)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error { // the row and its event commit together
		_, err := Orders.Create(ctx, tx, &Order{ID: "o1", Customer: "ada"}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: "order",
		Group: "billing",
		TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
			order, err := Orders.Change(ev)
			if err != nil {
				return err
			}
			txn.OnCommit(stop) // one is enough here
			invoice := &Invoice{OrderID: order.ID, Text: "to " + order.After.Customer}
			_, err = Invoices.Create(ctx, db.Join(txn), invoice, nil) // so do this row and the group's progress
			return err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil { // until ctx ends; what has started is finished
		log.Fatal(err)
	}
	invoice, err := Invoices.Get(context.Background(), db, "o1")
	fmt.Println(invoice.Text, err)
	// Output: to ada <nil>
}
