package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// bubble is a queue on a memory store in a bubble of testing/synctest, where
// time passes when everything waits.
type bubble struct {
	testing.TB
	store *kv.Store
	calls kvfault.Counting
	q     *queue.Queue

	mu  sync.Mutex
	saw []seen
}

// seen is one call of a handler for an event.
type seen struct {
	payload string
	attempt int
	batch   int           // events in the call
	at      time.Duration // since the bubble began
}

var bubbleBegins = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // says testing/synctest

func inBubble(t *testing.T, o *queue.Options, fn func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{TB: t}
		b.store = queue.MemoryStore(t, &kv.Options{Wrap: b.calls.Wrap})
		var err error
		b.q, err = queue.Open(b.store, o)
		require.NoError(t, err)
		fn(b)
		require.Zero(t, b.calls.OpenTxns())
		require.Zero(t, b.calls.OpenCursors())
	})
}

// inOneProcess is inBubble for one process of those that may share a store, with calls
// of the store that fail on request.
func inOneProcess(t *testing.T, shared bool, o *queue.Options, fn func(b *bubble, faults *kvfault.Faulty)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, queue.MemoryStore)
		e.shared = shared
		var faults kvfault.Faulty
		p := e.process(t, &faults)
		q, err := queue.Open(p.store, o)
		require.NoError(t, err)
		fn(&bubble{TB: t, store: p.store, q: q}, &faults)
		p.end(t)
	})
}

func (b *bubble) publish(key string, payloads ...string) {
	b.Helper()
	for _, p := range payloads {
		publish(b, b.store, b.q, queue.Message{Topic: "topic", Key: key, Payload: []byte(p)})
	}
}

// saw notes that a handler was called.
func (b *bubble) note(evs ...*queue.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range evs {
		b.saw = append(b.saw, seen{string(ev.Payload), ev.Attempt, len(evs), time.Since(bubbleBegins)})
	}
}

// calls returns how handlers were called, as "payload/attempt".
func (b *bubble) handled() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, s := range b.saw {
		all = append(all, fmt.Sprintf("%s/%d", s.payload, s.attempt))
	}
	return strings.Join(all, " ")
}

// run runs a worker. The function that it returns ends it and returns what Run did.
func (b *bubble) run(s queue.Subscription) (stop func() error) {
	b.Helper()
	return b.runOn(b.q, s)
}

func (b *bubble) runOn(q *queue.Queue, s queue.Subscription) (stop func() error) {
	b.Helper()
	s.Topic = "topic"
	if s.Group == "" {
		s.Group = "group"
	}
	w, err := q.Subscribe(s)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-ran
	}
}

// pass lets time pass.
func (b *bubble) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (b *bubble) letters() (all []*queue.DeadLetter) {
	b.Helper()
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
		for letter, err := range b.q.Group("topic", "group").DeadLetters(b.Context(), tx) {
			if err != nil {
				return err
			}
			all = append(all, letter)
		}
		return nil
	}))
	return all
}

func (b *bubble) stats() (s queue.Stats) {
	b.Helper()
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) (err error) {
		s, err = b.q.Group("topic", "group").Stats(b.Context(), tx)
		return err
	}))
	return s
}

// each makes a subscription of one kind of handler out of a function for one event.
func each(kind string, fn func(ctx context.Context, ev *queue.Event) error) queue.Subscription {
	all := func(ctx context.Context, evs []*queue.Event) error {
		for _, ev := range evs {
			if err := fn(ctx, ev); err != nil {
				return err
			}
		}
		return nil
	}
	switch kind {
	case "plain":
		return queue.Subscription{Handler: fn}
	case "tx":
		return queue.Subscription{TxHandler: func(ctx context.Context, _ *kv.Txn, ev *queue.Event) error { return fn(ctx, ev) }}
	case "batch":
		return queue.Subscription{BatchHandler: all}
	}
	return queue.Subscription{TxBatchHandler: func(ctx context.Context, _ *kv.Txn, evs []*queue.Event) error { return all(ctx, evs) }}
}

// eachKind runs fn in a bubble for each kind of handler.
func eachKind(t *testing.T, fn func(b *bubble, kind string)) {
	for _, kind := range handlerKinds {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, nil, func(b *bubble) { fn(b, kind) })
		})
	}
}

// An event that fails comes again, after pauses that double up to a bound, each
// at least half of what it could be; its partition waits. At last it is a dead
// letter, and the partition goes on.
func TestFailureBackoffAndDeadLetter(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		b.publish("k", "bad")
		s := each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			if string(ev.Payload) == "bad" {
				return errHandler
			}
			return nil
		})
		s.MaxAttempts, s.MinBackoff, s.MaxBackoff = 6, time.Second, 8*time.Second
		stop := b.run(s)
		synctest.Wait()
		b.publish("k", "good")
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.Equal(b, "bad/1 bad/2 bad/3 bad/4 bad/5 bad/6 good/1", b.handled())
		for i, bound := range []time.Duration{1, 2, 4, 8, 8} {
			bound *= time.Second
			pause := b.saw[i+1].at - b.saw[i].at
			require.GreaterOrEqual(b, pause, bound/2)
			require.LessOrEqual(b, pause, bound)
		}
		letters := b.letters()
		require.Len(b, letters, 1)
		require.Equal(b, "bad", string(letters[0].Event.Payload))
		require.Equal(b, "k", letters[0].Event.Key)
		require.Equal(b, 6, letters[0].Event.Attempt)
		require.EqualValues(b, 1, letters[0].Event.Seq)
		require.Equal(b, errHandler.Error(), letters[0].Reason)
		require.WithinDuration(b, bubbleBegins.Add(b.saw[5].at), letters[0].At, time.Millisecond)
		require.Equal(b, queue.Stats{Events: 2, Done: 2, Dead: 1}, b.stats())
	})
}

// Attempts and the pause that is left are in the store: a worker that follows
// another goes on with both.
func TestFailureAttemptsOutliveWorker(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		s := each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			return queue.RetryAfter(10*time.Second, errHandler)
		})
		s.MaxAttempts = 3
		b.publish("k", "bad")
		for range 3 {
			q, err := queue.Open(b.store, nil)
			require.NoError(b, err)
			stop := b.runOn(q, s)
			b.pass(7 * time.Second)
			require.NoError(b, stop())
		}
		stop := b.run(s)
		b.pass(20 * time.Second)
		require.NoError(b, stop())
		require.Equal(b, "bad/1 bad/2 bad/3", b.handled())
		require.GreaterOrEqual(b, b.saw[1].at-b.saw[0].at, 10*time.Second-time.Millisecond)
		require.Len(b, b.letters(), 1)
	})
}

func TestFailureOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		first   func() error // of the first two calls
		handled string
		pause   time.Duration // before the second call
		reason  string        // of the dead letter, if it becomes one
	}{
		{"snooze", func() error { return queue.Snooze(50 * time.Second) }, "e/1 e/1 e/1", 50 * time.Second, ""},
		{"snooze wrapped", func() error { return fmt.Errorf("not yet: %w", queue.Snooze(time.Second)) }, "e/1 e/1 e/1", time.Second, ""},
		{"snooze for nothing", func() error { return queue.Snooze(-time.Second) }, "e/1 e/1 e/1", 0, ""},
		{"retry after", func() error { return queue.RetryAfter(70*time.Second, errHandler) }, "e/1 e/2", 70 * time.Second, "handler failed"},
		{"retry after, no reason", func() error { return queue.RetryAfter(time.Second, nil) }, "e/1 e/2", time.Second, "queue: retry after 1s"},
		{"cancel", func() error { return queue.Cancel(errHandler) }, "e/1", 0, "handler failed"},
		{"cancel, no reason", func() error { return queue.Cancel(nil) }, "e/1", 0, "queue: canceled"},
		{"panic", func() error { panic("boom") }, "e/1 e/2", 0, "queue: handler panicked: boom"},
		{"panic with snooze", func() error { panic(queue.Snooze(time.Hour)) }, "e/1 e/2", 0, "queue: handler panicked: queue: snooze for 1h0m0s"},
		{"long reason", func() error { return errors.New(strings.Repeat("x", 5000)) }, "e/1 e/2", 0, strings.Repeat("x", 1024)},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(b *bubble, kind string) {
				s := each(kind, func(_ context.Context, ev *queue.Event) error {
					b.note(ev)
					if len(b.saw) <= 2 {
						return c.first()
					}
					return nil
				})
				s.MaxAttempts = 2
				b.publish("k", "e")
				stop := b.run(s)
				b.pass(2 * time.Minute)
				require.NoError(b, stop())
				require.Equal(b, c.handled, b.handled())
				if c.pause > 0 {
					require.Equal(b, c.pause, b.saw[1].at-b.saw[0].at)
				}
				letters := b.letters()
				if c.reason == "" {
					require.Empty(b, letters)
				} else {
					require.Len(b, letters, 1)
					require.Equal(b, c.reason, letters[0].Reason)
				}
				require.Zero(b, b.stats().Lag())
			})
		})
	}
}

func TestPanicError(t *testing.T) {
	require.ErrorIs(t, &queue.PanicError{Value: errHandler}, errHandler)
	require.NoError(t, (&queue.PanicError{Value: 3}).Unwrap())
	require.EqualError(t, &queue.PanicError{Value: 3}, "queue: handler panicked: 3")
}

// slip is an error that a nil pointer of it makes panic when it is looked at.
type slip struct{ cause error }

func (s *slip) Error() string { return s.cause.Error() }
func (s *slip) Unwrap() error { return s.cause }

// An error that panics when it is looked at fails its event, and not the process.
func TestFailureErrorPanics(t *testing.T) {
	for name, fail := range map[string]func() error{
		"returned": func() error { var s *slip; return s },
		"wrapped":  func() error { return fmt.Errorf("wrapped: %w", queue.Cancel((*slip)(nil))) },
		"panic":    func() error { panic((*slip)(nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(b *bubble, kind string) {
				s := each(kind, func(_ context.Context, ev *queue.Event) error {
					b.note(ev)
					if string(ev.Payload) == "bad" {
						return fail()
					}
					return nil
				})
				s.MaxAttempts = 2
				b.publish("k", "bad")
				stop := b.run(s)
				b.pass(time.Minute)
				b.publish("k", "good")
				b.pass(time.Second)
				require.NoError(b, stop())
				require.Equal(b, "bad/1 bad/2 good/1", b.handled())
				require.Len(b, b.letters(), 1)
				require.Contains(b, b.letters()[0].Reason, "queue: handler panicked: ")
			})
		})
	}
}

// A handler that meets a closed store, another one than the queue's, fails its event
// and does not end the worker.
func TestFailureOtherStoreClosed(t *testing.T) {
	for _, kind := range handlerKinds {
		t.Run(kind, func(t *testing.T) {
			inOneProcess(t, true, nil, func(b *bubble, _ *kvfault.Faulty) {
				s := each(kind, func(_ context.Context, ev *queue.Event) error {
					b.note(ev)
					return fmt.Errorf("another store: %w", kv.ErrClosed)
				})
				s.MaxAttempts = 2
				b.publish("k", "e")
				stop := b.run(s)
				b.pass(time.Minute)
				require.NoError(b, stop())
				require.Equal(b, "e/1 e/2", b.handled())
				require.Len(b, b.letters(), 1)
			})
		})
	}
}

// A transaction that a slow store has made too old is no failure of its event. One
// that took a slow handler is.
func TestFailureTooOld(t *testing.T) {
	for _, kind := range []string{"tx", "txbatch"} {
		for takes, handled := range map[time.Duration]string{
			4 * time.Second: "e/1 e/1 e/1 e/1",
			6 * time.Second: "e/1 e/2",
		} {
			t.Run(fmt.Sprint(kind, takes), func(t *testing.T) {
				inOneProcess(t, false, nil, func(b *bubble, faults *kvfault.Faulty) {
					s := each(kind, func(_ context.Context, ev *queue.Event) error {
						b.note(ev)
						<-time.After(takes)
						if len(b.saw) < 4 {
							faults.Inject(kvfault.Rule{Call: kv.CallCommit, Err: kv.ErrTxnTooOld})
						}
						return nil
					})
					s.MaxAttempts, s.Timeout = 2, 10*time.Second
					b.publish("k", "e")
					stop := b.run(s)
					b.pass(time.Minute)
					require.NoError(b, stop())
					require.Equal(b, handled, b.handled())
					require.Equal(b, takes > s.Timeout/2, len(b.letters()) == 1)
				})
			})
		}
	}
}

// What a handler has had committed is done, also if it panics what is to be done
// after that.
func TestFailureOnCommitPanics(t *testing.T) {
	for _, kind := range []string{"tx", "txbatch"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, nil, func(b *bubble) {
				one := func(tx *kv.Txn, evs ...*queue.Event) error {
					b.note(evs...)
					tx.OnCommit(func() { panic("after the commit") })
					return nil
				}
				s := queue.Subscription{TxHandler: func(_ context.Context, tx *kv.Txn, ev *queue.Event) error { return one(tx, ev) }}
				if kind == "txbatch" {
					s = queue.Subscription{TxBatchHandler: func(_ context.Context, tx *kv.Txn, evs []*queue.Event) error { return one(tx, evs...) }}
				}
				b.publish("k", "1", "2")
				stop := b.run(s)
				b.pass(time.Second)
				b.publish("k", "3")
				b.pass(time.Second)
				require.NoError(b, stop())
				require.Equal(b, "1/1 2/1 3/1", b.handled())
				require.Equal(b, queue.Stats{Events: 3, Done: 3}, b.stats())
			})
		})
	}
}

// A panic of a function that a handler has given to BeforeCommit is the handler's, and
// so is one of an error that such a function returns.
func TestFailureBeforeCommitPanics(t *testing.T) {
	for name, fn := range map[string]func(context.Context) error{
		"panic":      func(context.Context) error { panic(kv.ErrUnavailable) },
		"nil error":  func(context.Context) error { return (*fs.PathError)(nil) },
		"its result": func(context.Context) error { return errors.New("refused") },
	} {
		for _, kind := range []string{"tx", "txbatch"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				inBubble(t, nil, func(b *bubble) {
					one := func(tx *kv.Txn, evs ...*queue.Event) error {
						b.note(evs...)
						if string(evs[0].Payload) == "1" {
							tx.BeforeCommit(fn)
						}
						return nil
					}
					s := queue.Subscription{TxHandler: func(_ context.Context, tx *kv.Txn, ev *queue.Event) error { return one(tx, ev) }}
					if kind == "txbatch" {
						s = queue.Subscription{TxBatchHandler: func(_ context.Context, tx *kv.Txn, evs []*queue.Event) error { return one(tx, evs...) }}
					}
					s.MaxAttempts = 2
					b.publish("k", "1", "2")
					stop := b.run(s)
					b.pass(time.Minute)
					require.NoError(b, stop())
					want := "1/1 1/2 2/1"
					if kind == "txbatch" {
						want = "1/1 2/1 " + want // together at first
					}
					require.Equal(b, want, b.handled())
					require.Len(b, b.letters(), 1)
					require.Equal(b, queue.Stats{Events: 2, Done: 2, Dead: 1}, b.stats())
				})
			})
		}
	}
}

// A panic is a failed attempt, also with an error that would not be one if the
// handler had returned it.
func TestFailurePanicsWithErrorOfStore(t *testing.T) {
	for _, kind := range []string{"tx", "txbatch"} {
		for _, value := range []error{kv.ErrConflict, kv.ErrUnavailable} {
			t.Run(fmt.Sprint(kind, " ", value), func(t *testing.T) {
				inOneProcess(t, true, nil, func(b *bubble, _ *kvfault.Faulty) {
					s := each(kind, func(_ context.Context, ev *queue.Event) error {
						b.note(ev)
						panic(value)
					})
					s.MaxAttempts = 3
					b.publish("k", "e")
					stop := b.run(s)
					b.pass(time.Minute)
					require.NoError(b, stop())
					require.Equal(b, "e/1 e/2 e/3", b.handled())
					require.Len(b, b.letters(), 1)
				})
			})
		}
	}
}

// journal is where a Queue's log goes.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// count counts the lines that hold what.
func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), what)
}

// A worker whose commits all end unknown says so, about once a second, and goes on
// when they do not any more.
func TestUnknownCommitsAreLogged(t *testing.T) {
	for _, kind := range handlerKinds {
		t.Run(kind, func(t *testing.T) {
			var log journal
			inOneProcess(t, true, &queue.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(b *bubble, faults *kvfault.Faulty) {
				b.publish("k", "1")
				var fault *kvfault.Fault
				stop := b.run(each(kind, func(context.Context, *queue.Event) error {
					if fault == nil { // of the commit that follows
						fault = faults.Inject(kvfault.Rule{Call: kv.CallCommit, Every: true, Err: errFault})
					}
					return nil
				}))
				b.pass(time.Minute)
				require.Zero(b, b.stats().Done)
				require.Greater(b, log.count("ended unknown"), 40)
				require.Less(b, log.count("ended unknown"), 100)
				fault.Lift()
				b.pass(5 * time.Second)
				require.EqualValues(b, 1, b.stats().Done)
				require.NoError(b, stop())
			})
		})
	}
}

// With Block an event stays until it succeeds, except when it is canceled.
func TestFailureBlock(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		s := each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			switch {
			case string(ev.Payload) == "cancel":
				return queue.Cancel(errHandler)
			case ev.Attempt < 5:
				return errHandler
			}
			return nil
		})
		s.MaxAttempts, s.Block = 2, true
		b.publish("k", "e")
		stop := b.run(s)
		b.pass(time.Minute)
		b.publish("k", "cancel")
		b.pass(time.Second)
		require.NoError(b, stop())
		require.Equal(b, "e/1 e/2 e/3 e/4 e/5 cancel/1", b.handled())
		require.Len(b, b.letters(), 1)
	})
}

// A handler's context ends with ErrTimeout after Timeout. Whatever it returns
// then is a failed attempt; until it returns its partition waits, while others
// go on. What it writes then is not committed.
func TestFailureTimeout(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		const timeout = 2 * time.Second
		answers := []error{nil, queue.Snooze(time.Hour), queue.Cancel(nil), kv.ErrConflict, errHandler}
		s := each(kind, func(ctx context.Context, ev *queue.Event) error {
			b.note(ev)
			if string(ev.Payload) != "slow" {
				return nil
			}
			deadline, ok := ctx.Deadline()
			require.True(b, ok)
			require.Equal(b, timeout, time.Until(deadline))
			<-ctx.Done()
			require.Equal(b, queue.ErrTimeout, context.Cause(ctx))
			<-time.After(30 * time.Second) // it does not heed its context
			if ev.Attempt > len(answers) {
				return nil
			}
			return answers[ev.Attempt-1]
		})
		s.Timeout, s.MaxAttempts, s.Concurrency, s.MaxBackoff, s.BatchSize = timeout, len(answers), 2, time.Second, 1
		b.publish("k", "slow", "next")
		stop := b.run(s)
		b.pass(time.Second)
		b.publish("other", "other")
		b.pass(10 * time.Second)
		require.Equal(b, "slow/1 other/1", b.handled())
		b.pass(5 * time.Minute)
		require.NoError(b, stop())
		require.Equal(b, "slow/1 other/1 slow/2 slow/3 slow/4 slow/5 next/1", b.handled())
		letters := b.letters()
		require.Len(b, letters, 1)
		require.Equal(b, queue.ErrTimeout.Error()+": handler failed", letters[0].Reason)
	})
}

// A transaction that is used after its handler's timeout fails, and nothing of
// it is committed, also if the handler says that all is well.
func TestFailureTimeoutTransaction(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		late := make(chan error, 10)
		s := queue.Subscription{Timeout: time.Second, MaxAttempts: 2, TxHandler: func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error {
			b.note(ev)
			require.NoError(b, tx.Set([]byte("early"), []byte("x")))
			<-time.After(2 * time.Second)
			_, err := tx.Get(context.WithoutCancel(ctx), []byte("early"))
			late <- err
			return nil
		}}
		b.publish("k", "e")
		stop := b.run(s)
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.Equal(b, "e/1 e/2", b.handled())
		require.ErrorIs(b, <-late, kv.ErrTxnTooOld)
		require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
			has, err := tx.Has(b.Context(), []byte("early"))
			require.False(b, has)
			return err
		}))
		require.Len(b, b.letters(), 1)
	})
}

// When a batch fails its events come again singly, and only that counts; those
// that do not fail are done.
func TestFailureBatchSingly(t *testing.T) {
	for _, kind := range []string{"batch", "txbatch"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, nil, func(b *bubble) {
				all := func(evs []*queue.Event) error {
					b.note(evs...)
					for _, ev := range evs {
						if string(ev.Payload) == "3" {
							return errHandler
						}
					}
					return nil
				}
				s := queue.Subscription{Concurrency: 1, MaxAttempts: 2}
				if kind == "batch" {
					s.BatchHandler = func(_ context.Context, evs []*queue.Event) error { return all(evs) }
				} else {
					s.TxBatchHandler = func(_ context.Context, _ *kv.Txn, evs []*queue.Event) error { return all(evs) }
				}
				b.publish("k", "1", "2", "3", "4", "5")
				stop := b.run(s)
				b.pass(time.Minute)
				require.NoError(b, stop())
				require.Equal(b, "1/1 2/1 3/1 4/1 5/1 1/1 2/1 3/1 3/2 4/1 5/1", b.handled())
				require.Len(b, b.letters(), 1)
				require.Equal(b, 2, b.letters()[0].Event.Attempt)
				require.Zero(b, b.stats().Lag())
			})
		})
	}
}

// A batch whose transaction conflicts is halved, until it does not.
func TestFailureConflictHalves(t *testing.T) {
	inBubble(t, nil, func(b *bubble) {
		var sizes []int
		row := []byte("contended")
		s := queue.Subscription{Concurrency: 1, TxBatchHandler: func(ctx context.Context, tx *kv.Txn, evs []*queue.Event) error {
			sizes = append(sizes, len(evs))
			if len(evs) > 2 {
				require.NoError(b, b.store.Update(ctx, func(tx *kv.Txn) error { return tx.Set(row, []byte("other")) }))
			} else {
				b.note(evs...)
			}
			return tx.Set(row, []byte("mine"))
		}}
		b.publish("k", "1", "2", "3", "4", "5", "6", "7")
		b.publish("l", "8", "9", "10")
		stop := b.run(s)
		b.pass(time.Minute)
		require.NoError(b, stop())
		require.Equal(b, []int{10, 5, 2, 3, 1, 2, 5, 2, 3, 1, 2}, sizes)
		require.Len(b, b.saw, 10)
		for _, x := range b.saw {
			require.Equal(b, 1, x.attempt)
		}
		require.Zero(b, b.stats().Lag())
	})
}

// An event that kills the process that handles it ends as a dead letter; those
// around it are handled, and never blamed.
func TestFailurePoisonKills(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		e := newEngine(b, queue.MemoryStore)
		const maxAttempts = 3
		setUp := e.process(b, &kvfault.Faulty{})
		q, err := queue.Open(setUp.store, nil)
		require.NoError(b, err)
		for i := range 30 {
			payload := fmt.Sprint(i)
			if i == 12 {
				payload = "poison"
			}
			publish(b, setUp.store, q, queue.Message{Topic: "topic", Key: "k", Payload: []byte(payload)})
		}
		setUp.end(b)
		// A death that comes when the floor has just risen is taken for a chance.
		// That can be so each time while what plain handlers have done is not
		// written before the next death.
		atMost := maxAttempts + 3
		if kind == "plain" || kind == "batch" {
			atMost += 12
		}
		done := map[string]bool{}
		deaths := 0
		var log journal
		for {
			var faults kvfault.Faulty
			p := e.process(b, &faults)
			q, err := queue.Open(p.store, &queue.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(b, err)
			died := false
			s := each(kind, func(_ context.Context, ev *queue.Event) error {
				if string(ev.Payload) == "poison" {
					died = true
					faults.Inject(kvfault.Rule{Every: true, Err: kv.ErrClosed})
					return kv.ErrClosed
				}
				done[string(ev.Payload)] = true
				return nil
			})
			s.MaxAttempts, s.Concurrency = maxAttempts, 1
			stop := b.runOn(q, s)
			b.pass(time.Minute)
			err = stop()
			p.end(b)
			if !died {
				require.NoError(b, err)
				break
			}
			deaths++
			require.LessOrEqual(b, deaths, atMost, "it kills for ever")
		}
		require.GreaterOrEqual(b, deaths, maxAttempts)
		require.Len(b, done, 29)
		require.Equal(b, 1, log.count(`event given up" topic=topic group=group partition=174 seq=13 attempts=3 error="queue: process died`))
		q, err = queue.Open(e.store, nil)
		require.NoError(b, err)
		require.NoError(b, e.store.View(b.Context(), func(tx *kv.Txn) error {
			n := 0
			for letter, err := range q.Group("topic", "group").DeadLetters(b.Context(), tx) {
				require.NoError(b, err)
				require.Equal(b, "poison", string(letter.Event.Payload))
				require.Equal(b, queue.ErrDied.Error(), letter.Reason)
				n++
			}
			require.Equal(b, 1, n)
			return nil
		}))
	})
}

// The same when the process dies instead of giving back its partitions.
func TestFailureAttemptsOutliveProcess(t *testing.T) {
	eachKind(t, func(b *bubble, kind string) {
		e := newEngine(b, queue.MemoryStore)
		s := each(kind, func(_ context.Context, ev *queue.Event) error {
			b.note(ev)
			return queue.RetryAfter(10*time.Second, errHandler)
		})
		s.MaxAttempts = 3
		for life := range 4 {
			var faults kvfault.Faulty
			p := e.process(b, &faults)
			q, err := queue.Open(p.store, nil)
			require.NoError(b, err)
			if life == 0 {
				publish(b, p.store, q, queue.Message{Topic: "topic", Key: "k", Payload: []byte("bad")})
			}
			stop := b.runOn(q, s)
			b.pass(7 * time.Second)
			faults.Inject(kvfault.Rule{Every: true, Err: kv.ErrClosed})
			_ = stop() // what a dead process says does not matter
			p.end(b)
		}
		require.Equal(b, "bad/1 bad/2 bad/3", b.handled())
		require.GreaterOrEqual(b, b.saw[1].at-b.saw[0].at, 10*time.Second-time.Millisecond)
		require.GreaterOrEqual(b, b.saw[2].at-b.saw[1].at, 10*time.Second-time.Millisecond)
		q, err := queue.Open(e.store, nil)
		require.NoError(b, err)
		b.store, b.q = e.store, q
		require.Len(b, b.letters(), 1)
	})
}
