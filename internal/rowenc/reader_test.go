package rowenc_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/rowenc"
)

var (
	errCorrupt = errors.New("corrupt")
	errNewer   = errors.New("newer")
	sentinels  = rowenc.Errors{Corrupt: errCorrupt, Newer: errNewer}
)

// sample is one value with a part of each sort.
func sample() []byte {
	v := []byte{1, 7}
	v = binary.AppendUvarint(v, 300)
	v = binary.AppendVarint(v, -300)
	v = binary.BigEndian.AppendUint64(v, 8)
	v = binary.LittleEndian.AppendUint64(v, 9)
	v = rowenc.AppendSized(v, "text")
	v = rowenc.AppendSized(v, []byte{})
	return append(v, 'a', 'b')
}

// read takes a value like sample apart.
func read(value []byte) (parts []any, r rowenc.Reader) {
	r = rowenc.NewReader(value)
	r.Format(1)
	parts = append(parts, r.Byte(), r.Uvarint(), r.Varint(), r.Uint64(), r.Uint64LE(), r.String(), len(r.Sized()), string(r.Take(2)))
	return parts, r
}

func TestReader(t *testing.T) {
	parts, r := read(sample())
	require.Equal(t, []any{byte(7), uint64(300), int64(-300), uint64(8), uint64(9), "text", 0, "ab"}, parts)
	require.NoError(t, r.Done(&sentinels))
	require.False(t, r.Failed())
}

// A value that is cut short anywhere is corrupt, and is never read past its end.
func TestReaderCutShort(t *testing.T) {
	whole := sample()
	for n := range whole {
		_, r := read(whole[:n:n])
		require.True(t, r.Failed(), n)
		require.ErrorIs(t, r.Err(&sentinels), errCorrupt)
		require.ErrorIs(t, r.Done(&sentinels), errCorrupt)
		require.Zero(t, r.Len())
		require.Zero(t, r.Byte(), "after a failure there are zeros")
	}
}

func TestReaderLeftOver(t *testing.T) {
	_, r := read(append(sample(), 0))
	require.NoError(t, r.Err(&sentinels))
	require.Equal(t, []byte{0}, r.Rest())
	require.ErrorIs(t, r.Done(&sentinels), errCorrupt)
}

func TestReaderFormat(t *testing.T) {
	for format, want := range map[byte]error{0: errCorrupt, 1: errCorrupt, 2: nil, 3: errNewer, 255: errNewer} {
		r := rowenc.NewReader([]byte{format, 1})
		r.Format(2)
		require.ErrorIs(t, r.Err(&sentinels), want, format)
		require.Equal(t, want != nil, r.Failed())
	}
	r := rowenc.NewReader(nil)
	r.Format(2)
	require.ErrorIs(t, r.Err(&sentinels), errCorrupt, "no format at all")
	r = rowenc.NewReader([]byte{3})
	r.Fail()
	r.Format(2)
	require.ErrorIs(t, r.Err(&sentinels), errCorrupt, "a failure before the format")
}

func TestReaderAllocatesNothing(t *testing.T) {
	value := sample()
	var sum uint64
	n := testing.AllocsPerRun(100, func() {
		r := rowenc.NewReader(value)
		r.Format(1)
		sum += uint64(r.Byte()) + r.Uvarint() + uint64(r.Varint()) + r.Uint64() + r.Uint64LE() + uint64(len(r.Sized()))
	})
	require.Zero(t, n)
	require.NotZero(t, sum)
}
