package kvtest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// lasting is the memory driver with stores that survive Close, and crashes as
// far as commits are durable, so that every case can run on it.
func lasting() Harness { return lastingWith(nil) }

// lastingWith chooses what a crash leaves.
func lastingWith(survivors func(commits []journalEntry, durable kv.Version) []journalEntry) Harness {
	var drivers sync.Map // *kv.Store to its kv.Driver
	reopen := func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
		d, ok := drivers.Load(s)
		require.True(t, ok)
		_ = s.Close() // it may have been closed before
		again, err := kv.NewStore(d.(kv.Driver), o)
		if err == nil {
			drivers.Store(again, d)
		}
		return again, err
	}
	return Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			opts := *o
			var kept kv.Driver
			opts.Wrap = func(d kv.Driver) kv.Driver {
				kept = &journaled{Driver: d, survivors: survivors}
				if o.Wrap != nil {
					return o.Wrap(kept)
				}
				return kept
			}
			s, err := memory.Open(&memory.Options{Options: opts})
			require.NoError(t, err)
			drivers.Store(s, kept)
			return s
		},
		Reopen: reopen,
		Crash: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			d, ok := drivers.Load(s)
			require.True(t, ok)
			d.(*journaled).powerOff()
			_ = s.Close() // what it has open is lost as well
			if err := d.(*journaled).crash(t.Context()); err != nil {
				return nil, err
			}
			return reopen(t, s, o)
		},
		Caps: Caps{NoSync: true, FakeTime: true, PromptWatermark: true},
	}
}

// withWrap puts wrap around every driver that h opens, beneath the suite's own.
func (h Harness) withWrap(wrap func(kv.Driver) kv.Driver) Harness {
	wrapped := func(o *kv.Options) *kv.Options {
		opts := *o
		opts.Wrap = func(d kv.Driver) kv.Driver {
			if d = wrap(d); o.Wrap != nil {
				d = o.Wrap(d)
			}
			return d
		}
		return &opts
	}
	open, reopen, crash := h.Open, h.Reopen, h.Crash
	h.Open = func(t testing.TB, o *kv.Options) *kv.Store { return open(t, wrapped(o)) }
	h.Reopen = func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) { return reopen(t, s, wrapped(o)) }
	h.Crash = func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) { return crash(t, s, wrapped(o)) }
	return h
}

// failures runs the whole suite quietly and returns the cases that failed.
func failures(t *testing.T, h Harness) map[string]string {
	failed := map[string]string{}
	h.Remote = true // large products sampled, which has to be enough
	for _, g := range groups() {
		for _, c := range g.cases {
			if r := execute(t, h, c, true); r.Failed() {
				failed[g.name+"/"+c.name] = strings.Join(r.messages, "\n")
			}
		}
	}
	return failed
}

// TestSoundDriverPasses is what makes the mutants' failures mean something.
func TestSoundDriverPasses(t *testing.T) {
	for name, message := range failures(t, lasting()) {
		t.Errorf("%s: %s", name, message)
	}
}

// TestSuite runs the suite as drivers do, with every capability in use.
func TestSuite(t *testing.T) {
	Run(t, lasting())
}

var allCases = flag.Bool("mutants.all", false, "run every case on every mutant, to see which of them catch it")

// TestMutants runs broken drivers. Each has to be caught by the case that is
// there for it.
func TestMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			if !caseNamed(t, m.killer).alone {
				t.Parallel()
			}
			h := m.harness(lasting())
			message, killed := "", false
			for h.Seed = 1; !killed && h.Seed <= 10; h.Seed++ { // a case that draws lots gets some
				message, killed = failure(t, h, m.killer)
			}
			require.True(t, killed, "the mutant lives, in spite of %s", m.killer)
			t.Logf("killed by %s: %s", m.killer, summary(message))
			if *allCases {
				names := slices.Sorted(maps.Keys(failures(t, h)))
				t.Logf("killed by %d cases: %s", len(names), strings.Join(names, ", "))
			}
		})
	}
}

// failure runs one case quietly and tells how it failed, if it did.
func failure(t *testing.T, h Harness, name string) (message string, failed bool) {
	h.Remote = true // large products sampled, which has to be enough
	r := execute(t, h, caseNamed(t, name), true)
	return strings.Join(r.messages, "\n"), r.Failed()
}

func caseNamed(t *testing.T, name string) testCase {
	for _, g := range groups() {
		for _, c := range g.cases {
			if g.name+"/"+c.name == name {
				return c
			}
		}
	}
	t.Fatalf("there is no case %q", name)
	return testCase{}
}

// summary is the gist of a failure, in one line.
func summary(message string) string {
	if _, after, ok := strings.Cut(message, "Error:"); ok {
		message = after
	}
	text := strings.Join(strings.Fields(message), " ")
	return text[:min(len(text), 160)]
}

// mutant is a broken driver and a case that has to catch it.
type mutant struct {
	name    string
	killer  string
	harness func(Harness) Harness
}

// hooks is a transaction with some of its methods replaced.
type hooks struct {
	kv.DriverTxn
	get    func(ctx context.Context, key []byte) ([]byte, error)
	batch  func(ctx context.Context, keys [][]byte) ([][]byte, error)
	cursor func(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error)
	commit func(ctx context.Context, c *kv.Commit) (kv.Version, error)
}

func (h *hooks) Get(ctx context.Context, key []byte) ([]byte, error) {
	if h.get == nil {
		return h.DriverTxn.Get(ctx, key)
	}
	return h.get(ctx, key)
}

func (h *hooks) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if h.batch == nil {
		return h.DriverTxn.BatchGet(ctx, keys)
	}
	return h.batch(ctx, keys)
}

func (h *hooks) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	if h.cursor == nil {
		return h.DriverTxn.Cursor(ctx, r, o)
	}
	return h.cursor(ctx, r, o)
}

func (h *hooks) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	if h.commit == nil {
		return h.DriverTxn.Commit(ctx, c)
	}
	return h.commit(ctx, c)
}

// txns makes a mutant of its transactions.
func txns(name, killer string, hook func(d kv.Driver, h *hooks)) mutant {
	return mutant{name, killer, func(h Harness) Harness {
		return h.withWrap(wrapTxns(func(d kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
			h := &hooks{DriverTxn: t}
			hook(d, h)
			return h
		}))
	}}
}

// cursors makes a mutant of its cursors.
func cursors(name, killer string, wrap func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor) mutant {
	return mutant{name, killer, func(h Harness) Harness {
		return h.withWrap(wrapCursors(func(c kv.DriverCursor, _ kv.Range, o kv.CursorOptions) kv.DriverCursor {
			return wrap(c, o)
		}))
	}}
}

// drivers makes a mutant of the driver itself.
func drivers(name, killer string, wrap func(kv.Driver) kv.Driver) mutant {
	return mutant{name, killer, func(h Harness) Harness { return h.withWrap(wrap) }}
}

func mutants() []mutant {
	return slices.Concat(readMutants(), cursorMutants(), conflictMutants(), versionMutants(), reopenMutants(), raceMutants(),
		crashMutants(), faultMutants(), enduranceMutants())
}

// fresh calls do with a snapshot of now instead of the transaction's.
func fresh[R any](ctx context.Context, d kv.Driver, do func(t kv.DriverTxn) (R, error)) (R, error) {
	t, err := d.Begin(ctx, kv.BeginOptions{ReadOnly: true})
	if err != nil {
		var none R
		return none, err
	}
	defer t.Release()
	return do(t)
}

func readMutants() []mutant {
	return []mutant{
		txns("non-repeatable Get", "Isolation/repeatable reads", func(d kv.Driver, h *hooks) {
			h.get = func(ctx context.Context, key []byte) ([]byte, error) {
				return fresh(ctx, d, func(t kv.DriverTxn) ([]byte, error) { return t.Get(ctx, key) })
			}
		}),
		txns("torn BatchGet", "Isolation/G-single on BatchGet and scans", func(d kv.Driver, h *hooks) {
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				values, err := h.DriverTxn.BatchGet(ctx, keys[:len(keys)/2])
				if err != nil {
					return nil, err
				}
				rest, err := fresh(ctx, d, func(t kv.DriverTxn) ([][]byte, error) { return t.BatchGet(ctx, keys[len(keys)/2:]) })
				return append(values, rest...), err
			}
		}),
		txns("BatchGet in key order", "Functional/BatchGet", func(_ kv.Driver, h *hooks) {
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				keys = slices.Clone(keys)
				slices.SortFunc(keys, bytes.Compare)
				return h.DriverTxn.BatchGet(ctx, keys)
			}
		}),
		txns("BatchGet of repeated keys", "Functional/BatchGet", func(_ kv.Driver, h *hooks) {
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				values, err := h.DriverTxn.BatchGet(ctx, keys)
				seen := map[string]bool{}
				for i, k := range keys {
					if seen[string(k)] {
						values[i] = nil
					}
					seen[string(k)] = true
				}
				return values, err
			}
		}),
		txns("BatchGet shares repeated values", "Functional/results of Get and BatchGet are the caller's", func(_ kv.Driver, h *hooks) {
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				values, err := h.DriverTxn.BatchGet(ctx, keys)
				seen := map[string][]byte{}
				for i, k := range keys {
					if v, ok := seen[string(k)]; ok {
						values[i] = v
					}
					seen[string(k)] = values[i]
				}
				return values, err
			}
		}),
		txns("missing values are empty", "Functional/Get and Has", func(_ kv.Driver, h *hooks) {
			h.get = func(ctx context.Context, key []byte) ([]byte, error) {
				v, err := h.DriverTxn.Get(ctx, key)
				return append([]byte{}, v...), err
			}
		}),
		txns("Get returns shared memory", "Functional/results of Get and BatchGet are the caller's", func(_ kv.Driver, h *hooks) {
			cache := map[string][]byte{}
			h.get = func(ctx context.Context, key []byte) ([]byte, error) {
				if v, ok := cache[string(key)]; ok {
					return v, nil
				}
				v, err := h.DriverTxn.Get(ctx, key)
				cache[string(key)] = v
				return v, err
			}
		}),
		drivers("stale read after commit", "Isolation/real time", func(d kv.Driver) kv.Driver { return &staleDriver{Driver: d} }),
	}
}

// staleDriver gives the first view after each commit the state before it.
type staleDriver struct {
	kv.Driver
	mu    sync.Mutex
	stale kv.DriverTxn
}

func (d *staleDriver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.stale; o.ReadOnly && t != nil {
		d.stale = nil
		return t, nil
	}
	t, err := d.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	h := &hooks{DriverTxn: t}
	h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
		before, err := d.Driver.Begin(ctx, kv.BeginOptions{ReadOnly: true})
		if err != nil {
			return 0, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.stale != nil {
			d.stale.Release()
		}
		d.stale = before
		return t.Commit(ctx, c)
	}
	return h, nil
}

// cursorHooks is a cursor with some of its methods replaced.
type cursorHooks struct {
	kv.DriverCursor
	next func(ctx context.Context) bool
	seek func(ctx context.Context, key []byte) bool
}

func (h *cursorHooks) Next(ctx context.Context) bool {
	if h.next == nil {
		return h.DriverCursor.Next(ctx)
	}
	return h.next(ctx)
}

func (h *cursorHooks) Seek(ctx context.Context, key []byte) bool {
	if h.seek == nil {
		return h.DriverCursor.Seek(ctx, key)
	}
	return h.seek(ctx, key)
}

// twoCursors is a cursor that becomes another one at the first Seek.
type twoCursors struct {
	kv.DriverCursor
	other kv.DriverCursor
}

func (c *twoCursors) Seek(ctx context.Context, key []byte) bool {
	if c.other != nil {
		c.Close()
		c.DriverCursor, c.other = c.other, nil
	}
	return c.DriverCursor.Seek(ctx, key)
}

// ranged makes a mutant that opens its cursors on another range or otherwise.
func ranged(name string, change func(r *kv.Range, o *kv.CursorOptions)) mutant {
	return txns(name, "Iterators/scans: every combination", func(_ kv.Driver, h *hooks) {
		h.cursor = func(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
			change(&r, &o)
			return h.DriverTxn.Cursor(ctx, r, o)
		}
	})
}

func above(k []byte) []byte { return append(bytes.Clone(k), 0) }

func cursorMutants() []mutant {
	const scans, seeks = "Iterators/scans: every combination", "Iterators/seeks: every combination"
	return []mutant{
		ranged("end included", func(r *kv.Range, _ *kv.CursorOptions) {
			if r.End != nil {
				r.End = above(r.End)
			}
		}),
		ranged("start excluded", func(r *kv.Range, _ *kv.CursorOptions) {
			if len(r.Start) > 0 {
				r.Start = above(r.Start)
			}
		}),
		ranged("start ignored in reverse", func(r *kv.Range, o *kv.CursorOptions) {
			if o.Reverse {
				r.Start = nil
			}
		}),
		ranged("reversed bounds", func(r *kv.Range, o *kv.CursorOptions) {
			if o.Reverse && r.Start != nil && r.End != nil {
				r.Start, r.End = above(r.Start), above(r.End)
			}
		}),
		ranged("direction ignored", func(_ *kv.Range, o *kv.CursorOptions) { o.Reverse = false }),
		ranged("0xFF not below the end", func(r *kv.Range, _ *kv.CursorOptions) {
			if r.End == nil {
				r.End = []byte{0xFF}
			}
		}),
		txns("torn scan", "Isolation/G-single on BatchGet and scans", func(d kv.Driver, h *hooks) {
			h.cursor = func(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
				return fresh(ctx, d, func(t kv.DriverTxn) (kv.DriverCursor, error) {
					// Released too early, which the memory driver's cursors survive.
					return t.Cursor(ctx, r, o)
				})
			}
		}),
		cursors("a pair lost at each page border", "Iterators/page borders", func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
			n := 0
			return &cursorHooks{DriverCursor: c, next: func(ctx context.Context) bool {
				if n > 0 && o.PageSize > 0 && n%o.PageSize == 0 && !c.Next(ctx) {
					return false
				}
				n++
				return c.Next(ctx)
			}}
		}),
		cursors("a pair repeated at each page border", "Iterators/page borders", func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
			n := 0
			return &cursorHooks{DriverCursor: c, next: func(ctx context.Context) bool {
				if n > 0 && o.PageSize > 0 && n%o.PageSize == 0 {
					n = 0
					return true
				}
				n++
				return c.Next(ctx)
			}}
		}),
		cursors("page size taken for a limit", scans, func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
			n := 0
			return &cursorHooks{DriverCursor: c, next: func(ctx context.Context) bool {
				n++
				return (o.PageSize == 0 || n <= o.PageSize) && c.Next(ctx)
			}}
		}),
		cursors("Seek past its key", seeks, func(c kv.DriverCursor, _ kv.CursorOptions) kv.DriverCursor {
			return &cursorHooks{DriverCursor: c, seek: func(ctx context.Context, key []byte) bool {
				return c.Seek(ctx, key) && (!bytes.Equal(c.Key(), key) || c.Next(ctx))
			}}
		}),
		cursors("Seek ends at the end", seeks, func(c kv.DriverCursor, _ kv.CursorOptions) kv.DriverCursor {
			end := false
			h := &cursorHooks{DriverCursor: c}
			h.next = func(ctx context.Context) bool { end = !c.Next(ctx); return !end }
			h.seek = func(ctx context.Context, key []byte) bool { return !end && c.Seek(ctx, key) }
			return h
		}),
		cursors("Seek forward only", seeks, func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
			on := false
			h := &cursorHooks{DriverCursor: c}
			h.next = func(ctx context.Context) bool { on = c.Next(ctx); return on }
			h.seek = func(ctx context.Context, key []byte) bool {
				if on && (bytes.Compare(key, c.Key()) < 0) != o.Reverse {
					return true // stays where it is
				}
				on = c.Seek(ctx, key)
				return on
			}
			return h
		}),
		txns("Seek out of the range", seeks, func(_ kv.Driver, h *hooks) {
			h.cursor = func(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
				c, err := h.DriverTxn.Cursor(ctx, r, o)
				if err != nil {
					return nil, err
				}
				other, err := h.DriverTxn.Cursor(ctx, kv.Range{}, o)
				return &twoCursors{c, other}, err
			}
		}),
	}
}

// forced commits c whatever committed before.
func forced(ctx context.Context, d kv.Driver, c *kv.Commit) (kv.Version, error) {
	for {
		t, err := d.Begin(ctx, kv.BeginOptions{})
		if err != nil {
			return 0, err
		}
		v, err := t.Commit(ctx, c)
		t.Release()
		if !errors.Is(err, kv.ErrConflict) {
			return v, err
		}
	}
}

// without returns c with only those writes that keep accepts.
func without(c *kv.Commit, keep func(w kv.Write) bool) *kv.Commit {
	out := &kv.Commit{Locks: c.Locks, NoSync: c.NoSync}
	for _, w := range c.Writes {
		if keep(w) {
			out.Writes = append(out.Writes, w)
		}
	}
	return out
}

func conflictMutants() []mutant {
	return []mutant{
		txns("no conflict check", "Isolation/P4 lost update", func(d kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if errors.Is(err, kv.ErrConflict) {
					return forced(ctx, d, c)
				}
				return v, err
			}
		}),
		txns("ignored Lock", "Isolation/G2-item is prevented by Lock", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, NoSync: c.NoSync})
			}
		}),
		txns("only the first Lock counts", "Isolation/many locks", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, Locks: c.Locks[:min(1, len(c.Locks))], NoSync: c.NoSync})
			}
		}),
		txns("a Lock that only looks back", "Isolation/lock, then another's write", func(d kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				for _, k := range c.Locks {
					mine, err := h.DriverTxn.Get(ctx, k)
					if err != nil {
						return 0, err
					}
					now, err := fresh(ctx, d, func(t kv.DriverTxn) ([]byte, error) { return t.Get(ctx, k) })
					if err != nil {
						return 0, err
					}
					if !bytes.Equal(mine, now) {
						return 0, kv.ErrConflict
					}
				}
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, NoSync: c.NoSync})
			}
		}),
		txns("a Lock that writes", "Isolation/lock of an absent key", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				out := &kv.Commit{Writes: slices.Clone(c.Writes), NoSync: c.NoSync}
				for _, k := range c.Locks {
					out.Writes = append(out.Writes, kv.Write{Key: k, Value: []byte("locked")})
				}
				slices.SortFunc(out.Writes, func(a, b kv.Write) int { return bytes.Compare(a.Key, b.Key) })
				return h.DriverTxn.Commit(ctx, out)
			}
		}),
		txns("blind deletes of absent keys ignored", "Isolation/deletes of absent keys", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, without(c, func(w kv.Write) bool {
					old, err := h.DriverTxn.Get(ctx, w.Key)
					return w.Value != nil || old != nil || err != nil
				}))
			}
		}),
		txns("writes that change nothing ignored", "Isolation/P4 lost update", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, without(c, func(w kv.Write) bool {
					old, err := h.DriverTxn.Get(ctx, w.Key)
					return err != nil || !bytes.Equal(old, w.Value)
				}))
			}
		}),
		txns("half-applied commit", "Isolation/a commit is atomic", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				out := *c
				out.Writes = c.Writes[:(len(c.Writes)+1)/2]
				return h.DriverTxn.Commit(ctx, &out)
			}
		}),
		txns("deletes forgotten", "Functional/DeleteRange", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, without(c, func(w kv.Write) bool { return w.Value != nil }))
			}
		}),
		txns("reads validated", "Isolation/G2-item write skew is possible", func(_ kv.Driver, h *hooks) {
			reads := map[string]bool{}
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				for _, k := range keys {
					reads[string(k)] = true
				}
				return h.DriverTxn.BatchGet(ctx, keys)
			}
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				for _, w := range c.Writes {
					delete(reads, string(w.Key))
				}
				out := *c
				for k := range reads {
					out.Locks = append(out.Locks, []byte(k))
				}
				slices.SortFunc(out.Locks, bytes.Compare)
				return h.DriverTxn.Commit(ctx, &out)
			}
		}),
		txns("any commit is a conflict", "Isolation/disjoint transactions never conflict", func(d kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				now, err := fresh(ctx, d, func(t kv.DriverTxn) (kv.Version, error) { return t.ReadVersion(), nil })
				if err == nil && now > h.ReadVersion() {
					err = kv.ErrConflict
				}
				if err != nil {
					return 0, err
				}
				return h.DriverTxn.Commit(ctx, c)
			}
		}),
		drivers("a short conflict memory", "Isolation/conflicts across thousands of commits", func(d kv.Driver) kv.Driver {
			var commits atomic.Int64
			return wrapTxns(func(d kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
				began := commits.Load()
				h := &hooks{DriverTxn: t}
				h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
					if commits.Add(1) > began+1000 {
						return forced(ctx, d, c)
					}
					return t.Commit(ctx, c)
				}
				return h
			})(d)
		}),
		txns("errors show keys", "Isolation/blind writes", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if err != nil {
					err = fmt.Errorf("writing %x: %w", c.Writes, err)
				}
				return v, err
			}
		}),
	}
}
