package keyenc_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// FuzzNext feeds arbitrary bytes: Next and the decoders agree on what they
// accept, and what they accept is exactly what the encoder writes.
func FuzzNext(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(field{c.value, false}.append(nil))
		f.Add(append(field{c.value, true}.append(nil), 0x48, 0x00))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		component, rest, err := keyenc.Next(b)
		if err != nil {
			require.Equal(t, keyenc.ErrCorrupt, err)
			for _, list := range decoders() {
				for _, decode := range list {
					_, err := decode(b)
					require.Equal(t, keyenc.ErrCorrupt, err)
				}
			}
			return
		}
		require.NotEmpty(t, component)
		require.True(t, bytes.Equal(b, append(bytes.Clone(component), rest...)))

		v, decodedRest, err := decodeValue(b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(rest, decodedRest))
		_, desc := keyenc.KindOf(b)
		require.Equal(t, component, field{v, desc}.append(nil))
		require.True(t, bytes.Equal(before, b), "input changed")
	})
}

// fuzzPair checks round trip, order and prefix-freeness of two values of a kind.
func fuzzPair(t *testing.T, a, b any) {
	want := compareValues(a, b)
	for _, desc := range []bool{false, true} {
		ea, eb := field{a, desc}.append(nil), field{b, desc}.append(nil)
		for v, enc := range map[*any][]byte{&a: ea, &b: eb} {
			got, rest, err := decodeValue(enc)
			require.NoError(t, err)
			require.Empty(t, rest)
			requireSame(t, *v, got)
		}
		c := bytes.Compare(ea, eb)
		if desc {
			c = -c
		}
		require.Equal(t, want, c)
		require.Equal(t, want == 0, bytes.HasPrefix(ea, eb) || bytes.HasPrefix(eb, ea))
	}
}

func FuzzRoundTripText(f *testing.F) {
	f.Add([]byte(""), []byte("\x00"))
	f.Add([]byte("a\x00"), []byte("a\x01"))
	f.Add([]byte("a\x00\xff"), []byte("a\x00\x01"))
	f.Add([]byte("a1"), []byte("a10"))
	f.Add([]byte("\xff\xff"), []byte("\xff"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fuzzPair(t, string(a), string(b))
		fuzzPair(t, a, b)
		fuzzPair(t, custom(a), custom(b))
		start := keyenc.AppendStringPrefix(nil, string(a))
		require.Equal(t, bytes.HasPrefix(b, a), bytes.HasPrefix(keyenc.AppendString(nil, string(b)), start))
	})
}

func FuzzRoundTripNumbers(f *testing.F) {
	edges := []uint64{0, 1, 255, 256, 1 << 63, math.MaxInt64, math.MaxUint64, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000001}
	for i, u := range edges {
		f.Add(u, edges[(i+1)%len(edges)])
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		fuzzPair(t, a, b)
		fuzzPair(t, int64(a), int64(b))
		fuzzPair(t, a, int64(b))
		fuzzPair(t, math.Float64frombits(a), math.Float64frombits(b))
		var id [2][16]byte
		binary.BigEndian.PutUint64(id[0][8:], a)
		binary.BigEndian.PutUint64(id[1][8:], b)
		fuzzPair(t, id[0], id[1])
	})
}

func FuzzRoundTripTime(f *testing.F) {
	f.Add(int64(0), int64(0), int64(-1), int64(999_999_999))
	f.Add(int64(math.MaxInt64), int64(0), int64(math.MinInt64), int64(1))
	f.Add(int64(-62135596800), int64(0), int64(253402300799), int64(999_999_999))
	f.Add(int64(math.MaxInt64-62135596800), int64(999_999_999), int64(math.MaxInt64-62135596799), int64(0))
	f.Fuzz(func(t *testing.T, aSec, aNano, bSec, bNano int64) {
		fuzzPair(t, time.Unix(aSec, aNano), time.Unix(bSec, bNano).UTC())
	})
}
