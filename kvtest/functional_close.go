package kvtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func closeCases() []testCase {
	return []testCase{
		{name: "Close and everything after", run: closeThenUse},
		{name: "Close with open transactions and cursors", run: closeWithOpen},
		{name: "Close waits for a commit", run: closeWaits},
		{name: "Close from many goroutines", run: closeTwice},
		{name: "Close under load", run: closeUnderLoad},
	}
}

func closeThenUse(f *fixture) {
	v := f.put("a", "1")
	f.ok(f.store.Close())
	f.fails(f.store.Close(), kv.ErrClosed)
	for range 2 {
		for _, o := range []*kv.TxnOptions{nil, {ReadOnly: true}} {
			_, err := f.store.Begin(f.ctx, o)
			f.fails(err, kv.ErrClosed)
		}
		never := func(*kv.Txn) error { f.Errorf("a function was run on a closed store"); return nil }
		f.fails(f.store.Update(f.ctx, never), kv.ErrClosed)
		f.fails(f.store.View(f.ctx, never), kv.ErrClosed)
		_, err := f.store.Watermark(f.ctx)
		f.fails(err, kv.ErrClosed)
		f.fails(f.store.WaitDurable(f.ctx, v), kv.ErrClosed)
	}
	require.NotEmpty(f, f.store.Info().Name)
	f.open(nil) // another store is another matter
	f.put("a", "1")
}

func closeWithOpen(f *fixture) {
	f.put("a", "1", "b", "2")
	done := f.begin()
	f.commit(done)
	for _, o := range []*kv.TxnOptions{nil, {ReadOnly: true}} {
		if o != nil {
			f.open(nil)
			f.put("a", "1", "b", "2")
		}
		tx, c, sp := f.opened(o)
		idle, second, other := f.opened(o)
		f.ok(f.store.Close())
		require.NotEmpty(f, unmark(c.Key()), "the current pair is a copy")
		f.allFail(tx, c, sp, kv.ErrClosed)
		f.fails(tx.Commit(f.ctx), kv.ErrClosed)
		tx.Rollback()
		second.Close()
		idle.Rollback()
		f.allFail(idle, second, other, kv.ErrClosed)
	}
	_, err := done.Get(f.ctx, key("a"))
	f.fails(err, kv.ErrTxnDone)
}

// gatedTxn holds commits up between two channels.
type gatedTxn struct {
	kv.DriverTxn
	arrived chan<- struct{}
	release <-chan struct{}
}

func (t *gatedTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	t.arrived <- struct{}{}
	<-t.release
	return t.DriverTxn.Commit(ctx, c)
}

// closeWaits: a commit that has reached the driver succeeds though the store is
// being closed. The guard sees that Close lets the commit end first.
func closeWaits(f *fixture) {
	arrived, release := make(chan struct{}), make(chan struct{})
	f.open(&kv.Options{Wrap: wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		return &gatedTxn{t, arrived, release}
	})})
	tx := f.begin()
	f.set(tx, "a", "1")
	committed, closed := make(chan error, 1), make(chan error, 1)
	go func() { committed <- tx.Commit(f.ctx) }()
	<-arrived
	go func() { closed <- f.store.Close() }()
	for { // until Close has begun
		other, err := f.store.Begin(f.ctx, nil)
		if err != nil {
			f.fails(err, kv.ErrClosed)
			break
		}
		other.Rollback()
	}
	select {
	case err := <-closed:
		f.Errorf("Close returned while a commit was under way")
		closed <- err
	default:
	}
	close(release)
	f.ok(<-committed)
	f.ok(<-closed)
	require.NotZero(f, tx.CommitVersion())
}

func closeTwice(f *fixture) {
	f.put("a", "1")
	f.opened(nil)
	results := make(chan error)
	const n = 8
	for range n {
		go func() { results <- f.store.Close() }()
	}
	won := 0
	for range n {
		if err := <-results; err == nil {
			won++
		} else {
			f.fails(err, kv.ErrClosed)
		}
	}
	require.Equal(f, 1, won)
}

// closeUnderLoad closes a store that others are using. Each call of theirs
// succeeds or says that the store is closed.
func closeUnderLoad(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	var workers sync.WaitGroup
	work := []func(i int) error{
		func(i int) error {
			return f.store.Update(f.ctx, func(tx *kv.Txn) error {
				return tx.Set(key(fmt.Sprint("w", i%10)), val("v"))
			})
		},
		func(int) error {
			return f.store.View(f.ctx, func(tx *kv.Txn) error {
				for _, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
					if err != nil {
						return err
					}
				}
				_, err := tx.BatchGet(f.ctx, keys("a", "b"))
				return err
			})
		},
		func(int) error {
			tx, err := f.store.Begin(f.ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			c, err := tx.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: true})
			if err != nil {
				return err
			}
			defer c.Close()
			for c.Next(f.ctx) {
				if len(c.Key()) == 0 {
					return errors.New("a cursor without a key")
				}
			}
			return c.Err()
		},
		func(int) error {
			_, err := f.store.Watermark(f.ctx)
			if err != nil {
				return err
			}
			return f.store.WaitDurable(f.ctx, 0)
		},
	}
	const busy = 3 // calls of each worker before the store is closed
	started := make(chan struct{}, 2*len(work))
	results := make(chan error, 2*len(work))
	for range 2 {
		for _, do := range work {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for i := 0; ; i++ {
					err := do(i)
					if i == busy || err != nil && i < busy {
						started <- struct{}{}
					}
					if err != nil {
						results <- err
						return
					}
				}
			}()
		}
	}
	for range cap(started) {
		<-started
	}
	f.ok(f.store.Close())
	workers.Wait()
	close(results)
	for err := range results {
		f.fails(err, kv.ErrClosed)
	}
}

// contextCases are the calls that take a context.
func contextCases() []testCase {
	return []testCase{
		{name: "contexts that have ended", run: endedContexts},
		{name: "Commit with a context that has ended", run: endedContextCommit},
		{name: "the cause of a context's end", run: contextCause},
	}
}

func (f *fixture) cancelled() context.Context {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	return ctx
}

func endedContexts(f *fixture) {
	v := f.put("a", "1", "b", "2")
	ctx := f.cancelled()
	for _, o := range []*kv.TxnOptions{nil, {ReadOnly: true}} {
		_, err := f.store.Begin(ctx, o)
		f.fails(err, context.Canceled)
		never := func(*kv.Txn) error { f.Errorf("a function was run for an ended context"); return nil }
		f.fails(f.store.Run(ctx, o, never), context.Canceled)
	}
	_, err := f.store.Watermark(ctx)
	f.fails(err, context.Canceled)
	f.fails(f.store.WaitDurable(ctx, v), context.Canceled)

	tx := f.begin()
	f.set(tx, "c", "3")
	_, err = tx.Get(ctx, key("a"))
	f.fails(err, context.Canceled)
	_, err = tx.Has(ctx, key("a"))
	f.fails(err, context.Canceled)
	_, err = tx.BatchGet(ctx, keys("a", "b"))
	f.fails(err, context.Canceled)
	f.fails(tx.DeleteRange(ctx, kv.Range{}), context.Canceled)
	f.fails(tx.Lock(ctx, key("a")), context.Canceled)
	_, err = tx.Cursor(ctx, kv.Range{}, nil)
	f.fails(err, context.Canceled)
	yields := 0
	for _, err := range tx.Scan(ctx, kv.Range{}, nil) {
		yields++
		f.fails(err, context.Canceled)
	}
	require.Equal(f, 1, yields)
	for _, move := range []func(c *kv.Cursor) bool{
		func(c *kv.Cursor) bool { return c.Next(ctx) },
		func(c *kv.Cursor) bool { return c.Seek(ctx, key("a")) },
	} {
		c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
		f.ok(err)
		require.False(f, move(c))
		f.fails(c.Err(), context.Canceled)
		require.False(f, c.Next(f.ctx), "the error is the end")
		c.Close()
	}
	require.Equal(f, []string{"a=1", "b=2", "c=3"}, f.scan(tx), "the transaction goes on")
	f.commit(tx)
	require.Equal(f, []string{"a=1", "b=2", "c=3"}, f.contents())

	ctx, cancel := context.WithCancel(f.ctx) // ends during a scan
	defer cancel()
	yields = 0
	for _, err := range f.view().Scan(ctx, kv.Range{}, &kv.ScanOptions{PageSize: 1}) {
		if yields++; yields == 1 {
			f.ok(err)
			cancel()
			continue
		}
		f.fails(err, context.Canceled)
	}
	require.Equal(f, 2, yields)
}

func endedContextCommit(f *fixture) {
	tx := f.begin()
	f.set(tx, "a", "1")
	tx.OnCommit(func() { f.Errorf("an OnCommit ran without a commit") })
	err := tx.Commit(f.cancelled())
	f.fails(err, context.Canceled)
	require.NotErrorIs(f, err, kv.ErrCommitUnknown, "nothing was sent")
	f.fails(tx.Commit(f.ctx), kv.ErrTxnDone)
	require.Empty(f, f.contents())

	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	attempts := 0
	f.fails(f.store.Update(ctx, func(tx *kv.Txn) error {
		attempts++
		f.set(tx, "a", "1")
		cancel()
		return nil
	}), context.Canceled)
	require.Equal(f, 1, attempts)
	require.Empty(f, f.contents())
}

func contextCause(f *fixture) {
	cause := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(f.ctx)
	cancel(cause)
	_, err := f.store.Begin(ctx, nil)
	f.fails(err, context.Canceled)
	f.fails(err, cause)
	_, err = f.begin().Get(ctx, key("a"))
	f.fails(err, context.Canceled)
	f.fails(err, cause)
}
