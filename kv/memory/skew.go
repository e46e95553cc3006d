package memory

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tito-db/tito-go/kv"
)

// WriteSkew is what Options.OnWriteSkew reports: committed transactions that
// could not have run one after the other, in any order. They form a cycle: each
// transaction must come before the next, and the last before the first.
type WriteSkew struct {
	Cycle []Dependency
}

// Dependency says that From must come before To, because of Key.
type Dependency struct {
	From, To kv.Version // the commits

	// Missed says that From read Key and, running at the same time, did not see
	// what To wrote to Key: that is a read with a missing Lock. Without Missed, From
	// had committed before To began, and both touched Key.
	Missed bool

	Key []byte

	// Stack is where From committed.
	Stack string
}

// String describes the cycle for a test's log. It contains keys.
func (s *WriteSkew) String() string {
	var b strings.Builder
	b.WriteString("write skew: committed transactions that no serial order explains\n")
	for _, d := range s.Cycle {
		if d.Missed {
			fmt.Fprintf(&b, "- %d read %q without Lock and did not see the write of %d; it committed at\n", d.From, d.Key, d.To)
		} else {
			fmt.Fprintf(&b, "- %d touched %q before %d did; it committed at\n", d.From, d.Key, d.To)
		}
		b.WriteString(d.Stack)
	}
	return b.String()
}

// maxHistory is how many committed transactions the detector compares with,
// while some are open. Cycles that reach further back are not found.
const maxHistory = 1024

// detector is a driver around the memory driver that keeps the serialization
// graph of what committed lately. An edge leads from a transaction to another that
// must come after it. A commit is write skew exactly if it closes a cycle: an
// execution that some serial order explains has none.
//
// The detector takes commits one at a time, which does not matter in a unit test.
type detector struct {
	kv.Driver
	report func(*WriteSkew)

	mu        sync.Mutex
	open      int          // read-write transactions
	committed []*footprint // in order of their commits
}

// footprint is what a read-write transaction did.
type footprint struct {
	read, commit kv.Version
	keys         map[string]struct{} // read one by one
	spans        []span              // walked by cursors
	writes       [][]byte            // ascending
	after        []edge              // who must come after it
	stack        []uintptr
}

type edge struct {
	to     *footprint
	missed bool
	key    []byte
}

// span is the keys from start up to end; nil bounds are open.
type span struct{ start, end []byte }

func (s span) contains(key []byte) bool {
	return bytes.Compare(key, s.start) >= 0 && (s.end == nil || bytes.Compare(key, s.end) < 0)
}

func (d *detector) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if o.ReadOnly {
		return d.Driver.Begin(ctx, o)
	}
	d.opened(1) // before the snapshot, so that the detector remembers every commit after it
	t, err := d.Driver.Begin(ctx, o)
	if err != nil {
		d.opened(-1)
		return nil, err
	}
	return &watched{DriverTxn: t, d: d, f: &footprint{read: t.ReadVersion(), keys: map[string]struct{}{}}}, nil
}

// opened counts open transactions. When none is open the detector forgets its
// history: a transaction that begins later comes after all of that.
func (d *detector) opened(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open += n; d.open == 0 {
		d.committed = nil
	}
}

// add puts a transaction that has just committed into the graph, and returns
// the cycle that it closes, or nil. d.mu is held.
func (d *detector) add(f *footprint) *WriteSkew {
	for _, old := range d.committed {
		if key, missed, ok := old.before(f); ok {
			old.after = append(old.after, edge{f, missed, key})
		}
		if old.commit > f.read {
			if key := f.sawAny(old.writes); key != nil {
				f.after = append(f.after, edge{old, true, key})
			}
		}
	}
	skew := f.cycle()
	d.committed = append(d.committed, f)
	if extra := len(d.committed) - maxHistory; extra > 0 {
		d.committed = slices.Delete(d.committed, 0, extra)
	}
	return skew
}

// before tells whether later, which committed after f, must come after it.
func (f *footprint) before(later *footprint) (key []byte, missed, ok bool) {
	for _, w := range later.writes {
		if _, found := slices.BinarySearchFunc(f.writes, w, bytes.Compare); found {
			return w, false, true
		}
		if f.saw(w) {
			return w, f.commit > later.read, true
		}
	}
	if f.commit <= later.read {
		if key := later.sawAny(f.writes); key != nil {
			return key, false, true
		}
	}
	return nil, false, false
}

func (f *footprint) saw(key []byte) bool {
	if _, ok := f.keys[string(key)]; ok {
		return true
	}
	return slices.ContainsFunc(f.spans, func(s span) bool { return s.contains(key) })
}

func (f *footprint) sawAny(keys [][]byte) []byte {
	for _, k := range keys {
		if f.saw(k) {
			return k
		}
	}
	return nil
}

// cycle returns a shortest cycle through f, or nil.
func (f *footprint) cycle() *WriteSkew {
	type step struct {
		from *footprint
		by   edge
	}
	came := map[*footprint]step{}
	for queue := []*footprint{f}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, e := range at.after {
			if _, seen := came[e.to]; seen {
				continue
			}
			came[e.to] = step{at, e}
			if e.to != f {
				queue = append(queue, e.to)
				continue
			}
			skew := &WriteSkew{}
			for to := f; len(skew.Cycle) == 0 || to != f; {
				s := came[to]
				skew.Cycle = append(skew.Cycle, Dependency{
					From: s.from.commit, To: to.commit, Missed: s.by.missed, Key: bytes.Clone(s.by.key), Stack: s.from.site(),
				})
				to = s.from
			}
			slices.Reverse(skew.Cycle)
			return skew
		}
	}
	return nil
}

// site formats the stack without what belongs to kv.
func (f *footprint) site() string {
	var b strings.Builder
	frames := runtime.CallersFrames(f.stack)
	for {
		frame, more := frames.Next()
		if !strings.Contains(frame.Function, "/tito-go/kv.") && frame.Function != "runtime.goexit" {
			fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
		if !more {
			return b.String()
		}
	}
}

// watched is a read-write transaction that notes its reads. A read of its own
// writes does not reach the driver.
type watched struct {
	kv.DriverTxn
	d *detector
	f *footprint
}

func (t *watched) Get(ctx context.Context, key []byte) ([]byte, error) {
	t.f.keys[string(key)] = struct{}{}
	return t.DriverTxn.Get(ctx, key)
}

func (t *watched) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	for _, k := range keys {
		t.f.keys[string(k)] = struct{}{}
	}
	return t.DriverTxn.BatchGet(ctx, keys)
}

func (t *watched) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return &walk{DriverCursor: c, f: t.f, r: r, reverse: o.Reverse, span: -1}, nil
}

func (t *watched) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	v, skew, err := t.commit(ctx, c)
	if skew != nil {
		t.d.report(skew)
	}
	return v, err
}

func (t *watched) commit(ctx context.Context, c *kv.Commit) (kv.Version, *WriteSkew, error) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	v, err := t.DriverTxn.Commit(ctx, c)
	if err != nil {
		return v, nil, err
	}
	t.f.commit = v
	for _, w := range c.Writes {
		t.f.writes = append(t.f.writes, w.Key)
	}
	t.f.stack = make([]uintptr, 32)
	t.f.stack = t.f.stack[:runtime.Callers(3, t.f.stack)]
	return v, t.d.add(t.f), nil
}

func (t *watched) Release() {
	t.DriverTxn.Release()
	t.d.opened(-1)
}

// walk is a cursor that notes what it has passed: the keys that are there and
// the gaps between them, into which others may insert.
type walk struct {
	kv.DriverCursor
	f       *footprint
	r       kv.Range
	reverse bool
	span    int // of f.spans, being walked; -1 before the first move
}

func (c *walk) Next(ctx context.Context) bool {
	if c.span < 0 {
		c.begin(span{c.r.Start, c.r.End})
	}
	return c.note(c.DriverCursor.Next(ctx))
}

func (c *walk) Seek(ctx context.Context, key []byte) bool {
	s := span{c.r.Start, c.r.End}
	switch {
	case c.reverse && s.contains(key):
		s.end = append(bytes.Clone(key), 0)
	case !c.reverse && s.contains(key):
		s.start = bytes.Clone(key)
	}
	c.begin(s)
	return c.note(c.DriverCursor.Seek(ctx, key))
}

// begin starts a span. Its far bound follows the cursor.
func (c *walk) begin(s span) {
	c.f.spans = append(c.f.spans, s)
	c.span = len(c.f.spans) - 1
}

// note moves the far bound to the cursor's key, or to the range's end.
func (c *walk) note(ok bool) bool {
	s := &c.f.spans[c.span]
	switch {
	case ok && c.reverse:
		s.start = bytes.Clone(c.Key())
	case ok:
		s.end = append(bytes.Clone(c.Key()), 0)
	case c.reverse:
		s.start = c.r.Start
	default:
		s.end = c.r.End
	}
	return ok
}
