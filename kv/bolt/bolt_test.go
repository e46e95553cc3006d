package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

func Example() {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := bolt.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	err = store.Update(ctx, func(tx *kv.Txn) error {
		return tx.Set([]byte("greeting"), []byte("hello"))
	})
	if err != nil {
		panic(err)
	}
	err = store.View(ctx, func(tx *kv.Txn) error {
		v, err := tx.Get(ctx, []byte("greeting"))
		fmt.Printf("%s\n", v)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: hello
}

func ExampleCompact() {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "store")

	store, err := bolt.Open(file, nil)
	if err != nil {
		panic(err)
	}
	if err := store.Close(); err != nil {
		panic(err)
	}
	if err := bolt.Compact(file+".new", file); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		panic(err)
	}
	fmt.Println("compacted")
	// Output: compacted
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]*bolt.Options{
		"small MaxSize":        {MaxSize: bolt.MinMaxSize - 1},
		"negative MaxSize":     {MaxSize: -1},
		"negative LockTimeout": {LockTimeout: -1},
		"negative TxnLifetime": {Options: kv.Options{TxnLifetime: -1}},
		"no NoSync":            {Options: kv.Options{Durability: kv.NoSync}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bolt.Open(filepath.Join(t.TempDir(), "store"), o)
			require.ErrorIs(t, err, kv.ErrOptions)
		})
	}
}

func TestNewFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.Less(t, info.Size(), int64(2<<20), "the map's size is not the file's")
	var db *bbolt.DB
	require.True(t, s.As(&db))
	require.Equal(t, file, db.Path())
	require.False(t, s.As(new(int)))
	require.NoError(t, s.Close())

	_, err = bolt.Open(filepath.Join(file+"s", "store"), nil)
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = bolt.Open(filepath.Dir(file), nil)
	require.ErrorIs(t, err, kv.ErrUnavailable)
}

// TestEmptyFile: a crash between making a file and writing to it leaves one.
func TestEmptyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s := open(t, file, nil)
	set(t, s, "a", "1")
	require.Equal(t, "1", get(t, s, "a"))
}

// TestLifetimeRefused: an Open that fails gives back the file, and a new store
// does not keep what it was asked for.
func TestLifetimeRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, &bolt.Options{Options: kv.Options{TxnLifetime: time.Minute}})
	require.NoError(t, s.Close())
	_, err := bolt.Open(file, &bolt.Options{Options: kv.Options{TxnLifetime: time.Hour}})
	require.ErrorIs(t, err, kv.ErrOptions)
	s = open(t, file, nil)
	require.Equal(t, time.Minute, s.Info().TxnLifetime)
}

func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	_, err := bolt.Open(file, nil)
	require.ErrorIs(t, err, kv.ErrLocked)
	require.ErrorIs(t, bolt.Compact(file+".new", file), kv.ErrLocked)
	set(t, s, "a", "1") // it is none the worse
	require.NoError(t, s.Close())

	theirs, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	_, err = bolt.Open(file, nil)
	require.ErrorIs(t, err, kv.ErrLocked, "bbolt's lock is the same")
	require.NoError(t, theirs.Close())
	s = open(t, file, nil)
	require.Equal(t, "1", get(t, s, "a"))
}

// TestLockTimeout: Open waits for a store that is closed in time.
func TestLockTimeout(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	opened := make(chan error)
	go func() {
		s, err := bolt.Open(file, &bolt.Options{LockTimeout: time.Hour})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	require.NoError(t, s.Close())
	require.NoError(t, <-opened)
}

func TestForeignFiles(t *testing.T) {
	for name, fill := range map[string]func(tx *bbolt.Tx) error{
		"another program's": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("things"))
			return err
		},
		"a newer format": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("format"), binary.BigEndian.AppendUint64(nil, 2))
		},
		"format 0":         func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), make([]byte, 8)) },
		"a missing number": func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("version")) },
		"a version at the end of time": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("reserved"), bytes.Repeat([]byte{0xFF}, 8))
		},
		"a missing bucket": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("data")) },
		"a bucket among the data": func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("data")).CreateBucket([]byte("things"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "store")
			if name != "another program's" {
				require.NoError(t, open(t, file, nil).Close())
			}
			db, err := bbolt.Open(file, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, db.Update(fill))
			require.NoError(t, db.Close())
			want := kv.ErrCorrupt
			if name == "a newer format" {
				want = kv.ErrNewerFormat
			}
			for range 2 { // the first one gives back the lock
				_, err = bolt.Open(file, nil)
				require.ErrorIs(t, err, want)
				require.NotErrorIs(t, err, kv.ErrUnavailable)
			}
			require.ErrorIs(t, bolt.Compact(file+".new", file), want)
			require.NoFileExists(t, file+".new")
		})
	}
}

// TestFormat reads a store's file as docs/format.md describes it.
func TestFormat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, &bolt.Options{Options: kv.Options{TxnLifetime: time.Minute}})
	set(t, s, "a", "1")
	set(t, s, "b", "2")
	newest := version(t, s)
	require.NoError(t, s.Close())

	db, err := bbolt.Open(file, 0, &bbolt.Options{ReadOnly: true})
	require.NoError(t, err)
	got := map[string]string{}
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				got[string(bucket)+" "+string(k)] = string(v)
				return nil
			})
		})
	}))
	require.NoError(t, db.Close())
	number := func(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
	require.Equal(t, map[string]string{
		"data a":        "1",
		"data b":        "2",
		"meta format":   number(1),
		"meta lifetime": number(60_000_000_000),
		"meta reserved": number(uint64(newest)),
		"meta version":  number(uint64(newest)),
	}, got)
}

// TestVersionsAcrossReopen: versions ascend, and a store that is closed
// properly does not run ahead of the clock.
func TestVersionsAcrossReopen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	var last kv.Version
	for range 20 {
		s := open(t, file, nil)
		tx, err := s.Begin(t.Context(), nil)
		require.NoError(t, err)
		require.GreaterOrEqual(t, tx.ReadVersion(), last)
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		require.NoError(t, tx.Commit(t.Context()))
		require.Greater(t, tx.CommitVersion(), last)
		last = tx.CommitVersion()
		require.NoError(t, s.Close())
	}
	require.False(t, last.Time().After(time.Now()))
}

// TestLostTail: versions of commits that the disk has lost, as it may while
// they are not acknowledged, do not come again.
func TestLostTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	var before []byte
	var lost kv.Version
	for reserved := kv.Version(0); reserved <= lost; { // usually once
		var err error
		before, err = os.ReadFile(file)
		require.NoError(t, err)
		reserved = bolt.Look(s).Reserved()
		set(t, s, "a", "2")
		lost = version(t, s)
	}
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(file, before, 0o600))
	s = open(t, file, nil)
	require.Equal(t, "1", get(t, s, "a"))
	require.GreaterOrEqual(t, version(t, s), lost)
	tx := begin(t, s, "b")
	require.NoError(t, tx.Commit(t.Context()))
	require.Greater(t, tx.CommitVersion(), lost)
}

// TestMaxSize: passing it is an error of the commit that does, hangs nobody,
// and leaves a store that goes on.
func TestMaxSize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	o := &bolt.Options{MaxSize: bolt.MinMaxSize}
	s := open(t, file, o)
	reader, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true})
	require.NoError(t, err)
	defer reader.Rollback()
	value := strings.Repeat("v", 10_000)
	full := 0
	for ; err == nil; full++ {
		require.Less(t, full, bolt.MinMaxSize/len(value), "the file has grown past MaxSize")
		err = put(t, s, fmt.Sprint("key", full), value)
	}
	full--
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.NotErrorIs(t, err, kv.ErrCommitUnknown)
	require.ErrorContains(t, err, "MaxSize")
	require.Greater(t, full, 10)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(bolt.MinMaxSize))

	for i := range full {
		require.Equal(t, value, get(t, s, fmt.Sprint("key", i)))
	}
	require.Empty(t, get(t, s, fmt.Sprint("key", full)))
	reader.Rollback()
	set(t, s, "small", "1")
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.DeleteRange(t.Context(), kv.Range{Start: []byte("key")})
	}))
	for i := range full / 2 {
		set(t, s, fmt.Sprint("key", i), value)
	}
	require.NoError(t, s.Close())

	s = open(t, file, &bolt.Options{MaxSize: bolt.MinMaxSize, Verify: true})
	require.Equal(t, value, get(t, s, "key0"))
	require.NoError(t, s.Close())

	o.MaxSize *= 4
	s = open(t, file, o)
	for i := range 2 * full {
		set(t, s, fmt.Sprint("key", i), value)
	}
	require.NoError(t, s.Close())
	s = open(t, file, &bolt.Options{MaxSize: bolt.MinMaxSize, Verify: true}) // less than it has
	require.Equal(t, value, get(t, s, "key0"))
	require.ErrorIs(t, put(t, s, "large", strings.Repeat("v", 2<<20)), kv.ErrUnavailable)
	set(t, s, "small", "2")
}

func TestCompact(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	value := strings.Repeat("v", 1000)
	for i := range 10 {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for j := range 500 {
				if err := tx.Set(fmt.Appendf(nil, "%d/%d", i, j), []byte(value)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.DeleteRange(t.Context(), kv.Range{Start: []byte("1")})
	}))
	last := version(t, s)
	require.NoError(t, s.Close())

	small := file + ".new"
	require.NoError(t, bolt.Compact(small, file))
	before, err := os.Stat(file)
	require.NoError(t, err)
	after, err := os.Stat(small)
	require.NoError(t, err)
	require.Less(t, after.Size(), before.Size()/3)
	require.Equal(t, fs.FileMode(0o600), after.Mode().Perm())

	err = bolt.Compact(small, file)
	require.ErrorIs(t, err, kv.ErrOptions)
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorIs(t, bolt.Compact(file+".x", file+".none"), fs.ErrNotExist)
	require.NoFileExists(t, file+".none")

	a, b := open(t, file, nil), open(t, small, &bolt.Options{Verify: true})
	require.Equal(t, contents(t, a), contents(t, b))
	require.Len(t, contents(t, b), 500)
	require.GreaterOrEqual(t, version(t, b), last)
	require.Equal(t, a.Info(), b.Info())
}

// TestCompactLeftover: what an interrupted Compact left does no harm.
func TestCompactLeftover(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(file+".new.compacting", []byte("half"), 0o600))
	require.NoError(t, bolt.Compact(file+".new", file))
	require.NoFileExists(t, file+".new.compacting")
	require.Equal(t, "1", get(t, open(t, file+".new", nil), "a"))
}

// version is the ReadVersion of a new transaction.
func version(t testing.TB, s *kv.Store) kv.Version {
	t.Helper()
	tx, err := s.Begin(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	return tx.ReadVersion()
}

func contents(t testing.TB, s *kv.Store) map[string]string {
	t.Helper()
	var all map[string]string
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		all = scan(t, tx)
		return nil
	}))
	return all
}

func scan(t testing.TB, tx *kv.Txn) map[string]string {
	t.Helper()
	all := map[string]string{}
	for p, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
		require.NoError(t, err)
		all[string(p.Key)] = string(p.Value)
	}
	return all
}

// filling overwrites all pairs of a store with each call.
func filling(t *testing.T, s *kv.Store) func() {
	const keys = 2000
	value := bytes.Repeat([]byte("v"), 500)
	return func() {
		for part := range 4 {
			require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
				for i := part; i < keys; i += 4 {
					if err := tx.Set(fmt.Appendf(nil, "%04d", i), value); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}

// TestGrowth: an open snapshot blocks no writer, and pins what it sees. bbolt
// keeps pages by which the file has grown while it was open too, until it is
// released; once there are free pages, snapshots cost at most the live data.
func TestGrowth(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	fill := filling(t, s)
	fill()
	fill()
	live := size(t, file)
	for snapshot := range 2 {
		before := size(t, file)
		tx, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true})
		require.NoError(t, err)
		want := contents(t, s)
		for range 10 * (1 + snapshot) {
			fill()
		}
		require.Equal(t, want, scan(t, tx))
		tx.Rollback()
		t.Logf("from %d to %d KiB during snapshot %d", before>>10, size(t, file)>>10, snapshot)
		if snapshot > 0 {
			require.LessOrEqual(t, size(t, file), before)
		}
	}
	grown := size(t, file)
	for range 3 {
		fill()
	}
	require.Equal(t, grown, size(t, file), "pages of a released snapshot are used again")
	require.Greater(t, grown, live)
}

// TestGrowthEnds: a snapshot that is forgotten stops costing when its lifetime ends.
func TestGrowthEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	fill := filling(t, s)
	fill()
	fill()
	live := size(t, file)
	forgotten, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true, Lifetime: time.Nanosecond})
	require.NoError(t, err)
	for err == nil {
		_, err = forgotten.BatchGet(t.Context(), [][]byte{[]byte("0000")})
		runtime.Gosched()
	}
	require.ErrorIs(t, err, kv.ErrSnapshotTooOld)
	for range 20 {
		fill()
	}
	require.LessOrEqual(t, size(t, file), 2*live)
}

// TestInvalidOptionsLeaveNothing: what kv refuses is refused before a new
// store exists that has kept some of it.
func TestInvalidOptionsLeaveNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new")
	_, err := bolt.Open(file, &bolt.Options{Options: kv.Options{TxnLifetime: time.Hour, MaxAttempts: -1}})
	require.ErrorIs(t, err, kv.ErrOptions)
	require.NoFileExists(t, file)
}
