package kvfault_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
)

func counted(t testing.TB, calls *kvfault.Counting, n int) *kv.Store {
	t.Helper()
	s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: calls.Wrap}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		for i := range n {
			if err := tx.Set(fmt.Appendf(nil, "%03d", i), []byte("value")); err != nil {
				return err
			}
		}
		return nil
	}))
	calls.Reset()
	return s
}

func TestCountingCounts(t *testing.T) {
	var calls kvfault.Counting
	s := counted(t, &calls, 10)
	ctx := t.Context()
	require.Equal(t, kvfault.Counts{}, calls.Counts())

	tx, err := s.Begin(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, 1, calls.OpenTxns())
	_, err = tx.Get(ctx, []byte("001"))
	require.NoError(t, err)
	_, err = tx.BatchGet(ctx, [][]byte{[]byte("001"), []byte("002"), []byte("x")})
	require.NoError(t, err)
	require.NoError(t, tx.Set([]byte("abc"), []byte("12345")))
	require.NoError(t, tx.Delete([]byte("001")))
	require.NoError(t, tx.Lock(ctx, []byte("00")))
	_, err = tx.Get(ctx, []byte("abc")) // from the write set
	require.NoError(t, err)
	require.NoError(t, tx.Commit(ctx))
	_, err = s.Watermark(ctx)
	require.NoError(t, err)
	require.NoError(t, s.WaitDurable(ctx, tx.CommitVersion()))
	require.NoError(t, s.View(ctx, func(*kv.Txn) error { return nil }))

	got := calls.Counts()
	require.Equal(t, kvfault.Counts{
		Begins: 1, ViewBegins: 1, Gets: 1, BatchGets: 1, BatchKeys: 3,
		Commits: 1, Writes: 2, Locks: 1, WriteBytes: 8 + 3 + 2,
		Watermarks: 1, WaitDurables: 1,
	}, got)
	require.Equal(t, 2, got.Reads())
	require.Equal(t, 5, got.RoundTrips())
	require.Zero(t, calls.OpenTxns())
}

func TestCountingPages(t *testing.T) {
	var calls kvfault.Counting
	s := counted(t, &calls, 10)
	for _, c := range []struct {
		o              kv.ScanOptions
		entries, pages int
	}{
		{kv.ScanOptions{}, 10, 1},
		{kv.ScanOptions{PageSize: 3}, 10, 4},
		{kv.ScanOptions{PageSize: 5}, 10, 3}, // a full page does not tell that it is the last
		{kv.ScanOptions{PageSize: 11}, 10, 1},
		{kv.ScanOptions{PageSize: 1}, 10, 11},
		{kv.ScanOptions{Limit: 4}, 4, 1},
		{kv.ScanOptions{Limit: 4, PageSize: 2}, 4, 2},
		{kv.ScanOptions{Limit: 5, PageSize: 2}, 5, 3},
	} {
		got := calls.Measure(func() {
			require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
				for _, err := range tx.Scan(t.Context(), kv.Range{}, &c.o) {
					require.NoError(t, err)
				}
				return nil
			}))
		})
		require.Equal(t, kvfault.Counts{ViewBegins: 1, Cursors: 1, Entries: c.entries, Pages: c.pages}, got, "%+v", c.o)
	}
	require.Zero(t, calls.OpenCursors())

	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		calls.Reset()
		c, err := tx.Cursor(t.Context(), kv.Range{}, &kv.ScanOptions{PageSize: 4})
		require.NoError(t, err)
		require.Equal(t, 1, calls.OpenCursors())
		require.True(t, c.Seek(t.Context(), []byte("002")))
		require.True(t, c.Next(t.Context()))
		require.True(t, c.Seek(t.Context(), []byte("008")))
		require.True(t, c.Next(t.Context()))
		require.False(t, c.Next(t.Context()))
		require.False(t, c.Next(t.Context()))
		require.Equal(t, kvfault.Counts{Cursors: 1, Seeks: 2, Entries: 4, Pages: 2}, calls.Counts())
		return nil
	}))
}

// verdict is a testing.TB that only notes that a test failed.
type verdict struct {
	testing.TB
	failed bool
}

func (v *verdict) Helper()               {}
func (v *verdict) Errorf(string, ...any) { v.failed = true }

func TestCountingExpect(t *testing.T) {
	var calls kvfault.Counting
	s := counted(t, &calls, 10)
	work := func() {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for _, err := range tx.Scan(t.Context(), kv.Range{}, &kv.ScanOptions{PageSize: 5}) {
				require.NoError(t, err)
			}
			return tx.Set([]byte("a"), []byte("1"))
		}))
	}
	for _, c := range []struct {
		name   string
		budget kvfault.Counts
		kept   bool
	}{
		{"exact", kvfault.Counts{Begins: 1, Cursors: 1, Entries: 11, Pages: 3, Commits: 1, Writes: 1}, true},
		{"bounds left open", kvfault.Counts{Cursors: 1, Commits: 1}, true},
		{"bounds not reached", kvfault.Counts{Begins: 2, Cursors: 1, Entries: 50, Pages: 9, Commits: 1}, true},
		{"too many entries", kvfault.Counts{Cursors: 1, Commits: 1, Entries: 5}, false},
		{"too many pages", kvfault.Counts{Cursors: 1, Commits: 1, Pages: 2}, false},
		{"one commit too many", kvfault.Counts{Cursors: 1}, false},
		{"a commit missing", kvfault.Counts{Cursors: 1, Commits: 2}, false},
		{"a cursor too many", kvfault.Counts{Commits: 1}, false},
		{"a get missing", kvfault.Counts{Gets: 1, Cursors: 1, Commits: 1}, false},
	} {
		v := &verdict{TB: t}
		calls.Expect(v, c.budget, work)
		require.Equal(t, c.kept, !v.failed, c.name)
	}
}

func ExampleCounting() {
	ctx := context.Background()
	var calls kvfault.Counting
	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: calls.Wrap}})
	if err != nil {
		panic(err)
	}
	defer store.Close()

	spent := calls.Measure(func() {
		err = store.Update(ctx, func(tx *kv.Txn) error {
			if _, err := tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("b")}); err != nil {
				return err
			}
			return tx.Set([]byte("a"), []byte("1"))
		})
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(spent)
	fmt.Println("round trips:", spent.RoundTrips())
	// Output:
	// Begins 1, BatchGets 1, BatchKeys 2, Commits 1, Writes 1, WriteBytes 2
	// round trips: 2
}
