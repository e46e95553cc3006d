package pebble_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestVersionsDoNotRunAhead: a clean end gives back versions that were
// reserved, so that opening again and again does not leave the clock behind.
func TestVersionsDoNotRunAhead(t *testing.T) {
	fs := vfs.NewMem()
	var last kv.Version
	for range 3 {
		s, err := openOn(fs, kv.Options{})
		require.NoError(t, err)
		require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
			require.Equal(t, last, tx.ReadVersion())
			return nil
		}))
		tx, err := s.Begin(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, tx.Set(key("a"), key("b")))
		require.NoError(t, tx.Commit(t.Context()))
		last = tx.CommitVersion()
		require.NoError(t, s.Close())
	}
}
