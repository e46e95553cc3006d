package kvtest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Call is a kind of driver call that Faulty can make go wrong.
type Call uint8

// The calls of kv.Driver, kv.DriverTxn and kv.DriverCursor that can fail.
const (
	AnyCall Call = iota
	CallBegin
	CallGet
	CallBatchGet
	CallCursor // opening one
	CallNext
	CallSeek
	CallCommit
	CallWatermark
	CallWaitDurable
)

// String names the call: "batch get".
func (c Call) String() string {
	names := [...]string{"any call", "begin", "get", "batch get", "cursor", "next", "seek", "commit", "watermark", "wait durable"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Call(%d)", c)
}

// Rule says which driver calls go wrong, and how. The zero value strikes the
// next call, whatever it is, and does nothing to it but count it.
type Rule struct {
	Call  Call // the kind of call; zero is any
	Skip  int  // how many such calls are left alone first
	Every bool // strike all that follow too, not just one

	// After strikes when the driver has done the call, and so loses what it
	// answered: a commit has happened that its caller takes for failed. What
	// the call opened is released.
	After bool

	// Delay and Hold make the call wait: so long, and until the fault is
	// lifted. A wait ends early, and the call with the context's error, when
	// its context ends, unless the call is Deaf, as embedded engines are.
	Delay time.Duration
	Hold  bool
	Deaf  bool

	// Err is what the call then returns; nil lets it go on. A commit's is
	// reported as kv.ErrCommitUnknown unless it wraps one of the errors that
	// kv.DriverTxn lists, which promise that nothing was written: those are
	// a lie together with After.
	Err error
}

// Faulty makes calls go wrong of the drivers that its Wrap was put around. The
// zero value is ready, and changes nothing until Inject or Sweep. It is safe
// for concurrent use, and waits in a way that testing/synctest understands.
//
//	var faulty kvtest.Faulty
//	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
//	...
//	faulty.Inject(kvtest.Rule{Call: kvtest.CallCommit, After: true, Err: errLost})
//	err = store.Update(ctx, ...) // wraps kv.ErrCommitUnknown, and was applied
//
// To wrap with a Counting as well, call one Wrap inside the other.
type Faulty struct {
	mu     sync.Mutex
	faults []*Fault // those in force
}

// Wrap returns d with calls that go wrong; it is meant for kv.Options.Wrap.
func (f *Faulty) Wrap(d kv.Driver) kv.Driver { return &faultyDriver{d, f} }

// Inject puts r in force. Rules in force at the same time count calls each for
// itself, and strike in the order of their Inject.
func (f *Faulty) Inject(r Rule) *Fault {
	x := f.fault(r)
	x.arm()
	return x
}

// Sweep runs the body of a loop with the first driver call of a program going
// wrong, then with the second, and so on, until the program ends before its
// turn has come; r says what goes wrong, of which kinds of call, and how many
// to skip at the start. The body has to run the program through During, which
// alone is counted: it can set up before, and look at what has become of the
// store afterwards. A program makes the same calls each time if one goroutine
// runs it and nothing else decides what it does.
//
//	for fault := range faulty.Sweep(kvtest.Rule{After: true, Err: errLost}) {
//		setUp(store)
//		fault.During(func() { err = program(store) })
//		check(t, fault, store, err)
//	}
//
// The last time round nothing has gone wrong, as Hits tells.
func (f *Faulty) Sweep(r Rule) iter.Seq[*Fault] {
	return func(yield func(*Fault) bool) {
		for {
			x := f.fault(r)
			if !yield(x) {
				return
			}
			if !x.used {
				panic("kvtest: the loop over Sweep did not run its program through During")
			}
			if x.Hits() == 0 {
				return
			}
			r.Skip++
		}
	}
}

// Fault is a Rule at work. Its methods are safe for concurrent use, except During.
type Fault struct {
	f       *Faulty
	rule    Rule
	reached chan struct{} // closed at the first hit
	lifted  chan struct{} // closed by Lift
	used    bool          // by During

	// Guarded by f.mu.
	skip int
	hits int
	last Call
	over bool
}

func (f *Faulty) fault(r Rule) *Fault {
	return &Fault{f: f, rule: r, skip: r.Skip, reached: make(chan struct{}), lifted: make(chan struct{})}
}

func (x *Fault) arm() {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	x.f.faults = append(x.f.faults, x)
}

// During puts the rule in force while fn runs. It can be called once, on a
// fault from Sweep.
func (x *Fault) During(fn func()) {
	if x.used {
		panic("kvtest: During was called twice on one fault")
	}
	x.used = true
	x.arm()
	defer x.Lift()
	fn()
}

// Reached is closed when a call is struck for the first time; if the rule
// holds calls, that one is being held then.
func (x *Fault) Reached() <-chan struct{} { return x.reached }

// Lift ends the rule: the calls that it holds go on to return its Err, or to
// the driver if it has none, and no further ones are struck. It can be called
// again, and does nothing then.
func (x *Fault) Lift() {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if x.over {
		return
	}
	x.over = true
	close(x.lifted)
	if i := slices.Index(x.f.faults, x); i >= 0 {
		x.f.faults = slices.Delete(x.f.faults, i, i+1)
	}
}

// Hits returns how many calls were struck.
func (x *Fault) Hits() int {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	return x.hits
}

// Struck returns the kind of the call that was struck last, AnyCall if none was.
func (x *Fault) Struck() Call {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	return x.last
}

// String tells where the fault struck or will: "after call 3 (commit)".
func (x *Fault) String() string {
	where := "before"
	if x.rule.After {
		where = "after"
	}
	what := x.rule.Call
	if struck := x.Struck(); struck != AnyCall {
		what = struck
	}
	return fmt.Sprintf("%s call %d (%s)", where, x.rule.Skip+1, what)
}

// strikes counts a call and tells whether it is struck. f.mu is held.
func (x *Fault) strikes(c Call) bool {
	if x.rule.Call != AnyCall && x.rule.Call != c || x.hits > 0 && !x.rule.Every {
		return false
	}
	if x.skip > 0 {
		x.skip--
		return false
	}
	x.hits++
	x.last = c
	return true
}

// strike does to a call what the rule says.
func (x *Fault) strike(ctx context.Context) error {
	x.f.mu.Lock()
	select {
	case <-x.reached:
	default:
		close(x.reached)
	}
	x.f.mu.Unlock()
	done := ctx.Done()
	if x.rule.Deaf {
		done = nil
	}
	if x.rule.Delay > 0 {
		timer := time.NewTimer(x.rule.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-done:
			return ctx.Err()
		}
	}
	if x.rule.Hold {
		select {
		case <-x.lifted:
		case <-done:
			return ctx.Err()
		}
	}
	return x.rule.Err
}

// call counts a call and returns the faults that strike it.
func (f *Faulty) call(c Call) []*Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []*Fault
	for _, x := range f.faults {
		if x.strikes(c) {
			due = append(due, x)
		}
	}
	if due != nil {
		f.faults = slices.DeleteFunc(f.faults, func(x *Fault) bool { return x.hits > 0 && !x.rule.Every })
	}
	return due
}

// faulted does a call with what strikes it. undo, if there is one, releases
// what the call opened but its caller does not learn of.
func faulted[R any](ctx context.Context, f *Faulty, c Call, do func() (R, error), undo func(R)) (R, error) {
	var none R
	due := f.call(c)
	for _, x := range due {
		if x.rule.After {
			continue
		}
		if err := x.strike(ctx); err != nil {
			return none, err
		}
	}
	result, err := do()
	for _, x := range due {
		if !x.rule.After {
			continue
		}
		if lost := x.strike(ctx); lost != nil {
			if err == nil && undo != nil {
				undo(result)
			}
			return none, lost
		}
	}
	return result, err
}

type faultyDriver struct {
	kv.Driver
	f *Faulty
}

func (d *faultyDriver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	return faulted(ctx, d.f, CallBegin, func() (kv.DriverTxn, error) {
		t, err := d.Driver.Begin(ctx, o)
		if err != nil {
			return nil, err
		}
		return &faultyTxn{t, d.f}, nil
	}, kv.DriverTxn.Release)
}

func (d *faultyDriver) Watermark(ctx context.Context) (kv.Version, error) {
	return faulted(ctx, d.f, CallWatermark, func() (kv.Version, error) { return d.Driver.Watermark(ctx) }, nil)
}

func (d *faultyDriver) WaitDurable(ctx context.Context, v kv.Version) error {
	_, err := faulted(ctx, d.f, CallWaitDurable, func() (struct{}, error) {
		return struct{}{}, d.Driver.WaitDurable(ctx, v)
	}, nil)
	return err
}

type faultyTxn struct {
	kv.DriverTxn
	f *Faulty
}

func (t *faultyTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	return faulted(ctx, t.f, CallGet, func() ([]byte, error) { return t.DriverTxn.Get(ctx, key) }, nil)
}

func (t *faultyTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return faulted(ctx, t.f, CallBatchGet, func() ([][]byte, error) { return t.DriverTxn.BatchGet(ctx, keys) }, nil)
}

func (t *faultyTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	return faulted(ctx, t.f, CallCursor, func() (kv.DriverCursor, error) {
		c, err := t.DriverTxn.Cursor(ctx, r, o)
		if err != nil {
			return nil, err
		}
		return &faultyCursor{DriverCursor: c, f: t.f}, nil
	}, kv.DriverCursor.Close)
}

func (t *faultyTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	return faulted(ctx, t.f, CallCommit, func() (kv.Version, error) { return t.DriverTxn.Commit(ctx, c) }, nil)
}

type faultyCursor struct {
	kv.DriverCursor
	f   *Faulty
	err error // that was injected, and has ended the cursor
}

func (c *faultyCursor) Next(ctx context.Context) bool {
	if c.err != nil {
		return false
	}
	return c.move(ctx, CallNext, func() (bool, error) { return c.DriverCursor.Next(ctx), nil })
}

func (c *faultyCursor) Seek(ctx context.Context, key []byte) bool {
	return c.move(ctx, CallSeek, func() (bool, error) { return c.DriverCursor.Seek(ctx, key), nil })
}

func (c *faultyCursor) move(ctx context.Context, call Call, do func() (bool, error)) bool {
	var ok bool
	ok, c.err = faulted(ctx, c.f, call, do, nil)
	return ok
}

func (c *faultyCursor) Err() error {
	if c.err != nil {
		return c.err
	}
	return c.DriverCursor.Err()
}
