package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// disk records what of a file has been taken ahead.
type disk struct {
	vfs.File
	taken int64
	gaps  bool
}

func (d *disk) Preallocate(off, n int64) error {
	d.gaps = d.gaps || off > d.taken
	d.taken = max(d.taken, off+n)
	return nil
}

// TestAhead: a file that is written little takes little of the disk, and one
// that is written on finds it taken, up to what was asked for.
func TestAhead(t *testing.T) {
	const asked = 35 << 20
	var d disk
	var a ahead
	require.NoError(t, a.want(&d, 0, asked))
	require.Equal(t, int64(aheadStep), d.taken)
	const piece = 300_000
	for written := 0; written < asked-piece; written += piece {
		require.GreaterOrEqual(t, d.taken, min(int64(written+piece), asked))
		require.LessOrEqual(t, d.taken, int64(written+2*aheadStep))
		a.wrote(&d, piece)
	}
	require.Equal(t, int64(asked), d.taken)
	require.NoError(t, a.want(&d, asked, asked))
	a.wrote(&d, 3*aheadStep) // more than a step at once
	require.GreaterOrEqual(t, d.taken, int64(asked)+3*aheadStep)
	require.False(t, d.gaps)
}
