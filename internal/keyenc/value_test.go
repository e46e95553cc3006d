package keyenc_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// null, missing and custom stand for the kinds that have no Go type.
type (
	missing struct{}
	null    struct{}
	custom  string
)

// field is one value of a key with its direction.
type field struct {
	value any // missing, null, bool, int64, uint64, float64, time.Time, [16]byte, string, []byte, custom
	desc  bool
}

func (f field) append(dst []byte) []byte {
	n := len(dst)
	dst = appendValue(dst, f.value)
	if f.desc {
		keyenc.Complement(dst[n:])
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case missing:
		return keyenc.AppendMissing(dst)
	case null:
		return keyenc.AppendNull(dst)
	case bool:
		return keyenc.AppendBool(dst, v)
	case int64:
		return keyenc.AppendInt(dst, v)
	case uint64:
		return keyenc.AppendUint(dst, v)
	case float64:
		return keyenc.AppendFloat(dst, v)
	case time.Time:
		return keyenc.AppendTime(dst, v)
	case [16]byte:
		return keyenc.AppendUUID(dst, v)
	case string:
		return keyenc.AppendString(dst, v)
	case []byte:
		return keyenc.AppendBytes(dst, v)
	case custom:
		return keyenc.AppendCustom(dst, []byte(v))
	}
	panic(fmt.Sprintf("no encoding for %T", v))
}

// decodeValue decodes by the kind of b. Integers come back as int64 if they fit.
func decodeValue(b []byte) (v any, rest []byte, err error) {
	kind, _ := keyenc.KindOf(b)
	switch kind {
	case keyenc.KindMissing:
		rest, err = keyenc.DecodeMissing(b)
		return missing{}, rest, err
	case keyenc.KindNull:
		rest, err = keyenc.DecodeNull(b)
		return null{}, rest, err
	case keyenc.KindBool:
		return wrap(keyenc.DecodeBool(b))
	case keyenc.KindInt:
		if i, rest, err := keyenc.DecodeInt(b); !errors.Is(err, keyenc.ErrRange) {
			return i, rest, err
		}
		return wrap(keyenc.DecodeUint(b))
	case keyenc.KindFloat:
		return wrap(keyenc.DecodeFloat(b))
	case keyenc.KindTime:
		return wrap(keyenc.DecodeTime(b))
	case keyenc.KindUUID:
		return wrap(keyenc.DecodeUUID(b))
	case keyenc.KindString:
		return wrap(keyenc.DecodeString(b))
	case keyenc.KindBytes:
		return wrap(keyenc.DecodeBytes(b))
	case keyenc.KindCustom:
		c, rest, err := keyenc.DecodeCustom(b)
		return custom(c), rest, err
	default:
		return nil, nil, keyenc.ErrCorrupt
	}
}

func wrap[T any](v T, rest []byte, err error) (any, []byte, error) { return v, rest, err }

// compareValues is the order the encoding has to have, written independently of it.
func compareValues(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case bool:
		return cmp.Compare(boolInt(a), boolInt(b.(bool)))
	case int64, uint64:
		return compareIntegers(a, b)
	case float64:
		return cmp.Compare(a, b.(float64)) // NaN first, -0 == 0
	case time.Time:
		return a.Compare(b.(time.Time))
	case [16]byte:
		b := b.([16]byte)
		return bytes.Compare(a[:], b[:])
	case string:
		return cmp.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case custom:
		return cmp.Compare(a, b.(custom))
	}
	return 0
}

func rank(v any) keyenc.Kind {
	switch v.(type) {
	case missing:
		return keyenc.KindMissing
	case null:
		return keyenc.KindNull
	case bool:
		return keyenc.KindBool
	case int64, uint64:
		return keyenc.KindInt
	case float64:
		return keyenc.KindFloat
	case time.Time:
		return keyenc.KindTime
	case [16]byte:
		return keyenc.KindUUID
	case string:
		return keyenc.KindString
	case []byte:
		return keyenc.KindBytes
	case custom:
		return keyenc.KindCustom
	}
	panic(fmt.Sprintf("no kind for %T", v))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareIntegers(a, b any) int {
	aNeg, aAbs := magnitude(a)
	bNeg, bAbs := magnitude(b)
	switch {
	case aNeg && bNeg:
		return cmp.Compare(bAbs, aAbs)
	case aNeg:
		return -1
	case bNeg:
		return 1
	}
	return cmp.Compare(aAbs, bAbs)
}

func magnitude(v any) (negative bool, abs uint64) {
	if i, ok := v.(int64); ok {
		if i < 0 {
			return true, -uint64(i)
		}
		return false, uint64(i)
	}
	return false, v.(uint64)
}

// requireSame asserts that got is want as far as the encoding tells values apart.
func requireSame(t require.TestingT, want, got any) {
	require.Equal(t, rank(want), rank(got))
	require.Zero(t, compareValues(want, got), "want %v, got %v", want, got)
	if f, ok := got.(float64); ok && f == 0 {
		require.False(t, math.Signbit(f), "negative zero")
	}
	if tm, ok := got.(time.Time); ok {
		require.Equal(t, time.UTC, tm.Location())
		require.Equal(t, want.(time.Time).Nanosecond(), tm.Nanosecond())
		require.Equal(t, want.(time.Time).Unix(), tm.Unix())
	}
}

// drawText favours what the escaping turns on, and shared prefixes.
func drawText() *rapid.Generator[[]byte] {
	tricky := rapid.SampledFrom([]byte{0x00, 0x01, 0x02, 0x7F, 0x80, 0xFE, 0xFF, 'a'})
	return rapid.OneOf(
		rapid.SliceOfN(tricky, 0, 5),
		rapid.SliceOfN(tricky, 60, 70),
		rapid.SliceOf(rapid.Byte()),
	)
}

func drawInteger() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		u := rapid.Uint64().Draw(t, "uint")
		u >>= rapid.IntRange(0, 63).Draw(t, "shift")
		u += rapid.Uint64Range(0, 2).Draw(t, "step") - 1
		switch rapid.IntRange(0, 2).Draw(t, "type") {
		case 0:
			return u
		case 1:
			return int64(u)
		default:
			return -int64(u)
		}
	})
}

func drawFloat() *rapid.Generator[any] {
	special := []float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(math.MaxUint64),
		math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 1, -1}
	return rapid.Custom(func(t *rapid.T) any {
		return rapid.OneOf(
			rapid.SampledFrom(special),
			rapid.Float64(),
			rapid.Map(rapid.Uint64(), math.Float64frombits),
		).Draw(t, "float")
	})
}

func drawTime() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		sec := rapid.OneOf(
			rapid.Int64Range(-2, 2),
			rapid.Int64Range(-62135596802, -62135596798), // around the zero time
			rapid.Int64Range(-20_000_000_000, 20_000_000_000),
			rapid.Int64(),
		).Draw(t, "sec")
		tm := time.Unix(sec, rapid.Int64Range(0, 999_999_999).Draw(t, "nsec"))
		return tm.In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600))
	})
}

func drawUUID() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		return [16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x80, 0xFF}), 16, 16).Draw(t, "uuid"))
	})
}

func drawValue() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Just[any](missing{}),
		rapid.Just[any](null{}),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		drawInteger(),
		drawFloat(),
		drawTime(),
		drawUUID(),
		rapid.Map(drawText(), func(b []byte) any { return string(b) }),
		rapid.Map(drawText(), func(b []byte) any { return b }),
		rapid.Map(drawText(), func(b []byte) any { return custom(b) }),
	)
}

// drawPair draws two values, most often of one kind and sometimes equal, since
// the kinds apart are told apart by the first byte.
func drawPair(t *rapid.T) (a, b any) {
	a = drawValue().Draw(t, "a")
	if rapid.IntRange(0, 9).Draw(t, "pair") == 0 {
		return a, drawValue().Draw(t, "b")
	}
	switch v := a.(type) {
	case int64, uint64:
		b = drawInteger().Draw(t, "b")
	case float64:
		b = drawFloat().Draw(t, "b")
	case time.Time:
		b = drawTime().Draw(t, "b")
	case [16]byte:
		b = drawUUID().Draw(t, "b")
	case string:
		b = v + string(drawText().Draw(t, "b"))
	case []byte:
		b = drawText().Draw(t, "b")
	case custom:
		b = custom(drawText().Draw(t, "b"))
	default:
		b = a
	}
	return a, b
}

func TestCompareValuesIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		require.Equal(t, compareValues(a, b), -compareValues(b, a))
		require.Zero(t, compareValues(a, a))
	})
}
