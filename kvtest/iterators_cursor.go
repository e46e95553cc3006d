package kvtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
)

func cursorCases() []testCase {
	return []testCase{
		{name: "an early break releases", run: earlyBreak},
		{name: "writes during a scan are not seen", run: writesDuringScan},
		{name: "commits of others during a scan are not seen", run: commitsDuringScan},
		{name: "several cursors at once", run: severalCursors},
		{name: "an error comes once and last", run: errorOnceAndLast},
		{name: "an error when a cursor is opened", run: errorOnOpen},
		{name: "a cursor after its Close", run: cursorAfterClose},
		{name: "Commit with open cursors", run: commitOpenCursors},
		{name: "a long walk", run: longWalk},
		{name: "keys only", run: keysOnly},
	}
}

// numbered commits n keys "000", "001" and so on, in transactions of 500.
func (f *fixture) numbered(n int) {
	for i := 0; i < n; {
		tx := f.begin()
		for end := min(n, i+500); i < end; i++ {
			name := fmt.Sprintf("%05d", i)
			f.set(tx, name, name)
		}
		f.commit(tx)
	}
}

// earlyBreak: the guard sees that the driver's cursors are closed, since it refuses
// Commit and Release while a cursor is open.
func earlyBreak(f *fixture) {
	f.numbered(10)
	tx := f.begin()
	c := &kvfault.Counting{}
	for _, reverse := range []bool{false, true} {
		for n := range 10 {
			seen := 0
			for _, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse, PageSize: 3}) {
				f.ok(err)
				if seen == n {
					break
				}
				seen++
			}
			require.Equal(f, n, seen)
		}
	}
	f.open(&kv.Options{Wrap: c.Wrap})
	f.numbered(10)
	tx = f.begin()
	for _, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
		f.ok(err)
		break
	}
	require.Zero(f, c.OpenCursors(), "released at the break, not at the end of the transaction")
	func() {
		defer func() { _ = recover() }()
		for _, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
			f.ok(err)
			panic("in the loop's body")
		}
	}()
	require.Zero(f, c.OpenCursors(), "released by a panic")
	for _, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Limit: 2}) {
		f.ok(err)
	}
	require.Zero(f, c.OpenCursors(), "released at the limit")
}

func writesDuringScan(f *fixture) {
	for _, reverse := range []bool{false, true} {
		for _, dirty := range []bool{false, true} { // with a write set at the start, and without
			f.open(nil)
			f.put("b", "1", "d", "2", "f", "3")
			tx := f.begin()
			if dirty {
				f.set(tx, "d", "22")
			}
			want := f.scan(tx)
			var got []string
			for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse, PageSize: 1}) {
				f.ok(err)
				got = append(got, unmark(p.Key)+"="+unmark(p.Value))
				f.set(tx, "a", "new", "c", "new", "e", "new", "g", "new")
				f.del(tx, "b", "d", "f")
			}
			require.ElementsMatch(f, want, got)
			require.Equal(f, []string{"a=new", "c=new", "e=new", "g=new"}, f.scan(tx))
		}
	}
}

// commitsDuringScan: deleting and inserting around a cursor must not move it.
func commitsDuringScan(f *fixture) {
	f.numbered(50)
	for _, reverse := range []bool{false, true} {
		tx := f.view()
		want := f.scan(tx)
		n := 0
		for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse, PageSize: 7}) {
			f.ok(err)
			at := n
			if reverse {
				at = len(want) - 1 - n
			}
			require.Equal(f, want[at], unmark(p.Key)+"="+unmark(p.Value))
			if n++; n%10 == 5 {
				other := f.begin()
				for i := range 50 {
					f.set(other, fmt.Sprintf("%05d.%d", i, n), "new")
				}
				f.del(other, fmt.Sprintf("%05d", n), fmt.Sprintf("%05d", n+1), fmt.Sprintf("%05d", 49-n))
				f.commit(other)
			}
		}
		require.Equal(f, len(want), n)
		tx.Rollback()
		reset := f.begin()
		f.ok(reset.DeleteRange(f.ctx, kv.Range{}))
		f.commit(reset)
		f.numbered(50)
	}
}

func severalCursors(f *fixture) {
	f.numbered(20)
	tx := f.begin()
	f.del(tx, "00003")
	want := f.scan(tx)
	var cursors []*kv.Cursor
	for i := range 6 {
		c, err := tx.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: i%2 == 1, KeysOnly: i%3 == 1, PageSize: i})
		f.ok(err)
		cursors = append(cursors, c)
	}
	for i := range want {
		for j, c := range cursors { // interleaved, and each goes its own way
			require.True(f, c.Next(f.ctx))
			at := i
			if j%2 == 1 {
				at = len(want) - 1 - i
			}
			name := unmark(c.Key())
			require.Equal(f, want[at], name+"="+name)
			require.Equal(f, name, f.get(tx, name), "reads beside the cursors")
		}
	}
	for _, c := range cursors {
		require.False(f, c.Next(f.ctx))
		f.ok(c.Err())
		c.Close()
	}
}

// failingCursor fails once it has returned so many pairs.
type failingCursor struct {
	kv.DriverCursor
	left int
	err  error
	over bool
}

func (c *failingCursor) Next(ctx context.Context) bool {
	if c.left == 0 {
		c.over = true
	}
	c.left--
	return !c.over && c.DriverCursor.Next(ctx)
}

func (c *failingCursor) Seek(ctx context.Context, key []byte) bool {
	if c.left == 0 {
		c.over = true
	}
	c.left--
	return !c.over && c.DriverCursor.Seek(ctx, key)
}

func (c *failingCursor) Err() error {
	if c.over {
		return c.err
	}
	return c.DriverCursor.Err()
}

func errorOnceAndLast(f *fixture) {
	broken := errors.New("broken")
	for after := range 4 {
		f.open(&kv.Options{Wrap: wrapCursors(func(c kv.DriverCursor, _ kv.Range, _ kv.CursorOptions) kv.DriverCursor {
			return &failingCursor{DriverCursor: c, left: after, err: broken}
		})})
		f.put("a", "1", "c", "2", "e", "3", "g", "4")
		tx := f.begin()
		for _, own := range []bool{false, true} {
			if own { // the error comes before own keys that follow it
				f.set(tx, "h", "own")
			}
			pairs, failures := 0, 0
			for p, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
				require.Zero(f, failures, "nothing comes after the error")
				if err != nil {
					failures++
					f.fails(err, broken)
					require.Empty(f, p)
					continue
				}
				pairs++
			}
			require.Equal(f, 1, failures)
			require.Equal(f, after, pairs)

			c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
			f.ok(err)
			for c.Next(f.ctx) {
				continue
			}
			for range 2 {
				f.fails(c.Err(), broken)
				require.False(f, c.Next(f.ctx))
				require.False(f, c.Seek(f.ctx, key("a")))
			}
			c.Close()
			f.fails(c.Err(), broken)
			f.fails(tx.DeleteRange(f.ctx, kv.Range{}), broken)
			break // DeleteRange has written
		}
		require.Equal(f, "1", f.get(f.view(), "a"), "other reads go on")
	}
}

// closedTxn fails to open cursors.
type closedTxn struct {
	kv.DriverTxn
	err error
}

func (t *closedTxn) Cursor(context.Context, kv.Range, kv.CursorOptions) (kv.DriverCursor, error) {
	return nil, t.err
}

func errorOnOpen(f *fixture) {
	f.open(&kv.Options{Wrap: wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		return &closedTxn{t, kv.ErrUnavailable}
	})})
	tx := f.begin()
	_, err := tx.Cursor(f.ctx, kv.Range{}, nil)
	f.fails(err, kv.ErrUnavailable)
	yields := 0
	for _, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
		yields++
		f.fails(err, kv.ErrUnavailable)
	}
	require.Equal(f, 1, yields)
	f.fails(tx.DeleteRange(f.ctx, kv.Range{}), kv.ErrUnavailable)
	f.set(tx, "a", "1")
	f.commit(tx)
}

func cursorAfterClose(f *fixture) {
	f.put("a", "1", "b", "2")
	tx := f.begin()
	f.set(tx, "c", "3")
	for _, moves := range []int{0, 1, 3, 4} {
		c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
		f.ok(err)
		for range moves {
			c.Next(f.ctx)
		}
		c.Close()
		c.Close()
		require.False(f, c.Next(f.ctx))
		require.False(f, c.Seek(f.ctx, key("a")))
		require.False(f, c.Next(f.ctx))
		f.ok(c.Err())
	}
	empty, err := tx.Cursor(f.ctx, kv.Range{Start: key("b"), End: key("a")}, nil)
	f.ok(err)
	require.False(f, empty.Next(f.ctx))
	require.False(f, empty.Seek(f.ctx, key("a")))
	empty.Close()
	f.commit(tx)
	empty.Close()
}

func commitOpenCursors(f *fixture) {
	f.put("a", "1", "b", "2")
	for _, name := range []string{"c", ""} { // with a write and without
		tx := f.begin()
		if name != "" {
			f.set(tx, name, "3")
		}
		var cursors []*kv.Cursor
		for range 3 {
			c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
			f.ok(err)
			require.True(f, c.Next(f.ctx))
			cursors = append(cursors, c)
		}
		f.commit(tx)
		for _, c := range cursors {
			require.False(f, c.Next(f.ctx))
			f.fails(c.Err(), kv.ErrTxnDone)
			c.Close()
		}
	}
}

// longWalk is long enough for every engine's own batches, and mixes in own writes.
func longWalk(f *fixture) {
	const n = 3000
	f.numbered(n)
	tx := f.begin()
	want := n
	for i := 0; i < n; i += 7 {
		f.del(tx, fmt.Sprintf("%05d", i))
		want--
	}
	for i := 0; i < n; i += 11 {
		f.set(tx, fmt.Sprintf("%05d.5", i), "own")
		want++
	}
	for _, o := range []*kv.ScanOptions{nil, {Reverse: true}, {PageSize: 100}, {Reverse: true, PageSize: 1000, KeysOnly: true}} {
		got, last := 0, ""
		for p, err := range tx.Scan(f.ctx, kv.Range{}, o) {
			f.ok(err)
			k := unmark(p.Key)
			if got > 0 && (k > last) == (o != nil && o.Reverse) {
				require.Failf(f, "out of order", "%s then %s", last, k)
			}
			last = k
			got++
		}
		require.Equal(f, want, got)
	}
}

func keysOnly(f *fixture) {
	f.put("a", "1", "b", "2")
	tx := f.begin()
	f.set(tx, "b", "22", "c", "33")
	c, err := tx.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{KeysOnly: true})
	f.ok(err)
	defer c.Close()
	for _, name := range []string{"a", "b", "c"} {
		require.True(f, c.Next(f.ctx))
		require.Equal(f, key(name), c.Key())
		require.Nil(f, c.Value())
	}
	require.True(f, c.Seek(f.ctx, key("b")))
	require.Nil(f, c.Value())
	require.Equal(f, "22", f.get(tx, "b"), "values can be read beside it")
}
