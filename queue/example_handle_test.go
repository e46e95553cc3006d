package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// A handle to a group tells how far the group is.
func ExampleGroup_Stats() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"}, queue.Message{Topic: "mail", Key: "ada"})
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender",
		TxHandler: func(_ context.Context, _ *kv.Txn, ev *queue.Event) error {
			if ev.Seq == 2 {
				stop()
			}
			return nil
		},
	})

	ctx = context.Background()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"})
	err := store.View(ctx, func(tx *kv.Txn) error {
		for _, group := range []string{"sender", "archive"} {
			s, err := q.Group("mail", group).Stats(ctx, tx)
			if err != nil {
				return err
			}
			fmt.Println(group, "has done", s.Done, "of", s.Events, "and has", s.Lag(), "to do")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// sender has done 2 of 2 and has 1 to do
	// archive has done 0 of 2 and has 3 to do
}

// A handle to a group walks what the group has given up.
func ExampleGroup_DeadLetters() {
	ctx, stop := context.WithCancel(context.Background())
	store, q := openQueue()
	publishAll(ctx, store, q,
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("one")},
		queue.Message{Topic: "mail", Key: "ada", Payload: []byte("two")})
	work(ctx, q, queue.Subscription{
		Topic: "mail", Group: "sender", MaxAttempts: 1,
		Handler: func(_ context.Context, ev *queue.Event) error {
			if ev.Seq == 2 {
				stop()
				return nil
			}
			return errors.New("the mail server is away")
		},
	})

	ctx = context.Background()
	err := store.View(ctx, func(tx *kv.Txn) error {
		for letter, err := range q.Group("mail", "sender").DeadLetters(ctx, tx) {
			if err != nil {
				return err
			}
			ev := letter.Event
			fmt.Println(ev.Topic, ev.Seq, string(ev.Payload), "after", ev.Attempt, "attempt:", letter.Reason)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: mail 1 one after 1 attempt: the mail server is away
}

// A handle to a topic tells how much the topic holds, whoever reads it.
func ExampleTopic_Stats() {
	ctx := context.Background()
	store, q := openQueue()
	publishAll(ctx, store, q, queue.Message{Topic: "mail", Key: "ada"}, queue.Message{Topic: "mail", Key: "bob"})
	err := store.View(ctx, func(tx *kv.Txn) error {
		s, err := q.Topic("mail").Stats(ctx, tx)
		fmt.Println(s.Inbox, "without a position yet,", s.Events, "in the log")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2 without a position yet, 0 in the log
}
