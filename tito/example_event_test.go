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

// Parcel is a model whose writes publish events, those of one city in order.
type Parcel struct {
	ID    string
	City  string
	State string
}

// Tally counts the parcels of a city that have arrived.
type Tally struct {
	City    string
	Arrived int
}

var (
	parcels = tito.Define(tito.Schema[Parcel, string]{
		Table:        "parcels",
		ID:           tito.StringID(func(p *Parcel) *string { return &p.ID }),
		Events:       []tito.Event[Parcel]{{Topic: "parcel", After: true}},
		PartitionKey: func(p *Parcel) string { return p.City },
	})
	tallies = tito.Define(tito.Schema[Tally, string]{
		Table: "tallies",
		ID:    tito.StringID(func(t *Tally) *string { return &t.City }),
	})
)

func openParcels(ctx context.Context) *tito.DB {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := tito.Open(ctx, store, nil, parcels, tallies)
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// What a transactional handler writes through DB.Tx commits together with the
// group's progress: each event takes effect exactly once.
func ExampleTable_ParseEvent() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db := openParcels(ctx)

	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: "parcel",
		Group: "tally",
		TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
			change, err := parcels.ParseEvent(ev)
			if err != nil {
				return queue.Cancel(err) // it will not become better
			}
			fmt.Println(change.Operation, change.ID, change.After.City, change.After.State, change.Metadata)
			if change.Operation == tito.OpInsert {
				return nil
			}
			txn.OnCommit(stop) // this was the last one; a server goes on
			_, err = tallies.Put(ctx, db.Tx(txn), &Tally{City: change.Key, Arrived: 1}, nil)
			return err
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := parcels.Create(ctx, tx, &Parcel{ID: "p1", City: "Porto", State: "sent"}, &tito.WriteOptions{Metadata: map[string]string{"by": "ada"}})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := parcels.Update(ctx, tx, &Parcel{ID: "p1", City: "Porto", State: "arrived"}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
	t, err := tallies.Get(context.Background(), db, "Porto")
	fmt.Println(t.City, t.Arrived, err)
	// Output:
	// INSERT p1 Porto sent map[by:ada]
	// UPDATE p1 Porto arrived map[]
	// Porto 1 <nil>
}

// A worker of a table gets its events with their types. What it writes through tx
// commits together with the group's progress: each event takes effect exactly once.
func ExampleTable_Consume() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db := openParcels(ctx)

	worker, err := parcels.Consume(db, queue.Subscription{Topic: "parcel", Group: "arrivals"},
		func(ctx context.Context, tx *tito.Tx, c *tito.Change[Parcel, string]) error {
			if c.Operation != tito.OpInsert {
				return nil
			}
			tx.KV().OnCommit(stop)
			_, err := tallies.Put(ctx, tx, &Tally{City: c.After.City, Arrived: 1}, nil)
			return err
		})
	if err != nil {
		log.Fatal(err)
	}

	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := parcels.Create(ctx, tx, &Parcel{ID: "p1", City: "Porto"}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
	t, err := tallies.Get(context.Background(), db, "Porto")
	fmt.Println(t.City, t.Arrived, err)
	// Output: Porto 1 <nil>
}

// A consumer that serves many tables reads events without their models.
func ExampleParseEvent() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db := openParcels(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		_, err := parcels.Create(ctx, tx, &Parcel{ID: "p1", City: "Porto"}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: "parcel",
		Group: "audit",
		Handler: func(_ context.Context, ev *queue.Event) error {
			defer stop()
			e, err := tito.ParseEvent(ev)
			if err != nil {
				return err
			}
			fmt.Printf("%v of %s in %s: %s\n", e.Operation, e.ID, e.Table, e.After.Record)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: INSERT of p1 in parcels: {"ID":"p1","City":"Porto","State":""}
}

// Messages that are not of a row go through the queue itself, in the same
// transaction.
func ExampleDB_Queue() {
	ctx := context.Background()
	db := openParcels(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := parcels.Create(ctx, tx, &Parcel{ID: "p1"}, &tito.WriteOptions{NoEvents: true}); err != nil {
			return err
		}
		return db.Queue().Publish(ctx, tx.KV(), queue.Message{Topic: "mail", Key: "ada", Payload: []byte("it is on its way")})
	})
	if err != nil {
		log.Fatal(err)
	}
	err = db.View(ctx, func(tx *tito.Tx) error {
		for _, topic := range []string{"mail", "parcel"} {
			s, err := db.Queue().Group(topic, "any").Stats(ctx, tx.KV())
			if err != nil {
				return err
			}
			fmt.Println(topic, s.Lag())
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// mail 1
	// parcel 0
}
