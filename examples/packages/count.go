package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// countGroup is the group that counts packages by section.
const countGroup = "sections"

// counting is a worker that keeps the table of sections up to date with the
// events of packages.
type counting struct {
	db   *tito.DB
	stop context.CancelFunc
	done chan struct{} // closed once the worker has ended
	err  error         // of the worker, to be read then
}

// startCounting runs the worker until ctx ends or end is called.
func startCounting(ctx context.Context, db *tito.DB) (*counting, error) {
	worker, err := db.Queue().Subscribe(queue.Subscription{
		Topic: packageTopic,
		Group: countGroup,
		// One transaction at a time, and a large one: many packages are of few
		// sections, whose counts two transactions would both write.
		Concurrency: 1,
		BatchSize:   1000,
		Durability:  durability(db.Store()),
		TxBatchHandler: func(ctx context.Context, txn *kv.Txn, events []*queue.Event) error {
			return countSections(ctx, db.Tx(txn), events)
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	c := &counting{db: db, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = worker.Run(ctx)
	}()
	return c, nil
}

// countSections applies events to the counts, in the transaction that moves the
// group past them: each counts once. A package that is loaded again is an
// UPDATE, and counts only if it has changed its section.
func countSections(ctx context.Context, tx *tito.Tx, events []*queue.Event) error {
	changes := map[string]int{}
	for _, ev := range events {
		c, err := packages.ParseEvent(ev)
		if err != nil {
			return queue.Cancel(err) // to the dead letters, which wait reports
		}
		if c.Before != nil {
			changes[sectionID(c.Before.Section)]--
		}
		if c.After != nil {
			changes[sectionID(c.After.Section)]++
		}
	}
	maps.DeleteFunc(changes, func(_ string, n int) bool { return n == 0 })
	ids := slices.Sorted(maps.Keys(changes))
	counts, err := sections.GetMany(ctx, tx, ids)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if counts[i] == nil {
			counts[i] = &Section{ID: id}
		}
		counts[i].Packages += changes[id]
	}
	_, err = sections.PutMany(ctx, tx, counts, nil)
	return err
}

// wait returns once every event that has been published is counted.
func (c *counting) wait(ctx context.Context) error {
	for {
		var s queue.Stats
		err := c.db.View(ctx, func(tx *tito.Tx) (err error) {
			s, err = c.db.Queue().Group(packageTopic, countGroup).Stats(ctx, tx.KV())
			return err
		})
		switch {
		case err != nil:
			return err
		case s.Lag() == 0 && s.Dead > 0:
			return fmt.Errorf("%d events could not be counted", s.Dead)
		case s.Lag() == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done:
			return errors.Join(errors.New("the worker has ended"), c.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end lets the worker finish what it has begun.
func (c *counting) end() error {
	c.stop()
	<-c.done
	return c.err
}

// checkSections compares the counts with what the index says, in one snapshot,
// and returns how many sections there are.
func checkSections(ctx context.Context, db *tito.DB) (n int, err error) {
	err = db.View(ctx, func(tx *tito.Tx) error {
		n = 0
		left, err := packages.Count(ctx, tx)
		if err != nil {
			return err
		}
		for s, err := range sections.Scan().All(ctx, tx) {
			if err != nil {
				return err
			}
			there, err := packages.Where(packageBySection.At(s.Name())).Count(ctx, tx)
			if err != nil {
				return err
			}
			if there != s.Packages {
				return fmt.Errorf("section %q: %d packages counted, %d there; has something been loaded without -events?", s.Name(), s.Packages, there)
			}
			if left -= there; there > 0 {
				n++
			}
		}
		if left > 0 {
			return fmt.Errorf("%d packages are of sections without a count; has something been loaded without -events?", left)
		}
		return nil
	})
	return n, err
}
