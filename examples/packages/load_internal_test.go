package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

func newDB(t *testing.T, store *kv.Store, err error) *tito.DB {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	db, err := openDB(t.Context(), store)
	require.NoError(t, err)
	return db
}

func memoryDB(t *testing.T, o kv.Options) *tito.DB {
	t.Helper()
	store, err := memory.Open(&memory.Options{Options: o})
	return newDB(t, store, err)
}

func ignore(figures) {}

func TestLoadTwice(t *testing.T) {
	stores(t, func(t *testing.T, url string) {
		store, err := openStore(t.Context(), url, false)
		db := newDB(t, store, err)
		o := newOracle(t, string(sample))
		for range 2 {
			f, err := load(t.Context(), db, strings.NewReader(string(sample)), loadOptions{}, ignore)
			require.NoError(t, err)
			require.Equal(t, o.figures(), f)
			o.requireHolds(t, db)
		}
	})
}

// A second list changes the packages it has and leaves the others.
func TestLoadUpdates(t *testing.T) {
	db := memoryDB(t, kv.Options{})
	first := "Package: a\nSection: s\nMaintainer: M <m@x>\nTag: x, y\nDepends: b\n\nPackage: b\nSize: 3\n\n"
	second := "Package: a\nSection: t\nMaintainer: N\nTag: y, z\nHomepage: h\nDepends: c\n\n"
	for _, list := range []string{first, second} {
		_, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
		require.NoError(t, err)
	}
	newOracle(t, first+second).requireHolds(t, db)
}

func TestLoadLastOfAName(t *testing.T) {
	list := `Package: a
Maintainer: one
Depends: b, c

Package: b
Maintainer: two

Package: a
Maintainer: three
Depends: c, d, e

Package: a
Maintainer: three
Pre-Depends: f

`
	db := memoryDB(t, kv.Options{})
	f, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
	require.NoError(t, err)
	require.Equal(t, figures{packages: 2, maintainers: 2, dependencies: 1}, f)
	newOracle(t, list).requireHolds(t, db)
}

// Dependency names count once for a package, whatever the field and version.
func TestLoadFigures(t *testing.T) {
	list := "Package: a\nMaintainer: x\nDepends: b (>= 1), b (<< 2), c | d, e:any\nPre-Depends: b, d\n\n" +
		"Package: b\nMaintainer: X\nDepends: a\n\nPackage: c\n\n"
	f, err := load(t.Context(), memoryDB(t, kv.Options{}), strings.NewReader(list), loadOptions{}, ignore)
	require.NoError(t, err)
	require.Equal(t, figures{packages: 3, maintainers: 2, dependencies: 4 + 1}, f)
}

func TestLoadInBatches(t *testing.T) {
	list := generate(2*batchRecords + 1)
	var reports []int
	_, err := load(t.Context(), memoryDB(t, kv.Options{}), strings.NewReader(list), loadOptions{}, func(f figures) {
		reports = append(reports, f.packages)
	})
	require.NoError(t, err)
	require.Equal(t, []int{batchRecords, 2 * batchRecords, 2*batchRecords + 1}, reports)
}

// generate makes an index of n packages.
func generate(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Package: p%06d\nMaintainer: M%d\n\n", i, i%7)
	}
	return b.String()
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	long := strings.Repeat(" x", batchBytes/6)
	var list strings.Builder
	for i := range 10 {
		fmt.Fprintf(&list, "Package: p%d\nDescription: %s\n\n", i, long)
	}
	var sizes []int
	err := parse(strings.NewReader(list.String()), 0, func(b batch) error {
		sizes = append(sizes, len(b))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{3, 3, 3, 1}, sizes) // each is a third of the bound, and its names
}

// A store that takes little in a transaction gets many small ones.
func TestLoadHalvesBatches(t *testing.T) {
	db := memoryDB(t, kv.Options{MaxTxnSize: 16 << 10})
	o := newOracle(t, string(sample))
	f, err := load(t.Context(), db, strings.NewReader(string(sample)), loadOptions{}, ignore)
	require.NoError(t, err)
	require.Equal(t, o.figures(), f)
	o.requireHolds(t, db)
}

func TestLoadRefusesWhatNoTransactionHolds(t *testing.T) {
	list := generate(5) + "Package: large\nDescription: " + strings.Repeat("x", 20<<10) + "\n\n" + generate(9)
	db := memoryDB(t, kv.Options{MaxTxnSize: 16 << 10})
	f, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
	require.ErrorIs(t, err, kv.ErrTxnTooLarge)
	require.ErrorContains(t, err, "line 16")
	require.Equal(t, 5, f.packages)
	newOracle(t, generate(5)).requireHolds(t, db)
}

// What is before a package that tito refuses is stored.
func TestLoadRefusesRecord(t *testing.T) {
	var names []string
	for i := range tito.MaxEntries + 1 {
		names = append(names, fmt.Sprintf("d%d", i))
	}
	list := generate(5) + "Package: needy\nDepends: " + strings.Join(names, ", ") + "\n\n" + generate(9)
	db := memoryDB(t, kv.Options{})
	f, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
	require.ErrorIs(t, err, tito.ErrTooManyEntries)
	require.ErrorContains(t, err, "line 16")
	require.Equal(t, 5, f.packages)
	newOracle(t, generate(5)).requireHolds(t, db)
}

// Values of the greatest length fit in the keys of every index.
func TestLoadLongestValues(t *testing.T) {
	long := strings.Repeat("x", maxText)
	list := fmt.Sprintf("Package: %s\nSection: %[1]s\nMaintainer: %[1]s\nHomepage: %[1]s\nTag: %[1]s\nDepends: %[1]s\n\n", long)
	db := memoryDB(t, kv.Options{})
	_, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
	require.NoError(t, err)
	newOracle(t, list).requireHolds(t, db)
}

func TestLoadStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	db := memoryDB(t, kv.Options{})
	f, err := load(ctx, db, strings.NewReader(generate(10*batchRecords)), loadOptions{}, func(f figures) {
		if f.packages == 2*batchRecords {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2*batchRecords, f.packages)
	n, err := packages.Count(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 2*batchRecords, n)
}

// A read that does not return, as from a terminal, does not keep load from
// ending.
func TestLoadLeavesABlockedRead(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	done := make(chan error)
	go func() {
		_, err := load(ctx, memoryDB(t, kv.Options{}), in, loadOptions{}, ignore)
		done <- err
	}()
	_, err := io.WriteString(w, "Package: a\n") // returns once it has been read
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// The load is durable when it returns, also after an error, and no commit
// before waited for that.
func TestLoadSyncsOnce(t *testing.T) {
	for _, list := range []string{generate(3 * batchRecords), generate(3*batchRecords) + "junk\n"} {
		w := &watcher{}
		db := memoryDB(t, kv.Options{Wrap: func(d kv.Driver) kv.Driver { w.Driver = d; return w }})
		w.noSync = nil // forget the catalogue's
		_, err := load(t.Context(), db, strings.NewReader(list), loadOptions{}, ignore)
		require.Equal(t, strings.HasSuffix(list, "junk\n"), err != nil)
		require.Equal(t, []bool{true, true, true}, w.noSync)
		require.Equal(t, []kv.Version{w.newest}, w.waits)
	}
}

func TestLoadReportsAFailingSync(t *testing.T) {
	failure := errors.New("disk on fire")
	w := &watcher{fail: failure}
	db := memoryDB(t, kv.Options{Wrap: func(d kv.Driver) kv.Driver { w.Driver = d; return w }})
	_, err := load(t.Context(), db, strings.NewReader(generate(1)), loadOptions{}, ignore)
	require.ErrorIs(t, err, failure)
}

// watcher notes how a driver is asked to make commits durable.
type watcher struct {
	kv.Driver
	noSync []bool       // of each commit
	newest kv.Version   // of a commit
	waits  []kv.Version // that were asked for
	fail   error        // what waiting returns
}

func (w *watcher) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	tx, err := w.Driver.Begin(ctx, o)
	return watchedTxn{tx, w}, err
}

func (w *watcher) WaitDurable(_ context.Context, v kv.Version) error {
	w.waits = append(w.waits, v)
	return w.fail
}

type watchedTxn struct {
	kv.DriverTxn
	w *watcher
}

func (t watchedTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	v, err := t.DriverTxn.Commit(ctx, c)
	t.w.noSync = append(t.w.noSync, c.NoSync)
	t.w.newest = v
	return v, err
}
