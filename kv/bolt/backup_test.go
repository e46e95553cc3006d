package bolt_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
)

func ExampleBackup() {
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
	if err := bolt.Backup(context.Background(), store, filepath.Join(dir, "monday")); err != nil {
		panic(err)
	}
	backup, err := bolt.Open(filepath.Join(dir, "monday"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("opened", backup.Info().Name)
	_ = backup.Close()
	// Output: opened bolt
}

// writer commits until it is stopped, and returns how many it made then.
func writer(t *testing.T, s *kv.Store) (stop func() int) {
	done, commits := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-done:
				commits <- n
				return
			default:
			}
			if err := put(t, s, fmt.Sprintf("row%07d", n%1000), fmt.Sprint(n)); err != nil {
				t.Error(err)
			}
		}
	}()
	return func() int {
		close(done)
		return <-commits
	}
}

// rows sets n rows of 100 bytes.
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

// TestBackup copies a state of a store beside a writer.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store"), nil)
	rows(t, s, 5000)
	set(t, s, "before", "1")
	version := version(t, s)
	stop := writer(t, s)
	file := filepath.Join(dir, "backup")
	require.NoError(t, bolt.Backup(t.Context(), s, file))
	stop()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	b := open(t, file, &bolt.Options{Verify: true})
	require.Len(t, contents(t, b), 5001)
	require.Equal(t, "1", get(t, b, "before"))
	tx, err := b.Begin(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	require.GreaterOrEqual(t, tx.ReadVersion(), version)
	var db *bbolt.DB
	require.True(t, b.As(&db))
	consistent(t, db)
	set(t, s, "after", "1")
}

func TestBackupErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	for _, there := range []string{file, dir} {
		err := bolt.Backup(t.Context(), s, there)
		require.ErrorIs(t, err, kv.ErrOptions)
		require.ErrorIs(t, err, fs.ErrExist)
	}
	require.ErrorIs(t, bolt.Backup(t.Context(), s, filepath.Join(dir, "none", "b")), fs.ErrNotExist)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, bolt.Backup(ctx, s, filepath.Join(dir, "b")), context.Canceled)
	require.NoFileExists(t, filepath.Join(dir, "b"))

	other, err := memory.Open(nil)
	require.NoError(t, err)
	defer other.Close()
	require.ErrorIs(t, bolt.Backup(t.Context(), other, filepath.Join(dir, "b")), kv.ErrOptions)
	require.NoError(t, s.Close())
	require.Error(t, bolt.Backup(t.Context(), s, filepath.Join(dir, "b")))
	require.Equal(t, "1", get(t, open(t, file, &bolt.Options{Verify: true}), "a"))
}

// TestEngineCopies: bbolt's own ways of copying work beside a writer, and leave
// the store as it is.
func TestEngineCopies(t *testing.T) {
	for name, copyTo := range map[string]func(tx *bbolt.Tx, file string) error{
		"CopyFile": func(tx *bbolt.Tx, file string) error { return tx.CopyFile(file, 0o600) },
		"WriteTo": func(tx *bbolt.Tx, file string) error {
			var b bytes.Buffer
			_, err := tx.WriteTo(&b)
			return cmp.Or(err, os.WriteFile(file, b.Bytes(), 0o600))
		},
		"WriteTo with WriteFlag": func(tx *bbolt.Tx, file string) error {
			tx.WriteFlag = syscall.O_SYNC
			var b bytes.Buffer
			_, err := tx.WriteTo(&b)
			return cmp.Or(err, os.WriteFile(file, b.Bytes(), 0o600))
		},
		"Copy": func(tx *bbolt.Tx, file string) error {
			var b bytes.Buffer
			err := tx.Copy(&b) //nolint:staticcheck // deprecated, and in use
			return cmp.Or(err, os.WriteFile(file, b.Bytes(), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "store")
			s := open(t, file, nil)
			rows(t, s, 1000)
			var db *bbolt.DB
			require.True(t, s.As(&db))
			stop := writer(t, s)
			for i := range 3 {
				copied := fmt.Sprint(file, i)
				require.NoError(t, db.View(func(tx *bbolt.Tx) error { return copyTo(tx, copied) }))
				b := open(t, copied, &bolt.Options{Verify: true})
				require.Len(t, contents(t, b), 1000)
				require.NoError(t, b.Close())
			}
			n := stop()
			_, err := bolt.Open(file, nil)
			require.ErrorIs(t, err, kv.ErrLocked)
			want := contents(t, s)
			if n > 0 {
				require.Equal(t, fmt.Sprint(n-1), want[fmt.Sprintf("row%07d", (n-1)%1000)])
			}
			require.NoError(t, s.Close())
			require.Equal(t, want, contents(t, open(t, file, &bolt.Options{Verify: true})))
		})
	}
}

// TestCopyFileOntoItself: bbolt would empty its own file.
func TestCopyFileOntoItself(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	var db *bbolt.DB
	require.True(t, s.As(&db))
	require.NoError(t, os.Symlink(file, file+".link"))
	for _, name := range []string{file, file + ".link"} {
		require.Error(t, db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(name, 0o600) }))
	}
	set(t, s, "b", "2")
	require.NoError(t, s.Close())
	require.Len(t, contents(t, open(t, file, &bolt.Options{Verify: true})), 2)
}
