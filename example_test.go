package tito_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

type Order struct{ ID, Customer string }

var byCustomer = tito.Index("by_customer", tito.String(func(o *Order) string { return o.Customer }), nil)
var Orders = tito.Define(tito.Schema[Order, string]{
	Table:   "orders",
	ID:      tito.StringID(func(o *Order) *string { return &o.ID }),
	Indexes: tito.Indexes(byCustomer),
	Events:  []tito.Event[Order]{{Topic: "order", After: true}}, // each write publishes what it stored
})

func Example() {
	ctx := context.Background()
	store, err := memory.Open(nil) // or pebble.Open, bolt.Open, tikv.Open: the rest stays as it is
	check(err)                     // log.Fatal unless err is nil
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, Orders)
	check(err)
	err = db.Update(ctx, func(tx *tito.Tx) error { // the row, its index entry and its event commit together
		_, err := Orders.Create(ctx, tx, &Order{ID: "o1", Customer: "ada"}, nil)
		return err
	})
	check(err)
	for order, err := range Orders.Where(byCustomer.Eq("ada")).All(ctx, db) {
		check(err)
		fmt.Println(order.ID)
	}
	// Output: o1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
