package bolt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// quick makes a store forget to sync, for tests with many commits.
func quick(t testing.TB, s *kv.Store) *bbolt.DB {
	t.Helper()
	var db *bbolt.DB
	require.True(t, s.As(&db))
	db.NoSync = true
	return db
}

// rows loads n pairs.
func rows(t testing.TB, s *kv.Store, n int) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for i := from; i < min(n, from+1000); i++ {
				if err := tx.Set(fmt.Appendf(nil, "row%07d", i), make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// smallCommits changes three of n rows in each, all rows in turn.
func smallCommits(t testing.TB, s *kv.Store, n, commits int) time.Duration {
	t.Helper()
	start := time.Now()
	for c := range commits {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for k := range 3 {
				value := fmt.Appendf(make([]byte, 0, 100), "%0100d", c)
				if err := tx.Set(fmt.Appendf(nil, "row%07d", (c+k*n/3)%n), value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return time.Since(start) / time.Duration(commits)
}

// consistent has bbolt check the whole database, unused pages included.
func consistent(t testing.TB, db *bbolt.DB) {
	t.Helper()
	tx, err := db.Begin(true)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	for err := range tx.Check() {
		t.Error(err)
	}
}

func view(t testing.TB, s *kv.Store) *kv.Txn {
	t.Helper()
	tx, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true, Lifetime: time.Hour})
	require.NoError(t, err)
	t.Cleanup(tx.Rollback)
	return tx
}

// TestGrowthUnderSnapshot: many small commits under one snapshot make the file
// larger by what the snapshot pins, the live data at most, and some free pages.
func TestGrowthUnderSnapshot(t *testing.T) {
	const n = 6000
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	rows(t, s, n)
	alone := smallCommits(t, s, n, 1000)
	live := size(t, file)
	tx := view(t, s)
	want := scan(t, tx)
	under := smallCommits(t, s, n, 20_000)
	grown := size(t, file)
	require.LessOrEqual(t, grown, 2*live+4<<20)
	require.Equal(t, want, scan(t, tx))
	consistent(t, db)
	tx.Rollback()
	after := smallCommits(t, s, n, 1000)
	require.Equal(t, grown, size(t, file), "the snapshot's pages are used again")
	consistent(t, db)
	t.Logf("%d, %d KiB; a commit takes %v, %v under the snapshot, %v after it", live>>10, grown>>10, alone, under, after)

	got := contents(t, s)
	require.NoError(t, s.Close())
	require.Equal(t, got, contents(t, open(t, file, &bolt.Options{Verify: true})))
}

// TestGrowthUnderSnapshots: each of several snapshots that overlap pins the live
// data once.
func TestGrowthUnderSnapshots(t *testing.T) {
	const n, snapshots = 3000, 6
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	rows(t, s, n)
	live := size(t, file)
	var views []*kv.Txn
	var want []map[string]string
	for i := range 2 * snapshots {
		if i >= snapshots {
			views[i-snapshots].Rollback()
		}
		views = append(views, view(t, s))
		want = append(want, contents(t, s))
		smallCommits(t, s, n, 2000)
		require.LessOrEqual(t, size(t, file), live*(2+min(int64(i), snapshots))+4<<20)
		for j := max(0, i-snapshots+1); j <= i; j++ {
			require.Equal(t, want[j], scan(t, views[j]))
		}
		consistent(t, db)
	}
}

// TestLargeValuesUnderSnapshot: values that take many pages in a row find them too.
func TestLargeValuesUnderSnapshot(t *testing.T) {
	const keys, valueSize = 10, 100 << 10
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	write := func(i int) { set(t, s, fmt.Sprint("large", i%keys), string(make([]byte, valueSize))+fmt.Sprint(i)) }
	for i := range keys {
		write(i)
	}
	rows(t, s, 1000)
	live := size(t, file)
	view(t, s)
	for i := range 1000 {
		write(i)
		smallCommits(t, s, 1000, 3)
	}
	require.LessOrEqual(t, size(t, file), 3*live+16<<20)
	consistent(t, db)
}

// TestSmallStoreStaysSmall: a store without long snapshots has no spare pages to speak of.
func TestSmallStoreStaysSmall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	quick(t, s)
	rows(t, s, 1000)
	smallCommits(t, s, 1000, 1000)
	require.Less(t, size(t, file), int64(3<<20))
}

// TestMaxSizeUnderSnapshot: the file does not pass MaxSize for the sake of free pages.
func TestMaxSizeUnderSnapshot(t *testing.T) {
	const n = 2000
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, &bolt.Options{MaxSize: bolt.MinMaxSize})
	db := quick(t, s)
	rows(t, s, n)
	tx := view(t, s)
	want := scan(t, tx)
	var err error
	for i := 0; err == nil && i < 5000; i++ {
		err = put(t, s, fmt.Sprintf("row%07d", i%n), fmt.Sprint(i, string(make([]byte, 100))))
	}
	if err != nil {
		require.ErrorIs(t, err, kv.ErrFull)
	}
	require.LessOrEqual(t, size(t, file), int64(bolt.MinMaxSize))
	require.Equal(t, want, scan(t, tx))
	consistent(t, db)
	tx.Rollback()
	smallCommits(t, s, n, 100)
}

// TestFilesWithoutList: a copy of the file from under a store that has written
// no list of free pages, as a crash leaves it, opens with the same contents.
func TestFilesWithoutList(t *testing.T) {
	const n = 2000
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	rows(t, s, n)
	view(t, s)
	with, without := 0, 0
	for range 40 {
		smallCommits(t, s, n, 50)
		if bolt.Look(s).Listed() {
			with++
		} else {
			without++
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		name := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		after := open(t, name, nil)
		require.Equal(t, contents(t, s), contents(t, after))
		smallCommits(t, after, n, 3)
		require.NoError(t, after.Close())
		after = open(t, name, &bolt.Options{Verify: true})
		require.True(t, bolt.Look(after).Listed(), "Close writes it")
		consistent(t, quick(t, after))
		require.NoError(t, after.Close())
	}
	require.Positive(t, without)
	t.Log(with, without)
	consistent(t, db)
}

// TestExtensionInterrupted: whatever part of the last write of an extension has
// reached the disk, the store is the same.
func TestExtensionInterrupted(t *testing.T) {
	const n, metaAt, metaSize = 1000, 16, 64
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	rows(t, s, n)
	view(t, s)
	smallCommits(t, s, n, 100)
	want := contents(t, s)
	before := size(t, file)
	require.NoError(t, bolt.Look(s).Extend())
	require.Greater(t, size(t, file), before)
	require.True(t, bolt.Look(s).Listed())
	consistent(t, db)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	newest := engineTxn(t, s) % 2 * os.Getpagesize()
	for at := range metaSize {
		b := bytes.Clone(whole)
		clear(b[newest+metaAt+at : newest+os.Getpagesize()])
		name := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		after := open(t, name, &bolt.Options{Verify: true})
		db := quick(t, after)
		require.Equal(t, want, contents(t, after))
		smallCommits(t, after, n, 20)
		consistent(t, db)
		require.NoError(t, after.Close())
	}
}

// TestExtendBesideReaders: snapshots that are opened while the database is
// extended see one state.
func TestExtendBesideReaders(t *testing.T) {
	const n, readers = 100, 2
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	db := quick(t, s)
	all := func(v int) {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for i := range n {
				if err := tx.Set(fmt.Appendf(nil, "row%07d", i), fmt.Appendf(nil, "%0100d", v)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	all(0)
	var stop atomic.Bool
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			for last := ""; !stop.Load(); {
				got := contents(t, s)
				first := got["row0000000"]
				for _, v := range got {
					if v != first || len(got) != n || v < last {
						t.Error("not one state, or an older one")
						return
					}
				}
				last = first
			}
		})
	}
	before := size(t, file)
	var held []*kv.Txn
	for v := range 20 {
		held = append(held, view(t, s))
		if len(held) > 4 {
			held[0].Rollback()
			held = held[1:]
		}
		bolt.Look(s).WantPages()
		all(v + 1)
	}
	stop.Store(true)
	running.Wait()
	require.GreaterOrEqual(t, size(t, file), before+20<<20, "it was extended each time")
	consistent(t, db)
}
