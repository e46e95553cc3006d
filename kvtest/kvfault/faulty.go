package kvfault

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// AnyCall is the zero kind of call: in a Rule, all of them.
const AnyCall kv.Call = 0

// Rule says which driver calls go wrong, and how. The zero value strikes the
// next call, whatever it is, and does nothing to it but count it.
type Rule struct {
	// Call is the kind of call, from kv.CallBegin to kv.CallWaitDurable, the moves of
	// cursors among them; AnyCall is all of these.
	Call kv.Call

	Skip  int  // how many such calls are left alone first
	Every bool // strike all that follow too, not just one

	// After strikes when the driver has done the call, and so loses what it
	// answered: a commit has happened that its caller takes for failed. What
	// the call opened is released.
	After bool

	// Delay makes the call wait for that long, and Hold makes it wait until the
	// fault is lifted. When the call's context ends, the wait ends early and the call
	// returns the context's error, unless the rule is Deaf, as embedded engines are.
	Delay time.Duration
	Hold  bool
	Deaf  bool

	// Err is what the call then returns; nil lets it go on. kv reports the Err of a
	// commit as kv.ErrCommitUnknown, unless it wraps an error by which kv.DriverTxn
	// promises that nothing was written: with After that promise is a lie.
	Err error
}

// Faulty makes calls go wrong, of all drivers that its Wrap was put around. The zero
// value is ready, and changes nothing until Inject or Sweep. It is safe for
// concurrent use, and waits in a way that testing/synctest understands.
//
//	var faulty kvfault.Faulty
//	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
//	...
//	faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: true, Err: errLost})
//	err = store.Update(ctx, ...) // wraps kv.ErrCommitUnknown, and was applied
//
// To wrap with a Counting as well, call one Wrap inside the other.
type Faulty struct {
	mu     sync.Mutex
	faults []*Fault // the faults in force
}

// Wrap returns d with calls that go wrong; it is meant for kv.Options.Wrap.
func (f *Faulty) Wrap(d kv.Driver) kv.Driver {
	return kv.Intercept(d, &kv.Interceptor[strikes]{Start: f.start, End: f.end, Cursor: f.cursor})
}

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
//	for fault := range faulty.Sweep(kvfault.Rule{After: true, Err: errLost}) {
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
				panic("kvfault: the loop over Sweep did not run its program through During")
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
	last kv.Call
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
		panic("kvfault: During was called twice on one fault")
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
func (x *Fault) Struck() kv.Call {
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
	call := x.rule.Call
	if struck := x.Struck(); struck != AnyCall {
		call = struck
	}
	what := "any call"
	if call != AnyCall {
		what = call.String()
	}
	return fmt.Sprintf("%s call %d (%s)", where, x.rule.Skip+1, what)
}

// strikes counts a call and tells whether it is struck. f.mu is held.
func (x *Fault) strikes(c kv.Call) bool {
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
func (f *Faulty) call(c kv.Call) []*Fault {
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

// strikes are the faults that strike a call, and the context that it has: a token,
// which lives as long as the call.
type strikes struct {
	ctx context.Context
	due []*Fault
}

func (f *Faulty) start(ctx context.Context, c kv.CallInfo) (context.Context, strikes, error) {
	if c.Call > kv.CallWaitDurable { // no call, but the life of a transaction or cursor
		return ctx, strikes{}, nil
	}
	s := strikes{ctx, f.call(c.Call)}
	return ctx, s, s.strike(false)
}

func (f *Faulty) end(s strikes, _ kv.CallInfo, err error) error {
	if lost := s.strike(true); lost != nil {
		return lost
	}
	return err
}

// strike does to a call what the rules say that strike before or after it.
func (s strikes) strike(after bool) error {
	for _, x := range s.due {
		if x.rule.After != after {
			continue
		}
		if err := x.strike(s.ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *Faulty) cursor(c kv.DriverCursor, _ kv.CursorOptions) kv.DriverCursor {
	return &faultyCursor{DriverCursor: c, f: f}
}

// faultyCursor makes moves go wrong, which kv.Intercept does not report.
type faultyCursor struct {
	kv.DriverCursor
	f   *Faulty
	err error // that was injected, and has ended the cursor
}

func (c *faultyCursor) Next(ctx context.Context) bool {
	if c.err != nil {
		return false
	}
	s := strikes{ctx, c.f.call(kv.CallNext)}
	if c.err = s.strike(false); c.err != nil {
		return false
	}
	ok := c.DriverCursor.Next(ctx)
	c.err = s.strike(true)
	return ok && c.err == nil
}

func (c *faultyCursor) Seek(ctx context.Context, key []byte) bool {
	c.err = nil
	return c.DriverCursor.Seek(ctx, key)
}

func (c *faultyCursor) Err() error {
	if c.err != nil {
		return c.err
	}
	return c.DriverCursor.Err()
}
