package kv_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// collect moves c to its end and returns the keys, that of a successful first
// move included.
func collect(t testing.TB, c *kv.Cursor, ok bool) (keys string) {
	for ; ok; ok = c.Next(t.Context()) {
		keys += string(c.Key())
	}
	require.NoError(t, c.Err())
	return keys
}

// TestCursorKeepsItsRange: the caller may reuse the bytes of bounds and keys.
func TestCursorKeepsItsRange(t *testing.T) {
	s, _ := openProbe(t, nil)
	seed(t, s, "a", "1", "b", "1", "c", "1", "d", "1", "e", "1")
	tx := begin(t, s, nil)
	require.NoError(t, tx.Set([]byte("bb"), []byte("1")))
	require.NoError(t, tx.Set([]byte("dd"), []byte("1")))
	for _, reverse := range []bool{false, true} {
		bounds := []byte("bd")
		c, err := tx.Cursor(t.Context(), kv.Range{Start: bounds[:1], End: bounds[1:]}, &kv.ScanOptions{Reverse: reverse})
		require.NoError(t, err)
		copy(bounds, "ce")
		want := "bbbc"
		if reverse {
			want = "cbbb"
		}
		require.Equal(t, want, collect(t, c, c.Next(t.Context())))
		c.Close()
	}
}

// TestSeekEmptyKey: the empty key is before every key, in both directions and
// whether nil or not.
func TestSeekEmptyKey(t *testing.T) {
	s, _ := openProbe(t, nil)
	seed(t, s, "a", "1", "b", "1", "c", "1")
	for _, own := range []bool{false, true} {
		tx := begin(t, s, nil)
		if own {
			require.NoError(t, tx.Set([]byte("bb"), []byte("1")))
		}
		for _, key := range [][]byte{nil, {}} {
			up, err := tx.Cursor(t.Context(), kv.Range{Start: []byte("b"), End: []byte("c")}, nil)
			require.NoError(t, err)
			want := "b"
			if own {
				want = "bbb"
			}
			require.Equal(t, want, collect(t, up, up.Seek(t.Context(), key)))

			down, err := tx.Cursor(t.Context(), kv.Range{}, &kv.ScanOptions{Reverse: true})
			require.NoError(t, err)
			require.Empty(t, collect(t, down, down.Seek(t.Context(), key)))
			require.False(t, down.Next(t.Context()), "stays at its end")
			require.True(t, down.Seek(t.Context(), []byte("b")), "from which Seek can move it")
		}
		tx.Rollback()
	}
}

// TestSeekLimit: Limit counts what Seek returns too, and stops it.
func TestSeekLimit(t *testing.T) {
	s, _ := openProbe(t, nil)
	seed(t, s, "a", "1", "b", "1", "c", "1")
	tx := begin(t, s, nil)
	c, err := tx.Cursor(t.Context(), kv.Range{}, &kv.ScanOptions{Limit: 3})
	require.NoError(t, err)
	require.True(t, c.Seek(t.Context(), []byte("b")))
	require.False(t, c.Seek(t.Context(), []byte("x")), "returns no pair, so it does not count")
	require.True(t, c.Seek(t.Context(), []byte("a")))
	require.True(t, c.Next(t.Context()))
	require.Equal(t, "b", string(c.Key()))
	require.False(t, c.Next(t.Context()))
	require.False(t, c.Seek(t.Context(), []byte("a")))
	require.NoError(t, c.Err())
}

// TestCursorsCloseInAnyOrder: a transaction closes those that its caller did not.
func TestCursorsCloseInAnyOrder(t *testing.T) {
	s, p := openProbe(t, nil)
	seed(t, s, "a", "1")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		tx := begin(t, s, nil)
		cursors := make([]*kv.Cursor, 10)
		for i := range cursors {
			var err error
			cursors[i], err = tx.Cursor(t.Context(), kv.Range{}, nil)
			require.NoError(t, err)
		}
		for range 7 {
			cursors[rnd.IntN(len(cursors))].Close() // some twice
		}
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		require.NoError(t, tx.Commit(t.Context()))
		for _, c := range cursors {
			require.False(t, c.Next(t.Context()))
			c.Close()
		}
	}
	require.Equal(t, 500, p.count(onCursorClose))
}

func TestCursorOptions(t *testing.T) {
	s, p := openProbe(t, nil)
	tx := begin(t, s, nil)
	for _, o := range []*kv.ScanOptions{{Limit: -1}, {PageSize: -1}} {
		_, err := tx.Cursor(t.Context(), kv.Range{}, o)
		require.ErrorIs(t, err, kv.ErrOptions)
	}
	for _, r := range []kv.Range{{Start: []byte("b"), End: []byte("b")}, {Start: []byte("b"), End: []byte("a")}, {End: []byte{}}} {
		c, err := tx.Cursor(t.Context(), r, nil)
		require.NoError(t, err)
		require.False(t, c.Next(t.Context()))
		require.False(t, c.Seek(t.Context(), []byte("b")))
		require.NoError(t, c.Err())
		c.Close()
	}
	require.Zero(t, p.count(onCursor), "an empty range costs no call")
}
