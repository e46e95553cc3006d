package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/queue"
)

// openQueue returns a store and a queue in it.
func openQueue() (*kv.Store, *queue.Queue) {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	q, err := queue.Open(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	return store, q
}

// publishAll publishes messages in one transaction.
func publishAll(ctx context.Context, store *kv.Store, q *queue.Queue, messages ...queue.Message) {
	err := store.Update(ctx, func(tx *kv.Txn) error { return q.Publish(ctx, tx, messages...) })
	if err != nil {
		log.Fatal(err)
	}
}

// work runs a worker until the handler that it was subscribed with calls stop.
func work(ctx context.Context, q *queue.Queue, s queue.Subscription) {
	worker, err := q.Subscribe(s)
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// An order and its event exist together, or not at all. The invoice is written in
// the transaction that says that the event is done, so there is one, whatever
// crashes.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	q, err := queue.Open(store, nil)
	if err != nil {
		log.Fatal(err)
	}

	err = store.Update(ctx, func(tx *kv.Txn) error {
		if err := tx.Set([]byte("order/1"), []byte("two chairs")); err != nil {
			return err
		}
		return q.Publish(ctx, tx, queue.Message{Topic: "orders", Key: "ada", Payload: []byte("order/1")})
	})
	if err != nil {
		log.Fatal(err)
	}

	worker, err := q.Subscribe(queue.Subscription{
		Topic: "orders", Group: "billing",
		TxHandler: func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error {
			order, err := tx.Get(ctx, ev.Payload)
			if err != nil {
				return err
			}
			tx.OnCommit(stop)
			return tx.Set([]byte("invoice/1"), fmt.Appendf(nil, "%s owes for %s", ev.Key, order))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}

	ctx = context.Background()
	err = store.View(ctx, func(tx *kv.Txn) error {
		invoice, err := tx.Get(ctx, []byte("invoice/1"))
		fmt.Println(string(invoice))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: ada owes for two chairs
}

// A queue lives beside other data of the store, under a prefix of its own.
func ExampleOpen() {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = queue.Open(store, &queue.Options{Prefix: []byte("shop/"), Partitions: 64})
	fmt.Println(err)
	_, err = queue.Open(store, &queue.Options{Partitions: 10})
	fmt.Println(errors.Is(err, queue.ErrOptions), err)
	// Output:
	// <nil>
	// true queue: invalid options: Partitions is not a multiple of 16 up to 16384
}

// What a transaction publishes exists if and only if the transaction commits.
func ExampleQueue_Publish() {
	ctx := context.Background()
	store, q := openQueue()
	mail := func(text string) queue.Message {
		return queue.Message{Topic: "mail", Key: "ada", Payload: []byte(text), Headers: map[string]string{"type": "text/plain"}}
	}

	err := store.Update(ctx, func(tx *kv.Txn) error { return q.Publish(ctx, tx, mail("one"), mail("two")) })
	fmt.Println(err)
	err = store.Update(ctx, func(tx *kv.Txn) error {
		if err := q.Publish(ctx, tx, mail("three")); err != nil {
			return err
		}
		return errors.New("the shop is closed")
	})
	fmt.Println(err)
	err = store.Update(ctx, func(tx *kv.Txn) error { return q.Publish(ctx, tx, queue.Message{Key: "ada"}) })
	fmt.Println(errors.Is(err, queue.ErrMessage), err)

	err = store.View(ctx, func(tx *kv.Txn) error {
		s, err := q.Topic("mail").Stats(ctx, tx)
		fmt.Println(s.Inbox)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil>
	// the shop is closed
	// true queue: invalid message: no topic
	// 2
}

// A message with the same Unique as an earlier one is dropped, without an error.
func ExampleMessage_unique() {
	ctx := context.Background()
	store, q := openQueue()
	for range 3 { // a client that tries again
		publishAll(ctx, store, q, queue.Message{Topic: "payments", Key: "ada", Unique: "payment-17", Payload: []byte("5 EUR")})
	}
	err := store.View(ctx, func(tx *kv.Txn) error {
		s, err := q.Topic("payments").Stats(ctx, tx)
		fmt.Println(s.Inbox)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1
}
