package keyenc_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/internal/keyenc"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := field{drawValue().Draw(t, "value"), rapid.Bool().Draw(t, "desc")}
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		enc := f.append(nil)
		key := append(bytes.Clone(enc), tail...)

		kind, desc := keyenc.KindOf(key)
		require.Equal(t, rank(f.value), kind)
		require.Equal(t, f.desc, desc)

		component, rest, err := keyenc.Next(key)
		require.NoError(t, err)
		require.Equal(t, enc, component)
		require.True(t, bytes.Equal(tail, rest))

		v, rest, err := decodeValue(key)
		require.NoError(t, err)
		requireSame(t, f.value, v)
		require.True(t, bytes.Equal(tail, rest))
		require.Equal(t, enc, field{v, f.desc}.append(nil), "not canonical")
	})
}

func TestOrderAndPrefixFreeness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		want := compareValues(a, b)

		ea, eb := field{a, false}.append(nil), field{b, false}.append(nil)
		require.Equal(t, want, bytes.Compare(ea, eb))
		da, db := field{a, true}.append(nil), field{b, true}.append(nil)
		require.Equal(t, -want, bytes.Compare(da, db))
		if want != 0 {
			require.False(t, bytes.HasPrefix(ea, eb) || bytes.HasPrefix(eb, ea))
			require.False(t, bytes.HasPrefix(da, db) || bytes.HasPrefix(db, da))
		}
		require.NotEqual(t, ea[0] < 0x80, da[0] < 0x80)
	})
}

func TestTupleOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ka, kb []byte
		want := 0
		for range rapid.IntRange(1, 4).Draw(t, "fields") {
			a, b := drawPair(t)
			if want == 0 && rapid.Bool().Draw(t, "tie") {
				b = a
			}
			desc := rapid.Bool().Draw(t, "desc")
			ka, kb = field{a, desc}.append(ka), field{b, desc}.append(kb)
			if want == 0 {
				want = compareValues(a, b)
				if desc {
					want = -want
				}
			}
		}
		require.Equal(t, want, bytes.Compare(ka, kb))
	})
}

func TestTupleSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var key []byte
		var want [][]byte
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			f := field{drawValue().Draw(t, "value"), rapid.Bool().Draw(t, "desc")}
			want = append(want, f.append(nil))
			key = f.append(key)
		}
		var got [][]byte
		for rest := key; len(rest) > 0; {
			var component []byte
			var err error
			component, rest, err = keyenc.Next(rest)
			require.NoError(t, err)
			got = append(got, component)
		}
		require.Equal(t, want, got)
	})
}

// TestRanges checks the table in the package comment against the conditions.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, v := drawPair(t)
		for rank(x) <= keyenc.KindNull || rank(x) != rank(v) {
			x, v = drawPair(t)
		}
		if rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
			v = rapid.SampledFrom([]any{missing{}, null{}}).Draw(t, "v")
		}
		present := rank(v) > keyenc.KindNull
		desc := rapid.Bool().Draw(t, "desc")
		p := []byte(rapid.SampledFrom([]string{"", "p", "p\xFF"}).Draw(t, "p"))
		tail := drawText().Draw(t, "tail")

		with := func(v any) []byte { return field{v, desc}.append(bytes.Clone(p)) }
		pe, pnull, end := with(x), with(null{}), keyenc.PrefixEnd
		key := append(with(v), tail...)
		in := func(from, to []byte) bool {
			return bytes.Compare(key, from) >= 0 && (to == nil || bytes.Compare(key, to) < 0)
		}
		c := compareValues(v, x)
		require.Equal(t, present && c == 0, in(pe, end(pe)))
		if !desc {
			require.Equal(t, present && c < 0, in(end(pnull), pe), "<")
			require.Equal(t, present && c <= 0, in(end(pnull), end(pe)), "<=")
			require.Equal(t, present && c >= 0, in(pe, end(p)), ">=")
			require.Equal(t, present && c > 0, in(end(pe), end(p)), ">")
		} else {
			require.Equal(t, present && c < 0, in(end(pe), pnull), "<")
			require.Equal(t, present && c <= 0, in(pe, pnull), "<=")
			require.Equal(t, present && c >= 0, in(p, end(pe)), ">=")
			require.Equal(t, present && c > 0, in(p, pe), ">")
		}
	})
}

func TestPrefixRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := string(drawText().Draw(t, "prefix"))
		s := string(drawText().Draw(t, "s"))
		if rapid.Bool().Draw(t, "extend") {
			s = prefix + s
		}
		want := strings.HasPrefix(s, prefix)
		for _, desc := range []bool{false, true} {
			check := func(start, key []byte) {
				if desc {
					keyenc.Complement(start)
					keyenc.Complement(key)
				}
				end := keyenc.PrefixEnd(start)
				require.Equal(t, want, bytes.HasPrefix(key, start))
				require.Equal(t, want, bytes.Compare(key, start) >= 0 && bytes.Compare(key, end) < 0)
			}
			check(keyenc.AppendStringPrefix(nil, prefix), keyenc.AppendString(nil, s))
			check(keyenc.AppendBytesPrefix(nil, []byte(prefix)), keyenc.AppendBytes(nil, []byte(s)))
		}
	})
}

func TestPrefixEndIsSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.SampledFrom([]byte{0, 1, 0xFE, 0xFF})).Draw(t, "b")
		before := bytes.Clone(b)
		end := keyenc.PrefixEnd(b)
		require.True(t, bytes.Equal(before, b))
		if end == nil {
			require.Equal(t, len(b), bytes.Count(b, []byte{0xFF}))
			return
		}
		// Greater than everything with the prefix, however many FF follow, and
		// without a key between: b with the FFs after its last other byte removed
		// and that byte raised by one.
		require.Positive(t, bytes.Compare(end, append(bytes.Clone(b), 0xFF, 0xFF, 0xFF)))
		last := len(end) - 1
		require.Equal(t, b[:last], end[:last])
		require.Equal(t, b[last]+1, end[last])
		require.Equal(t, len(b)-last-1, bytes.Count(b[last+1:], []byte{0xFF}))
	})
}

func TestComplementTwiceIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		c := bytes.Clone(b)
		keyenc.Complement(c)
		for i := range b {
			require.Equal(t, b[i]^0xFF, c[i])
		}
		keyenc.Complement(c)
		require.True(t, bytes.Equal(b, c))
	})
}

// TestIntegerBoundaries walks every length of integer through its edges, where
// the tag changes.
func TestIntegerBoundaries(t *testing.T) {
	var line []any
	for shift := 63; shift >= 0; shift-- {
		edge := int64(-1) << shift
		if edge != math.MinInt64 {
			line = append(line, edge-1)
		}
		line = append(line, edge, edge+1)
	}
	for shift := range 64 {
		edge := uint64(1) << shift
		line = append(line, edge-1, edge, edge+1)
	}
	line = append(line, uint64(math.MaxUint64))
	for _, a := range line {
		for _, b := range line {
			require.Equal(t, compareIntegers(a, b), bytes.Compare(appendValue(nil, a), appendValue(nil, b)), "%v %v", a, b)
		}
		for _, desc := range []bool{false, true} {
			v, rest, err := decodeValue(field{a, desc}.append(nil))
			require.NoError(t, err)
			require.Empty(t, rest)
			requireSame(t, a, v)
		}
	}
}
