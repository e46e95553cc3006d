//go:build linux || darwin

package bolt_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// TestUnreadablePage: a page in the middle of a value that the disk does not
// give is an error of the cursor, not the end of the process.
func TestUnreadablePage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	key, page := []byte("large"), os.Getpagesize()
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.Set(key, bytes.Repeat([]byte("v"), 8*page))
	}))
	var db *bbolt.DB
	require.True(t, s.As(&db))
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte("data")).Get(key)
		into := page - int(uintptr(unsafe.Pointer(&v[0]))%uintptr(page)) // where its second page begins
		return syscall.Mprotect(v[into+3*page:into+4*page], syscall.PROT_NONE)
	}))
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		c, err := tx.Cursor(t.Context(), kv.Range{}, nil)
		require.NoError(t, err)
		require.False(t, c.Next(t.Context()))
		require.ErrorIs(t, c.Err(), kv.ErrFailed)
		require.ErrorIs(t, c.Err(), kv.ErrCorrupt)
		return nil
	}))
	require.NoError(t, s.Close())
	s = open(t, file, &bolt.Options{Verify: true})
	require.Len(t, get(t, s, string(key)), 8*page)
}
