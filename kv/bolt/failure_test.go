package bolt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// TestDamageWhileOpen: pages that are not there are errors, not signals.
func TestDamageWhileOpen(t *testing.T) {
	uses := map[string]func(t *testing.T, s *kv.Store, tx *kv.Txn) error{
		"get": func(t *testing.T, _ *kv.Store, tx *kv.Txn) error {
			_, err := tx.Get(t.Context(), []byte("key0500"))
			return err
		},
		"batch get": func(t *testing.T, _ *kv.Store, tx *kv.Txn) error {
			_, err := tx.BatchGet(t.Context(), [][]byte{[]byte("key0500")})
			return err
		},
		"scan": func(t *testing.T, _ *kv.Store, tx *kv.Txn) error {
			for _, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"seek back": func(t *testing.T, _ *kv.Store, tx *kv.Txn) error {
			c, err := tx.Cursor(t.Context(), kv.Range{}, &kv.ScanOptions{Reverse: true})
			if err != nil {
				return err
			}
			defer c.Close()
			require.False(t, c.Seek(t.Context(), []byte("key0500")))
			return c.Err()
		},
		"begin": func(t *testing.T, s *kv.Store, _ *kv.Txn) error {
			return s.View(t.Context(), func(*kv.Txn) error { return nil })
		},
		"commit": func(t *testing.T, s *kv.Store, _ *kv.Txn) error { return put(t, s, "key0500", "x") },
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "store")
			s := open(t, file, nil)
			require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
				for i := range 1000 {
					if err := tx.Set(fmt.Appendf(nil, "key%04d", i), bytes.Repeat([]byte("v"), 500)); err != nil {
						return err
					}
				}
				return nil
			}))
			tx, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true})
			require.NoError(t, err)
			defer tx.Rollback()
			require.NoError(t, os.Truncate(file, 2*int64(os.Getpagesize())))
			err = use(t, s, tx)
			require.ErrorIs(t, err, kv.ErrFailed)
			require.ErrorIs(t, err, kv.ErrCorrupt)
			_, err = tx.Get(t.Context(), []byte("key0000"))
			require.ErrorIs(t, err, kv.ErrFailed)
			require.ErrorIs(t, put(t, s, "a", "b"), kv.ErrFailed)
			_, err = s.Watermark(t.Context())
			require.ErrorIs(t, err, kv.ErrFailed)
			require.ErrorIs(t, s.WaitDurable(t.Context(), 0), kv.ErrFailed)
			require.NoError(t, s.Close())
			_, err = bolt.Open(file, nil)
			require.ErrorIs(t, err, kv.ErrCorrupt)
		})
	}
}

// TestFailedWrite: a commit whose write fails may or may not have happened, for
// all that were in it, and the store is of no use from then on.
func TestFailedWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	view, err := s.Begin(t.Context(), &kv.TxnOptions{ReadOnly: true})
	require.NoError(t, err)
	set(t, s, "a", "1")
	held := hold(t, s)
	first := commitAsync(begin(t, s, "first"))
	bolt.Look(s).AwaitQueue(0)
	var waiting []chan error
	for i := range 3 {
		waiting = append(waiting, commitAsync(begin(t, s, fmt.Sprint("key", i))))
		bolt.Look(s).AwaitQueue(i + 1)
	}
	require.NoError(t, bolt.Look(s).File().Close()) // every write fails
	held()
	require.ErrorIs(t, <-first, kv.ErrCommitUnknown)
	for _, w := range waiting {
		err := <-w
		require.ErrorIs(t, err, kv.ErrFailed)
		require.NotErrorIs(t, err, kv.ErrCommitUnknown, "nothing of it was written")
		require.ErrorIs(t, err, os.ErrClosed, "the cause")
	}
	_, err = view.Get(t.Context(), []byte("a"))
	require.ErrorIs(t, err, kv.ErrFailed)
	_, err = view.Cursor(t.Context(), kv.Range{}, nil)
	require.ErrorIs(t, err, kv.ErrFailed)
	require.ErrorIs(t, put(t, s, "b", "1"), kv.ErrFailed)
	require.ErrorIs(t, s.View(t.Context(), func(*kv.Txn) error { return nil }), kv.ErrFailed)
	require.Error(t, s.Close())

	s = open(t, file, &bolt.Options{Verify: true})
	require.Equal(t, "1", get(t, s, "a"))
	require.Empty(t, get(t, s, "key0"))
	set(t, s, "b", "1")
}

// TestFailedGroup: the writes of a group share one fate.
func TestFailedGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	require.NoError(t, bolt.Look(s).File().Close())
	errs := bolt.Look(s).Group(writes("a"), writes("b"), writes("a"), writes("c"))
	for _, i := range []int{0, 1, 3} {
		require.ErrorIs(t, errs[i], kv.ErrCommitUnknown)
		require.NotErrorIs(t, errs[i], kv.ErrUnavailable)
	}
	require.ErrorIs(t, errs[2], kv.ErrConflict, "found before writing")
	require.Error(t, s.Close())
	s = open(t, file, &bolt.Options{Verify: true})
	require.Equal(t, map[string]string{"a": "1"}, contents(t, s))
}

// TestPanicInCommit: bbolt panics after it has begun to commit.
func TestPanicInCommit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	set(t, s, "a", "1")
	_, err := bolt.Look(s).File().WriteAt(make([]byte, 8), bolt.Look(s).FreeList()) // page 0 must not be freed
	require.NoError(t, err)
	errs := bolt.Look(s).Group(writes("b"), writes("c"))
	for _, err := range errs {
		require.ErrorIs(t, err, kv.ErrCommitUnknown)
		require.ErrorIs(t, err, kv.ErrCorrupt)
		require.NotErrorIs(t, err, kv.ErrUnavailable)
	}
	err = put(t, s, "d", "1")
	require.ErrorIs(t, err, kv.ErrFailed)
	require.ErrorIs(t, err, kv.ErrCorrupt)
	require.NotErrorIs(t, err, kv.ErrCommitUnknown)
	require.NoError(t, s.Close())
	_, err = bolt.Open(file, nil)
	require.ErrorIs(t, err, kv.ErrCorrupt)
}
