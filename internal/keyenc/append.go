package keyenc

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"time"
)

const (
	signBit = 1 << 63
	// unixToYear1 is the Unix time of the time.Time zero value, negated. Counting
	// from there makes the order agree with time.Time.Compare even where Unix
	// seconds overflow.
	unixToYear1 = 62135596800
	nanosEnd    = 1_000_000_000
)

// AppendMissing appends the component for a field the record does not have. It
// sorts before everything else.
func AppendMissing(dst []byte) []byte { return append(dst, tagMissing) }

// AppendNull appends the component for a field that holds no value. It sorts
// after missing and before every value.
func AppendNull(dst []byte) []byte { return append(dst, tagNull) }

// AppendBool appends v's component. False sorts before true.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, tagTrue)
	}
	return append(dst, tagFalse)
}

// AppendInt appends v's component, 1 to 9 bytes. It equals that of [AppendUint]
// for the same number.
func AppendInt(dst []byte, v int64) []byte {
	if v >= 0 {
		return AppendUint(dst, uint64(v))
	}
	n := max(1, byteLen(^uint64(v)))
	return appendInteger(dst, tagZero-byte(n), uint64(v), n)
}

// AppendUint appends v's component, 1 to 9 bytes. It equals that of [AppendInt]
// for the same number.
func AppendUint(dst []byte, v uint64) []byte {
	n := byteLen(v)
	return appendInteger(dst, tagZero+byte(n), v, n)
}

func byteLen(v uint64) int { return (bits.Len64(v) + 7) / 8 }

func appendInteger(dst []byte, tag byte, v uint64, n int) []byte {
	var buf [9]byte
	buf[0] = tag
	binary.BigEndian.PutUint64(buf[1:], v<<(64-8*n))
	return append(dst, buf[:1+n]...)
}

// AppendFloat appends v's component, 9 bytes. Negative zero equals zero, all NaNs
// are equal, and NaN sorts before negative infinity.
func AppendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tagFloat), floatKey(v))
}

func floatKey(v float64) uint64 {
	switch {
	case v != v:
		return 0
	case v == 0:
		return signBit
	}
	u := math.Float64bits(v)
	if u&signBit != 0 {
		return ^u
	}
	return u | signBit
}

// AppendTime appends the component of the instant t, 13 bytes, to the nanosecond
// and over the whole range of time.Time. Zone and monotonic reading are dropped:
// times that are Equal have equal components.
func AppendTime(dst []byte, t time.Time) []byte {
	var buf [13]byte
	buf[0] = tagTime
	binary.BigEndian.PutUint64(buf[1:], (uint64(t.Unix())+unixToYear1)^signBit)
	binary.BigEndian.PutUint32(buf[9:], uint32(t.Nanosecond()))
	return append(dst, buf[:]...)
}

// AppendUUID appends id's component, 17 bytes. UUIDs sort bytewise.
func AppendUUID(dst []byte, id [16]byte) []byte {
	return append(append(dst, tagUUID), id[:]...)
}

// AppendString appends s's component: 3 bytes more than s, and one for each zero
// byte in it. Strings sort bytewise.
func AppendString[S ~string](dst []byte, s S) []byte {
	return append(AppendStringPrefix(dst, s), 0x00, 0x01)
}

// AppendBytes appends b's component: 3 bytes more than b, and one for each zero
// byte in it. A nil slice equals an empty one; use [AppendNull] to tell them apart.
func AppendBytes(dst, b []byte) []byte {
	return append(AppendBytesPrefix(dst, b), 0x00, 0x01)
}

// AppendCustom appends a component for a value of a user's type, given bytes that
// sort as the type's values do and are equal only for equal values. They need not
// be prefix-free. Sizes are those of [AppendBytes].
func AppendCustom(dst, b []byte) []byte {
	n := len(dst) + 1
	dst = append(append(dst, tagCustom), b...)
	return append(escape(dst, n), 0x00, 0x01)
}

// escape makes each 00 of dst[n:] a 00 FF. Working in place, after the value has
// been appended, serves strings and bytes alike without a copy between them.
func escape(dst []byte, n int) []byte {
	zeros := bytes.Count(dst[n:], []byte{0x00})
	r := len(dst)
	w := r + zeros
	dst = slices.Grow(dst, zeros)[:w]
	for w > r { // from the back, until the last zero has been passed
		r--
		w--
		if dst[r] == 0x00 {
			dst[w] = 0xFF
			w--
		}
		dst[w] = dst[r]
	}
	return dst
}

// Complement flips every bit of b in place, which turns an ascending component
// into a descending one and back:
//
//	n := len(dst)
//	dst = keyenc.AppendInt(dst, v)
//	keyenc.Complement(dst[n:])
func Complement(b []byte) {
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(b, ^binary.NativeEndian.Uint64(b))
		b = b[8:]
	}
	for i := range b {
		b[i] = ^b[i]
	}
}
