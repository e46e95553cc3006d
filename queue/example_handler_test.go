package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// A plain handler gets each event at least once. Events with one key come in order,
// one after the other.
func ExampleQueue_Subscribe() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q,
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("one")},
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("two")})

	worker, err := q.Subscribe(queue.Subscription{
		Topic: "mail", Group: "sender",
		Handler: func(_ context.Context, ev *queue.Event) error {
			fmt.Println(ev.Seq, ev.Key, string(ev.Payload))
			if ev.Seq == 2 {
				stop()
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 ada one
	// 2 ada two
}

// What a transactional handler writes commits together with the group's progress.
func ExampleQueue_Subscribe_transactional() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada", Payload: []byte("one")})

	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "archive",
		TxHandler: func(_ context.Context, tx *kv.Txn, ev *queue.Event) error {
			tx.OnCommit(stop)
			return tx.Set([]byte("archive/"+ev.Key), ev.Payload)
		},
	})

	ctx = context.Background()
	err := store.View(ctx, func(tx *kv.Txn) error {
		text, err := tx.Get(ctx, []byte("archive/ada"))
		fmt.Println(string(text))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: one
}

// A batch handler gets several events at once, those of one key in order.
func ExampleQueue_Subscribe_batch() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	for range 5 {
		publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"})
	}
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender", BatchSize: 3,
		BatchHandler: func(_ context.Context, events []*queue.Event) error {
			fmt.Println("events", events[0].Seq, "to", events[len(events)-1].Seq)
			if events[len(events)-1].Seq == 5 {
				stop()
			}
			return nil
		},
	})
	// Output:
	// events 1 to 3
	// events 4 to 5
}

// One transaction for many events is what makes a group fast.
func ExampleQueue_Subscribe_transactionalBatch() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	for range 5 {
		publishAll(ctx, store, q, queue.Message{Topic: "visits", Key: "page"})
	}
	work(ctx, q, queue.Subscription{
		Topic: "visits", Group: "counter",
		TxBatchHandler: func(ctx context.Context, tx *kv.Txn, events []*queue.Event) error {
			row, err := tx.Get(ctx, []byte("visits"))
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			visits := 0
			_, _ = fmt.Sscan(string(row), &visits)
			visits += len(events)
			if visits == 5 {
				tx.OnCommit(stop)
			}
			return tx.Set([]byte("visits"), fmt.Append(nil, visits))
		},
	})

	ctx = context.Background()
	err := store.View(ctx, func(tx *kv.Txn) error {
		row, err := tx.Get(ctx, []byte("visits"))
		fmt.Println(string(row), "visits")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 5 visits
}

// A group that begins FromNewest gets what is published after it was made.
func ExampleSubscription_fromNewest() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "news", Key: "k", Payload: []byte("old")})

	worker, err := q.Subscribe(queue.Subscription{
		Topic: "news", Group: "reader", Start: queue.FromNewest,
		Handler: func(_ context.Context, ev *queue.Event) error {
			fmt.Println(string(ev.Payload))
			stop()
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- worker.Run(ctx) }()
	for moved := false; !moved; { // the group is there once the old event has left the inbox
		err := store.View(context.Background(), func(tx *kv.Txn) error {
			s, err := q.Group("news", "reader").Stats(context.Background(), tx)
			moved = s.Events == 1 && s.Done == 1
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	publishAll(context.Background(), store, q, queue.Message{Topic: "news", Key: "k", Payload: []byte("new")})
	if err := <-ran; err != nil {
		log.Fatal(err)
	}
	// Output: new
}

// A program that divides the partitions itself says which ones a worker has.
func ExamplePartitionRange() {
	store, q := openQueue()
	nothing := func(context.Context, *queue.Event) error { return nil }
	_, err := q.Subscribe(queue.Subscription{
		Topic: "mail", Group: "sender", Handler: nothing,
		Partitions: &queue.PartitionRange{From: 0, To: 512},
	})
	fmt.Println(store.Info().Shared, err)
	_, err = q.Subscribe(queue.Subscription{
		Topic: "mail", Group: "sender", Handler: nothing,
		Partitions: &queue.PartitionRange{From: 512, To: 512},
	})
	fmt.Println(err)
	// Output:
	// false <nil>
	// queue: invalid options: Partitions is empty or begins below 0
}

// Run ends without an error when its context does. A worker runs once.
func ExampleWorker_Run() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada", Payload: []byte("one")})
	worker, err := q.Subscribe(queue.Subscription{
		Topic: "mail", Group: "sender",
		Handler: func(_ context.Context, ev *queue.Event) error {
			stop() // what has started is finished all the same
			fmt.Println(string(ev.Payload))
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(worker.Run(ctx))
	fmt.Println(errors.Is(worker.Run(ctx), queue.ErrRunning))
	// Output:
	// one
	// <nil>
	// true
}

// The attempt does not count when a handler asks for a later time.
func ExampleSnooze() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"})
	calls := 0
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender",
		Handler: func(_ context.Context, ev *queue.Event) error {
			calls++
			fmt.Println("call", calls, "attempt", ev.Attempt)
			if calls == 1 {
				return queue.Snooze(time.Millisecond) // the mail server is busy
			}
			stop()
			return nil
		},
	})
	// Output:
	// call 1 attempt 1
	// call 2 attempt 1
}

// A handler that knows when trying again makes sense says so. The attempt counts.
func ExampleRetryAfter() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"})
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender",
		Handler: func(_ context.Context, ev *queue.Event) error {
			fmt.Println("attempt", ev.Attempt)
			if ev.Attempt == 1 {
				return queue.RetryAfter(time.Millisecond, errors.New("the mail server is away"))
			}
			stop()
			return nil
		},
	})
	// Output:
	// attempt 1
	// attempt 2
}

// A handler gives up an event that will not become better.
func ExampleCancel() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q,
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("no address")},
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("two")})
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender",
		Handler: func(_ context.Context, ev *queue.Event) error {
			if string(ev.Payload) == "no address" {
				return queue.Cancel(errors.New("nobody to write to"))
			}
			fmt.Println(string(ev.Payload))
			stop()
			return nil
		},
	})

	ctx = context.Background()
	err := store.View(ctx, func(tx *kv.Txn) error {
		for letter, err := range q.Group("mail", "sender").DeadLetters(ctx, tx) {
			if err != nil {
				return err
			}
			fmt.Println(string(letter.Event.Payload)+":", letter.Reason)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// two
	// no address: nobody to write to
}

// A handler's panic counts as a failed attempt.
func ExamplePanicError() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q,
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("one")},
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("two")})
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender", MaxAttempts: 1,
		Handler: func(_ context.Context, ev *queue.Event) error {
			if ev.Seq == 1 {
				panic("no such server")
			}
			stop()
			return nil
		},
	})

	ctx = context.Background()
	err := store.View(ctx, func(tx *kv.Txn) error {
		for letter, err := range q.Group("mail", "sender").DeadLetters(ctx, tx) {
			if err != nil {
				return err
			}
			fmt.Println(letter.Reason)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: queue: handler panicked: no such server
}
