package pebble

import (
	"log/slog"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestFuse: what no fault that can be injected reaches.
func TestFuse(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("db", 0o700))
	f := fuseFS{mem, newFuse(slog.New(slog.DiscardHandler)), "db"}
	file, err := f.Create("db/a", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	other, err := f.Create("dba", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)

	broken := fuseFile{brokenFile{file}, f.fuse, &ahead{}}
	require.NoError(t, broken.Close(), "Pebble is not told")
	require.ErrorIs(t, f.err(), kv.ErrFailed)
	require.ErrorIs(t, f.err(), syscall.EIO)
	require.ErrorIs(t, f.commitErr(), kv.ErrCommitUnknown)
	require.NotErrorIs(t, f.commitErr(), kv.ErrUnavailable, "it is not known that nothing was written")

	f.blow(syscall.ENOSPC)
	require.ErrorIs(t, f.err(), syscall.EIO, "the first cause counts")
	require.NoError(t, f.Remove("db/a"))
	require.NoError(t, f.RemoveAll("db"))
	require.NoError(t, f.Link("db/a", "db/b"))
	require.NoError(t, f.Rename("db/a", "db/c"))
	names, err := mem.List("db")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names)

	require.NoError(t, f.Remove("dba"), "it lies outside")
	require.NoError(t, other.Close())
}

type brokenFile struct{ vfs.File }

func (brokenFile) Close() error { return syscall.EIO }

// TestArena: copies do not touch, and one that is kept keeps little else.
func TestArena(t *testing.T) {
	const n = 1000
	a := arena{left: n}
	var copies [][]byte
	for i := range n {
		c := a.clone([]byte{byte(i), byte(i >> 8), 0})
		require.Equal(t, len(c), cap(c), "an append would reach the next value")
		copies = append(copies, c)
		require.LessOrEqual(t, len(a.free), arenaSize)
	}
	for i, c := range copies {
		require.Equal(t, []byte{byte(i), byte(i >> 8), 0}, c)
	}
	one := arena{left: 1}
	one.clone([]byte("alone"))
	require.Empty(t, one.free)
	large := arena{left: 2}
	large.clone(make([]byte, arenaValue+1))
	require.Empty(t, large.free)
}
