package main

import "github.com/tito-db/tito-go/tito"

// Order is the model. Each write of one publishes an event to the topic
// "order", and those of one customer stay in order.
type Order struct {
	ID       string
	Customer string
	State    string
}

// Line is what the workers make of an event. Its id is the event's place in
// its customer's history.
type Line struct {
	ID   string
	Text string
}

// History counts the lines of a customer.
type History struct {
	Customer string
	Lines    int
}

const topic = "order"

var (
	orders = tito.Define(tito.Schema[Order, string]{
		Table:        "orders",
		ID:           tito.StringID(func(o *Order) *string { return &o.ID }),
		Events:       []tito.Event[Order]{{Topic: topic, After: true}},
		PartitionKey: func(o *Order) string { return o.Customer },
	})

	histories = tito.Define(tito.Schema[History, string]{
		Table: "histories",
		ID:    tito.StringID(func(h *History) *string { return &h.Customer }),
	})

	lines = tito.Define(tito.Schema[Line, string]{
		Table: "lines",
		ID:    tito.StringID(func(l *Line) *string { return &l.ID }),
	})
)
