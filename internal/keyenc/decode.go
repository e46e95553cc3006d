package keyenc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"
)

var (
	// ErrCorrupt means that the input does not begin with a component of the kind
	// asked for in its one canonical form.
	ErrCorrupt = errors.New("keyenc: corrupt key")
	// ErrRange means that the input begins with a sound integer that the Go type
	// asked for cannot hold.
	ErrRange = errors.New("keyenc: integer out of range")
)

// Next splits the first component, ascending or descending, off b without
// decoding it. Both results alias b; appending to component does not write to
// rest. It is as strict as the decoders: a component it returns decodes without
// ErrCorrupt. At the end of a key b is empty, and so ErrCorrupt; test its length.
func Next(b []byte) (component, rest []byte, err error) {
	n := size(b)
	if n == 0 {
		return nil, nil, ErrCorrupt
	}
	return b[:n:n], b[n:], nil
}

// DecodeMissing removes a missing component from b. It fails with ErrCorrupt if
// b begins with anything else.
func DecodeMissing(b []byte) (rest []byte, err error) {
	_, rest, _, err = split(b, KindMissing)
	return rest, err
}

// DecodeNull removes a null component from b. It fails with ErrCorrupt if b
// begins with anything else.
func DecodeNull(b []byte) (rest []byte, err error) {
	_, rest, _, err = split(b, KindNull)
	return rest, err
}

// DecodeBool decodes what [AppendBool] appended, in either direction. Anything
// else is ErrCorrupt.
func DecodeBool(b []byte) (v bool, rest []byte, err error) {
	c, rest, mask, err := split(b, KindBool)
	if err != nil {
		return false, nil, err
	}
	return c[0]^mask == tagTrue, rest, nil
}

// DecodeInt decodes what [AppendInt] or [AppendUint] appended, in either
// direction. A number above math.MaxInt64 is ErrRange, anything but an integer
// ErrCorrupt.
func DecodeInt(b []byte) (v int64, rest []byte, err error) {
	u, neg, rest, err := decodeInteger(b)
	if err != nil {
		return 0, nil, err
	}
	if !neg && u > math.MaxInt64 {
		return 0, nil, ErrRange
	}
	return int64(u), rest, nil
}

// DecodeUint decodes what [AppendUint] or [AppendInt] appended, in either
// direction. A negative number is ErrRange, anything but an integer ErrCorrupt.
func DecodeUint(b []byte) (v uint64, rest []byte, err error) {
	u, neg, rest, err := decodeInteger(b)
	if err != nil {
		return 0, nil, err
	}
	if neg {
		return 0, nil, ErrRange
	}
	return u, rest, nil
}

// decodeInteger returns the two's complement of a negative number.
func decodeInteger(b []byte) (u uint64, neg bool, rest []byte, err error) {
	c, rest, mask, err := split(b, KindInt)
	if err != nil {
		return 0, false, nil, err
	}
	neg = c[0]^mask < tagZero
	if neg {
		u = math.MaxUint64
	}
	for _, x := range c[1:] {
		u = u<<8 | uint64(x^mask)
	}
	return u, neg, rest, nil
}

// DecodeFloat decodes what [AppendFloat] appended, in either direction. Anything
// else is ErrCorrupt. Every NaN comes back as math.NaN(), negative zero as zero.
func DecodeFloat(b []byte) (v float64, rest []byte, err error) {
	c, rest, mask, err := split(b, KindFloat)
	if err != nil {
		return 0, nil, err
	}
	return floatOfKey(readUint64(c[1:], mask)), rest, nil
}

func floatOfKey(key uint64) float64 {
	switch {
	case key == 0:
		return math.NaN()
	case key&signBit == 0:
		return math.Float64frombits(^key)
	}
	return math.Float64frombits(key &^ signBit)
}

// DecodeTime decodes what [AppendTime] appended, in either direction, as a time
// in UTC. Anything else is ErrCorrupt.
func DecodeTime(b []byte) (t time.Time, rest []byte, err error) {
	c, rest, mask, err := split(b, KindTime)
	if err != nil {
		return time.Time{}, nil, err
	}
	sec := (readUint64(c[1:], mask) ^ signBit) - unixToYear1
	return time.Unix(int64(sec), int64(readUint32(c[9:], mask))).UTC(), rest, nil
}

// DecodeUUID decodes what [AppendUUID] appended, in either direction. Anything
// else is ErrCorrupt.
func DecodeUUID(b []byte) (id [16]byte, rest []byte, err error) {
	c, rest, mask, err := split(b, KindUUID)
	if err != nil {
		return id, nil, err
	}
	for i := range id {
		id[i] = c[1+i] ^ mask
	}
	return id, rest, nil
}

// DecodeString decodes what [AppendString] appended, in either direction.
// Anything else is ErrCorrupt.
func DecodeString(b []byte) (s string, rest []byte, err error) {
	c, rest, mask, err := split(b, KindString)
	if err != nil {
		return "", nil, err
	}
	body := c[1 : len(c)-2]
	if mask == 0 && bytes.IndexByte(body, 0) < 0 {
		return string(body), rest, nil
	}
	var buf [64]byte // spares most strings a second allocation
	return string(unescape(buf[:0], body, mask)), rest, nil
}

// DecodeBytes decodes what [AppendBytes] appended, in either direction. Anything
// else is ErrCorrupt. The value is the caller's own and not nil.
func DecodeBytes(b []byte) (v, rest []byte, err error) { return decodeBytes(b, KindBytes) }

// DecodeCustom decodes what [AppendCustom] appended, in either direction.
// Anything else is ErrCorrupt. The value is the caller's own and not nil.
func DecodeCustom(b []byte) (v, rest []byte, err error) { return decodeBytes(b, KindCustom) }

func decodeBytes(b []byte, kind Kind) (v, rest []byte, err error) {
	c, rest, mask, err := split(b, kind)
	if err != nil {
		return nil, nil, err
	}
	body := c[1 : len(c)-2]
	return unescape(make([]byte, 0, len(body)), body, mask), rest, nil
}

// unescape appends the value of a sound body, tag and terminator removed.
func unescape(dst, body []byte, mask byte) []byte {
	n := len(dst)
	for {
		i := bytes.IndexByte(body, mask) // an escaped zero
		if i < 0 {
			break
		}
		dst = append(dst, body[:i+1]...)
		body = body[i+2:]
	}
	dst = append(dst, body...)
	if mask != 0 {
		Complement(dst[n:])
	}
	return dst
}

// split is Next for one kind. Only it and Next judge input: what it returns is
// canonical, and the decoders need no checks of their own.
func split(b []byte, kind Kind) (component, rest []byte, mask byte, err error) {
	tag, mask := readTag(b)
	if kindOfTag(tag) != kind {
		return nil, nil, 0, ErrCorrupt
	}
	component, rest, err = Next(b)
	return component, rest, mask, err
}

// size returns the length of the component that b begins with, 0 if there is
// none or it is not canonical.
func size(b []byte) int {
	tag, mask := readTag(b)
	switch kindOfTag(tag) {
	case KindMissing, KindNull, KindBool:
		return 1
	case KindInt:
		return integerSize(b, tag, mask)
	case KindFloat:
		if len(b) >= 9 {
			key := readUint64(b[1:], mask)
			if floatKey(floatOfKey(key)) == key {
				return 9
			}
		}
	case KindTime:
		if len(b) >= 13 && readUint32(b[9:], mask) < nanosEnd {
			return 13
		}
	case KindUUID:
		if len(b) >= 17 {
			return 17
		}
	case KindString, KindBytes, KindCustom:
		return escapedSize(b, mask)
	}
	return 0
}

func integerSize(b []byte, tag, mask byte) int {
	n := int(tag) - int(tagZero)
	neg := n < 0
	if neg {
		n = -n
	}
	if len(b) < 1+n {
		return 0
	}
	if n > 0 {
		first := b[1] ^ mask
		switch {
		case !neg && first == 0:
			return 0
		case neg && n > 1 && first == 0xFF:
			return 0
		case neg && n == 8 && first < 0x80: // below math.MinInt64
			return 0
		}
	}
	return 1 + n
}

func escapedSize(b []byte, mask byte) int {
	n := 1
	for {
		i := bytes.IndexByte(b[n:], mask) // 00
		if i < 0 || n+i+1 == len(b) {
			return 0
		}
		n += i + 2
		switch b[n-1] ^ mask {
		case 0x01:
			return n
		case 0xFF:
		default:
			return 0
		}
	}
}

func readUint64(b []byte, mask byte) uint64 {
	u := binary.BigEndian.Uint64(b)
	if mask != 0 {
		u = ^u
	}
	return u
}

func readUint32(b []byte, mask byte) uint32 {
	u := binary.BigEndian.Uint32(b)
	if mask != 0 {
		u = ^u
	}
	return u
}
