// Command queue_fifo shows the event queue: rows that publish events as they
// are written, partitions that keep a customer's events in order, workers that
// share them, a retry, and an orderly end.
//
//	go run ./examples/queue_fifo
//
// Read model.go, then main.go, each from top to bottom.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

func main() {
	// The first signal ends ctx, and with it the workers; what they have begun
	// they finish.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := memory.Open(nil)
	if err == nil {
		err = errors.Join(run(ctx, store, os.Stdout), store.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, store *kv.Store, out io.Writer) error {
	db, err := tito.Open(ctx, store, nil, orders, histories, lines)
	if err != nil {
		return err
	}
	s := shop{db: db, out: out}
	if err := s.sell(ctx); err != nil {
		return err
	}
	if err := s.work(ctx); err != nil {
		return err
	}
	return s.report(context.WithoutCancel(ctx)) // also after a signal
}

type shop struct {
	db  *tito.DB
	out io.Writer
}

var (
	customers = []string{"ada", "bob", "eve", "kim", "max"}
	states    = []string{"placed", "paid", "sent"}
	groups    = []string{"history", "tax"}
)

// sell takes two orders of each customer through their states. Every write
// publishes its event in its own transaction.
func (s *shop) sell(ctx context.Context) error {
	for _, number := range []string{"1", "2"} {
		for _, state := range states {
			for _, c := range customers {
				err := s.db.Update(ctx, func(tx *tito.Tx) error {
					_, err := orders.Put(ctx, tx, &Order{ID: c + "-" + number, Customer: c, State: state}, nil)
					return err
				})
				if err != nil {
					return err
				}
			}
		}
	}
	// An event exists if and only if its transaction commits. This one does not.
	errRegret := errors.New("not today")
	err := s.db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := orders.Create(ctx, tx, &Order{ID: "ada-3", Customer: "ada", State: "placed"}, nil); err != nil {
			return err
		}
		return errRegret
	})
	if !errors.Is(err, errRegret) {
		return err
	}
	stats, err := s.stats(ctx, "history")
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "published %d events of %d customers\n", stats.Lag(), len(customers))
	return nil
}

// work runs three workers until all is done or ctx ends: two of the group
// "history", which share its 1024 partitions, and one of the group "tax", which
// gets every event too. On a store that processes share, workers find each
// other and need no Partitions; in one process, one worker with more
// Concurrency does the same. Programs that elect a process themselves give
// Subscription.Leader a function that tells whether it is this one.
func (s *shop) work(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	waiting := 0 // for each group all events, less what a call before this has done
	for _, group := range groups {
		stats, err := s.stats(context.WithoutCancel(ctx), group)
		if err != nil {
			return err
		}
		waiting += int(stats.Lag())
	}
	left := &countdown{left: waiting, end: stop}

	clerk := queue.Subscription{
		Topic:       topic,
		Group:       "history",
		Concurrency: 5,                // partitions at a time
		MinBackoff:  time.Millisecond, // before a retry, then twice as long
		TxHandler: func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
			txn.OnCommit(left.done) // runs if, and after, the transaction commits
			return s.remember(ctx, txn, ev)
		},
	}
	first, second := clerk, clerk
	first.Partitions = &queue.PartitionRange{From: 0, To: 512}
	second.Partitions = &queue.PartitionRange{From: 512, To: 1024}
	tax := queue.Subscription{
		Topic: topic,
		Group: "tax",
		Handler: func(_ context.Context, _ *queue.Event) error { // plain: for effects outside of the store
			left.done()
			return nil
		},
	}

	var running sync.WaitGroup
	subscriptions := []queue.Subscription{first, second, tax}
	errs := make([]error, len(subscriptions))
	for i, sub := range subscriptions {
		worker, err := s.db.Queue().Subscribe(sub)
		if err != nil {
			stop()
			running.Wait()
			return err
		}
		running.Go(func() {
			defer stop() // one that fails takes the others with it
			errs[i] = worker.Run(ctx)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// remember adds a line to the customer's history. It reads and writes in the
// transaction that moves the group on: each event is one line, exactly once.
func (s *shop) remember(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
	change, err := orders.ParseEvent(ev)
	if err != nil {
		return queue.Cancel(err) // to the dead letters: it will not become better
	}
	if change.ID == "eve-1" && change.After.State == "paid" && ev.Attempt == 1 {
		return errors.New("the bank does not answer") // it comes again, and eve's later events wait
	}
	tx := s.db.Tx(txn)
	h, err := histories.Get(ctx, tx, change.Key)
	if errors.Is(err, tito.ErrNotFound) {
		h, err = &History{Customer: change.Key}, nil
	}
	if err != nil {
		return err
	}
	h.Lines++
	if _, err := histories.Put(ctx, tx, h, nil); err != nil {
		return err
	}
	text := fmt.Sprintf("%v %s %s", change.Operation, change.ID, change.After.State)
	if ev.Attempt > 1 {
		text += fmt.Sprintf(", at attempt %d", ev.Attempt)
	}
	_, err = lines.Create(ctx, tx, &Line{ID: fmt.Sprintf("%s/%02d", change.Key, h.Lines), Text: text}, nil)
	return err
}

func (s *shop) report(ctx context.Context) error {
	for l, err := range lines.Scan().All(ctx, s.db) { // by id: customer by customer, in order
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s  %s\n", l.ID, l.Text)
	}
	for _, group := range groups {
		stats, err := s.stats(ctx, group)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %d done, %d waiting, %d dead\n", group, stats.Done, stats.Lag(), stats.Dead)
	}
	return nil
}

func (s *shop) stats(ctx context.Context, group string) (stats queue.Stats, err error) {
	err = s.db.View(ctx, func(tx *tito.Tx) error {
		stats, err = s.db.Queue().Group(topic, group).Stats(ctx, tx.KV())
		return err
	})
	return stats, err
}

// countdown calls a function when done has been called so many times.
type countdown struct {
	mu   sync.Mutex // over left
	left int
	end  func()
}

func (c *countdown) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.end()
	}
}
