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

type Invoice struct{ OrderID, Customer string }

var (
	Orders = tito.Define(tito.Schema[Order, string]{
		Table:        "orders",
		ID:           tito.StringID(func(o *Order) *string { return &o.ID }),
		Events:       []tito.Event[Order]{{Topic: "order", After: true}}, // each write publishes what it stored
		PartitionKey: func(o *Order) string { return o.Customer },        // whose events stay in order
	})
	byCustomer = tito.Index("by_customer", tito.String(func(i *Invoice) string { return i.Customer }), nil)
	Invoices   = tito.Define(tito.Schema[Invoice, string]{
		Table:   "invoices",
		ID:      tito.StringID(func(i *Invoice) *string { return &i.OrderID }),
		Indexes: tito.Indexes(byCustomer),
	})
)

func shop(ctx context.Context, store *kv.Store) error {
	db, err := tito.Open(ctx, store, nil, Orders, Invoices)
	if err != nil {
		return err
	}
	err = db.Update(ctx, func(tx *tito.Tx) error { // the row and its event commit together
		_, err := Orders.Create(ctx, tx, &Order{ID: "o1", Customer: "ada"}, nil)
		return err
	})
	if err != nil {
		return err
	}

	working, stop := context.WithCancel(ctx)
	defer stop()
	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: "order",
		Group: "billing",
		TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
			order, err := Orders.ParseEvent(ev)
			if err != nil {
				return err
			}
			txn.OnCommit(stop) // one is enough here
			invoice := &Invoice{OrderID: order.ID, Customer: order.After.Customer}
			_, err = Invoices.Create(ctx, db.Tx(txn), invoice, nil) // so do this row and the group's progress
			return err
		},
	})
	if err != nil {
		return err
	}
	if err := worker.Run(working); err != nil { // until working ends; what has started is finished
		return err
	}

	for invoice, err := range Invoices.Where(byCustomer.Eq("ada")).All(ctx, db) {
		if err != nil {
			return err
		}
		fmt.Println(invoice.Customer, "pays for", invoice.OrderID)
	}
	return nil
}

func Example() {
	store, err := memory.Open(nil) // or pebble.Open(dir, nil) ...: the rest stays as it is
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := shop(context.Background(), store); err != nil {
		log.Fatal(err)
	}
	// Output: ada pays for o1
}
