package kvtest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hangAfter is when a case counts as hung. It decides nothing but failures.
const hangAfter = 3 * time.Minute

// recorder is the testing.TB that a case runs against. Its failures are the
// case's alone: a quiet one keeps them, so that tests of the suite can look
// whether a broken driver was caught; otherwise they are reported as they come.
type recorder struct {
	testing.TB // for TempDir and the like
	name       string
	quiet      bool
	ctx        context.Context

	mu       sync.Mutex
	failed   bool
	messages []string
	cleanups []func()
}

// execute runs one case to its end, clean-up included.
func execute(t *testing.T, h Harness, c testCase, quiet bool) *recorder {
	r := &recorder{TB: t, name: t.Name(), quiet: quiet}
	if c.needs&needFakeTime != 0 {
		synctest.Test(t, func(t *testing.T) {
			r.ctx = t.Context() // made in the bubble
			r.run(nil, func() { c.run(newFixture(r, h)) })
		})
		return r
	}
	r.ctx = t.Context()
	timer := time.NewTimer(hangAfter)
	defer timer.Stop()
	r.run(timer.C, func() { c.run(newFixture(r, h)) })
	return r
}

// run calls fn on a goroutine of its own, which FailNow can end, and waits for
// it and its clean-up, or until hung fires.
func (r *recorder) run(hung <-chan time.Time, fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.cleanup()
		defer r.catch()
		fn()
	}()
	select {
	case <-done:
	case <-hung:
		all := make([]byte, 1<<20)
		r.Errorf("the case hangs:\n%s", all[:runtime.Stack(all, true)])
	}
}

// catch turns a panic into a failure.
func (r *recorder) catch() {
	if p := recover(); p != nil {
		r.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// cleanup runs the functions given to Cleanup, last first, though one of them
// may end its goroutine or panic.
func (r *recorder) cleanup() {
	r.mu.Lock()
	n := len(r.cleanups)
	if n == 0 {
		r.mu.Unlock()
		return
	}
	fn := r.cleanups[n-1]
	r.cleanups = r.cleanups[:n-1]
	r.mu.Unlock()
	defer r.cleanup()
	defer r.catch()
	fn()
}

func (r *recorder) Name() string             { return r.name }
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, fn)
}

func (r *recorder) report(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	if r.quiet {
		r.messages = append(r.messages, message)
		return
	}
	r.Helper()
	r.TB.Error(strings.TrimRight(message, "\n"))
}

// Failed tells whether the case failed.
func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Errorf(format string, args ...any) { r.report(fmt.Sprintf(format, args...)) }
func (r *recorder) Error(args ...any)                 { r.report(fmt.Sprintln(args...)) }

func (r *recorder) Fail() { r.report("failed") }

func (r *recorder) FailNow() {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.FailNow()
}

func (r *recorder) Log(args ...any) {
	if !r.quiet {
		r.TB.Log(args...)
	}
}

func (r *recorder) Logf(format string, args ...any) {
	if !r.quiet {
		r.TB.Logf(format, args...)
	}
}

// A case does not skip itself: what it needs is declared.

func (r *recorder) Skip(args ...any)                 { r.Fatal(append([]any{"skipped:"}, args...)...) }
func (r *recorder) Skipf(format string, args ...any) { r.Fatalf("skipped: "+format, args...) }
func (r *recorder) SkipNow()                         { r.Fatal("skipped") }
