package pebble_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

// private walks a folder and fails for each file that others can read. The store may
// be open, and remove files meanwhile.
func private(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		}
		require.Zero(t, info.Mode().Perm()&0o077, "%s: %v", filepath.Base(name), info.Mode())
		return nil
	}))
}

// TestPrivate: nobody else can read the files of a store, through flushes,
// compactions, recycled logs and in a copy; a directory that was there is left alone.
func TestPrivate(t *testing.T) {
	parent := t.TempDir()
	made, there := filepath.Join(parent, "a", "b"), filepath.Join(parent, "there")
	require.NoError(t, os.Mkdir(there, 0o755))
	require.NoError(t, os.Chmod(there, 0o755)) //nolint:gosec // on purpose
	for _, dir := range []string{made, there} {
		s, err := pebble.Open(dir, &pebble.Options{MemTableSize: pebble.MinMemTableSize})
		require.NoError(t, err)
		for i := range 100 {
			require.NoError(t, s.Run(t.Context(), &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error {
				return tx.Set(key(string(rune('a'+i%7))), make([]byte, 10_000))
			}))
		}
		_, err = pebble.Open(dir, nil)
		require.ErrorIs(t, err, kv.ErrLocked)
		_, err = pebble.Open(dir, nil)
		require.ErrorIs(t, err, kv.ErrLocked, "the lock is still held")
		copied := filepath.Join(parent, filepath.Base(dir)+".copy")
		require.NoError(t, pebble.Checkpoint(s, copied))
		private(t, copied)
		if dir == made {
			private(t, dir)
		}
		require.NoError(t, s.Close())
		s, err = pebble.Open(dir, nil)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	private(t, filepath.Join(parent, "a"))
	info, err := os.Stat(there)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), info.Mode().Perm())
	names, err := os.ReadDir(there)
	require.NoError(t, err)
	for _, n := range names {
		private(t, filepath.Join(there, n.Name()))
	}
}
