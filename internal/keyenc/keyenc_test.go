package keyenc_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func TestMissingNullAndEmptyAreDistinct(t *testing.T) {
	encs := [][]byte{
		keyenc.AppendMissing(nil), keyenc.AppendNull(nil), keyenc.AppendString(nil, ""),
		keyenc.AppendBytes(nil, nil), keyenc.AppendCustom(nil, nil),
	}
	for i := 1; i < len(encs); i++ {
		require.Negative(t, bytes.Compare(encs[i-1], encs[i]))
	}
}

func TestIntAndUintShareOneNumberLine(t *testing.T) {
	require.Equal(t, keyenc.AppendInt(nil, 5), keyenc.AppendUint(nil, 5))

	u, _, err := keyenc.DecodeUint(keyenc.AppendInt(nil, math.MaxInt64))
	require.NoError(t, err)
	require.EqualValues(t, math.MaxInt64, u)

	_, _, err = keyenc.DecodeInt(keyenc.AppendUint(nil, math.MaxInt64+1))
	require.ErrorIs(t, err, keyenc.ErrRange)
	_, _, err = keyenc.DecodeUint(keyenc.AppendInt(nil, -1))
	require.ErrorIs(t, err, keyenc.ErrRange)
}

func TestFloatFolds(t *testing.T) {
	require.Equal(t, keyenc.AppendFloat(nil, 0), keyenc.AppendFloat(nil, math.Copysign(0, -1)))
	for _, bits := range []uint64{0x7FF0000000000001, 0x7FF8000000000000, 0xFFF8000000000001, math.MaxUint64} {
		nan := keyenc.AppendFloat(nil, math.Float64frombits(bits))
		require.Equal(t, keyenc.AppendFloat(nil, math.NaN()), nan)
		require.Negative(t, bytes.Compare(nan, keyenc.AppendFloat(nil, math.Inf(-1))))
	}
}

func TestTimeDropsZoneAndMonotonicReading(t *testing.T) {
	now := time.Now() // carries a monotonic reading
	enc := keyenc.AppendTime(nil, now)
	require.Equal(t, enc, keyenc.AppendTime(nil, now.Round(0)))
	require.Equal(t, enc, keyenc.AppendTime(nil, now.In(time.FixedZone("", 3600))))

	zero, _, err := keyenc.DecodeTime(keyenc.AppendTime(nil, time.Time{}))
	require.NoError(t, err)
	require.Equal(t, time.Time{}, zero)
}

func TestNamedStringTypes(t *testing.T) {
	type name string
	require.Equal(t, keyenc.AppendString(nil, "a"), keyenc.AppendString(nil, name("a")))
	require.Equal(t, keyenc.AppendStringPrefix(nil, "a"), keyenc.AppendStringPrefix(nil, name("a")))
}

func TestKindString(t *testing.T) {
	seen := map[string]bool{}
	for k := keyenc.KindInvalid; k <= keyenc.KindCustom; k++ {
		require.False(t, seen[k.String()], k)
		seen[k.String()] = true
	}
	require.Equal(t, "invalid", keyenc.Kind(200).String())
}

func TestPrefixEnd(t *testing.T) {
	require.Nil(t, keyenc.PrefixEnd(nil))
	require.Nil(t, keyenc.PrefixEnd([]byte{}))
	require.Nil(t, keyenc.PrefixEnd([]byte{0xFF, 0xFF}))
	require.Equal(t, []byte{0x02}, keyenc.PrefixEnd([]byte{0x01, 0xFF}))
	require.Equal(t, []byte{0x01, 0xFF}, keyenc.PrefixEnd([]byte{0x01, 0xFE}))
}

func TestNextLimitsTheComponent(t *testing.T) {
	key := keyenc.AppendInt(keyenc.AppendInt(nil, 1), 2)
	component, rest, err := keyenc.Next(key)
	require.NoError(t, err)
	_ = append(component, 0xEE)
	require.Equal(t, keyenc.AppendInt(nil, 2), rest)
}

func TestDecodedBytesAreOwned(t *testing.T) {
	key := keyenc.AppendCustom(keyenc.AppendBytes(nil, []byte("ab")), []byte("cd"))
	b, rest, err := keyenc.DecodeBytes(key)
	require.NoError(t, err)
	c, _, err := keyenc.DecodeCustom(rest)
	require.NoError(t, err)
	clear(key)
	require.Equal(t, "ab", string(b))
	require.Equal(t, "cd", string(c))

	empty, _, err := keyenc.DecodeBytes(keyenc.AppendBytes(nil, nil))
	require.NoError(t, err)
	require.NotNil(t, empty)
}

func TestAppendAllocatesNothing(t *testing.T) {
	text := strings.Repeat("x", 100) + "\x00"
	blob := []byte(text)
	now := time.Now()
	for name, fn := range map[string]func(dst []byte) []byte{
		"missing":       keyenc.AppendMissing,
		"null":          keyenc.AppendNull,
		"bool":          func(dst []byte) []byte { return keyenc.AppendBool(dst, true) },
		"int":           func(dst []byte) []byte { return keyenc.AppendInt(dst, math.MinInt64) },
		"small int":     func(dst []byte) []byte { return keyenc.AppendInt(dst, 3) },
		"uint":          func(dst []byte) []byte { return keyenc.AppendUint(dst, math.MaxUint64) },
		"float":         func(dst []byte) []byte { return keyenc.AppendFloat(dst, 1.5) },
		"time":          func(dst []byte) []byte { return keyenc.AppendTime(dst, now) },
		"uuid":          func(dst []byte) []byte { return keyenc.AppendUUID(dst, [16]byte{1}) },
		"string":        func(dst []byte) []byte { return keyenc.AppendString(dst, text) },
		"bytes":         func(dst []byte) []byte { return keyenc.AppendBytes(dst, blob) },
		"custom":        func(dst []byte) []byte { return keyenc.AppendCustom(dst, blob) },
		"string prefix": func(dst []byte) []byte { return keyenc.AppendStringPrefix(dst, text) },
		"bytes prefix":  func(dst []byte) []byte { return keyenc.AppendBytesPrefix(dst, blob) },
	} {
		dst := make([]byte, 0, len(fn(nil))) // just the room it needs
		require.Zero(t, testing.AllocsPerRun(100, func() { fn(dst) }), name)
	}
}

func TestDecodeAllocations(t *testing.T) {
	for _, c := range []struct {
		field
		want float64
	}{
		{field{int64(math.MinInt64), true}, 0},
		{field{1.5, true}, 0},
		{field{time.Unix(0, 0), true}, 0},
		{field{[16]byte{1}, true}, 0},
		{field{strings.Repeat("x", 100), false}, 1},
		{field{strings.Repeat("x", 50), true}, 1},
		{field{strings.Repeat("x", 100), true}, 2},
	} {
		enc := c.append(nil)
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = keyenc.Next(enc) }))
		require.Equal(t, c.want, testing.AllocsPerRun(100, func() {
			switch c.value.(type) {
			case int64:
				_, _, _ = keyenc.DecodeInt(enc)
			case float64:
				_, _, _ = keyenc.DecodeFloat(enc)
			case time.Time:
				_, _, _ = keyenc.DecodeTime(enc)
			case [16]byte:
				_, _, _ = keyenc.DecodeUUID(enc)
			case string:
				_, _, _ = keyenc.DecodeString(enc)
			}
		}), "%T", c.value)
	}
}
