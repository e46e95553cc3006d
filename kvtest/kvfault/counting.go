package kvfault

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/tito-db/tito-go/kv"
)

// defaultPage is how many pairs a cursor is taken to fetch at once if it was
// opened without a page size. It is what TiKV's client fetches.
const defaultPage = 256

// Counts is how often a driver was called, and how much was asked of it.
type Counts struct {
	Begins     int // read-write transactions begun
	ViewBegins int // read-only transactions begun

	Gets      int
	BatchGets int
	BatchKeys int // keys in all BatchGets

	Cursors int // cursors opened
	Seeks   int // seeks of cursors
	Entries int // pairs that cursors returned
	Pages   int // times a cursor had to fetch: its first move, each seek, each page used up

	Commits    int // commits that the driver was asked for, whatever came of them
	Writes     int // sets and deletes in all Commits
	Locks      int // keys locked in all Commits
	WriteBytes int // size of the keys and values written and the keys locked in all Commits

	Watermarks   int
	WaitDurables int
}

// Reads is the number of round trips that reading took.
func (c Counts) Reads() int { return c.Gets + c.BatchGets + c.Pages }

// RoundTrips is the number of all round trips but those of Begin.
func (c Counts) RoundTrips() int { return c.Reads() + c.Commits + c.Watermarks + c.WaitDurables }

// Sub returns what was counted since before.
func (c Counts) Sub(before Counts) Counts {
	diff, b := reflect.ValueOf(&c).Elem(), reflect.ValueOf(before)
	for i := range diff.NumField() {
		diff.Field(i).SetInt(diff.Field(i).Int() - b.Field(i).Int())
	}
	return c
}

// String lists the counts that are not zero: "Gets 1, Commits 1".
func (c Counts) String() string {
	var parts []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if n := v.Field(i).Int(); n != 0 {
			parts = append(parts, fmt.Sprint(v.Type().Field(i).Name, " ", n))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Counting counts the calls of the drivers that its Wrap was put around. The
// zero value is ready. It is safe for concurrent use.
//
//	var calls kvfault.Counting
//	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: calls.Wrap}})
type Counting struct {
	mu      sync.Mutex
	counts  Counts
	txns    int // open transactions
	cursors int // open cursors
}

// Wrap returns d with its calls counted; it is meant for kv.Options.Wrap.
func (c *Counting) Wrap(d kv.Driver) kv.Driver {
	return kv.Intercept(d, &kv.Interceptor[struct{}]{Start: c.start, End: c.end, Cursor: c.cursor})
}

// Counts returns what was counted so far.
func (c *Counting) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Reset starts again from zero. OpenTxns and OpenCursors are not touched.
func (c *Counting) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Counts{}
}

// OpenTxns returns how many driver transactions have not been released.
func (c *Counting) OpenTxns() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.txns
}

// OpenCursors returns how many driver cursors have not been closed.
func (c *Counting) OpenCursors() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursors
}

// Measure returns what fn makes the driver do, and what goroutines beside it do
// meanwhile.
func (c *Counting) Measure(fn func()) Counts {
	before := c.Counts()
	fn()
	return c.Counts().Sub(before)
}

// TB is the part of testing.TB that Expect needs. It keeps package testing, and
// what that brings with it, out of programs that import this package.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Expect runs fn and fails t unless fn stays within budget. Gets, BatchGets,
// Cursors, Commits, Watermarks and WaitDurables have to be exactly as the budget
// says. The budget's other counts are bounds from above, Begins among them, and zero
// is no bound.
//
//	calls.Expect(t, kvfault.Counts{BatchGets: 1, Commits: 1}, func() { ... })
func (c *Counting) Expect(t TB, budget Counts, fn func()) {
	t.Helper()
	got := c.Measure(fn)
	var broken []string
	g, b := reflect.ValueOf(got), reflect.ValueOf(budget)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		have, want := g.Field(i).Int(), b.Field(i).Int()
		switch name {
		case "Gets", "BatchGets", "Cursors", "Commits", "Watermarks", "WaitDurables":
			if have != want {
				broken = append(broken, fmt.Sprintf("%s: %d, not %d", name, have, want))
			}
		default:
			if want != 0 && have > want {
				broken = append(broken, fmt.Sprintf("%s: %d, more than %d", name, have, want))
			}
		}
	}
	if broken != nil {
		t.Errorf("driver calls outside of the budget: %s\nbudget: %s\ncalls:  %s", strings.Join(broken, "; "), budget, got)
	}
}

func (c *Counting) add(note func(n *Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note(&c.counts)
}

func (c *Counting) start(ctx context.Context, info kv.CallInfo) (context.Context, struct{}, error) {
	switch info.Call {
	case kv.CallTxn:
		c.opened(1, 0)
	case kv.CallScan:
		c.opened(0, 1)
	default:
		c.add(func(n *Counts) { n.note(info) })
	}
	return ctx, struct{}{}, nil
}

// note counts a call, unless countingCursor counts calls of that kind.
func (c *Counts) note(info kv.CallInfo) {
	switch info.Call {
	case kv.CallBegin:
		if info.ReadOnly {
			c.ViewBegins++
		} else {
			c.Begins++
		}
	case kv.CallGet:
		c.Gets++
	case kv.CallBatchGet:
		c.BatchGets++
		c.BatchKeys += info.Keys
	case kv.CallCursor:
		c.Cursors++
	case kv.CallCommit:
		c.Commits++
		c.Writes += info.Keys
		c.Locks += info.Locks
		c.WriteBytes += info.Bytes
	case kv.CallWatermark:
		c.Watermarks++
	case kv.CallWaitDurable:
		c.WaitDurables++
	}
}

func (c *Counting) end(_ struct{}, info kv.CallInfo, err error) error {
	switch info.Call {
	case kv.CallTxn:
		c.opened(-1, 0)
	case kv.CallScan:
		c.opened(0, -1)
	}
	return err
}

// opened notes that transactions and cursors were opened or, negative, closed.
func (c *Counting) opened(txns, cursors int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.txns += txns
	c.cursors += cursors
}

func (c *Counting) cursor(d kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
	page := o.PageSize
	if page == 0 {
		page = defaultPage
	}
	return &countingCursor{DriverCursor: d, c: c, page: page}
}

// countingCursor counts moves, and the pages that they would take.
type countingCursor struct {
	kv.DriverCursor
	c        *Counting
	page     int
	buffered int // pairs of the current page that are left
	end      bool
}

func (c *countingCursor) Next(ctx context.Context) bool {
	fetch := c.buffered == 0 && !c.end
	if fetch {
		c.buffered = c.page
	}
	return c.moved(c.DriverCursor.Next(ctx), fetch, false)
}

func (c *countingCursor) Seek(ctx context.Context, key []byte) bool {
	c.buffered = c.page
	return c.moved(c.DriverCursor.Seek(ctx, key), true, true)
}

// moved counts a move. A page that is not full tells that it is the last page.
func (c *countingCursor) moved(ok, fetched, seek bool) bool {
	c.end = !ok
	if ok {
		c.buffered--
	}
	c.c.add(func(n *Counts) {
		if fetched {
			n.Pages++
		}
		if seek {
			n.Seeks++
		}
		if ok {
			n.Entries++
		}
	})
	return ok
}
