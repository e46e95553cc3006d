package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tito-db/tito-go/queue/internal/access"
)

// Snooze makes an event come again after d, when a handler returns it. The
// attempt does not count. A transactional handler's writes are rolled back.
func Snooze(d time.Duration) error { return &outcome{kind: snooze, delay: d} }

// Cancel gives up an event at once, when a handler returns it: it becomes a
// dead letter with err as its reason, also under Subscription.Block.
func Cancel(err error) error { return &outcome{kind: cancel, err: err} }

// RetryAfter is a failure that is tried again after d instead of the backoff,
// when a handler returns it: the attempt counts.
func RetryAfter(d time.Duration, err error) error {
	return &outcome{kind: retryAfter, delay: d, err: err}
}

// outcome is what Snooze, Cancel and RetryAfter return.
type outcome struct {
	kind  outcomeKind
	delay time.Duration
	err   error
}

type outcomeKind uint8

const (
	snooze outcomeKind = iota
	cancel
	retryAfter
)

// Error implements error.
func (o *outcome) Error() string {
	switch {
	case o.kind == snooze:
		return fmt.Sprintf("queue: snooze for %v", o.delay)
	case o.err == nil && o.kind == cancel:
		return "queue: canceled"
	case o.err == nil:
		return fmt.Sprintf("queue: retry after %v", o.delay)
	}
	return o.err.Error()
}

// Unwrap returns the handler's reason.
func (o *outcome) Unwrap() error { return o.err }

// verdict is what becomes of an event whose handler has returned an error.
type verdict struct {
	dead     bool
	attempts uint32 // how many have failed, with this one if it counts
	wait     time.Duration
}

// classify decides what becomes of an event that has failed attempts times before,
// and now with err.
func (s *Subscription) classify(err error, attempts uint32) verdict {
	var o *outcome
	var panicked *PanicError // a panic counts, whatever its value wraps
	if !errors.As(err, &panicked) && errors.As(err, &o) {
		switch o.kind {
		case snooze:
			return verdict{attempts: attempts, wait: max(o.delay, 0)}
		case cancel:
			return verdict{dead: true, attempts: attempts + 1}
		}
	}
	attempts++
	if attempts >= uint32(s.MaxAttempts) && !s.Block {
		return verdict{dead: true, attempts: attempts}
	}
	if o != nil {
		return verdict{attempts: attempts, wait: max(o.delay, 0)}
	}
	return verdict{attempts: attempts, wait: access.EqualJitter(s.MinBackoff, s.MaxBackoff, attempts)}
}

// call runs a handler under its timeout, and turns a panic into an error. A
// handler that returns after its timeout has failed, whatever it says: it may
// have given up half way because its context ended.
func (s *Subscription) call(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, ErrTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
			return
		}
		if err != nil && !sound(err) {
			err = &PanicError{Value: fmt.Sprintf("the methods of the %T that it returned", err)}
		}
		if context.Cause(ctx) == ErrTimeout { //nolint:errorlint // the cause itself, which nobody wraps
			if err == nil {
				err = ErrTimeout
			} else {
				// Not wrapped: what it returned, Snooze or a conflict, does not
				// matter any more.
				err = fmt.Errorf("%w: %s", ErrTimeout, err.Error())
			}
		}
	}()
	return fn(ctx)
}

// panicked makes an error of what a handler panicked with.
func panicked(value any) error {
	err := &PanicError{Value: value, Stack: debug.Stack()}
	if !sound(err) {
		err.Value = fmt.Sprint(value) // fmt.Sprint recovers from a panicking method
	}
	return err
}

// sound tells whether an error's methods can be called. The usual slip, a nil pointer
// in an error, makes them panic, which outside of the handler would end the process.
func sound(err error) (ok bool) {
	defer func() { ok = recover() == nil }()
	var o *outcome
	_ = errors.As(err, &o) // As and Is look at all that err wraps
	_ = errors.Is(err, errDone)
	_ = err.Error()
	return true
}
