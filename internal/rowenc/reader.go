package rowenc

import (
	"encoding/binary"
	"fmt"
)

// AppendSized appends b as a sized byte string.
func AppendSized[B ~string | ~[]byte](dst []byte, b B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Reader takes a value apart from its front. After a read that fails it returns
// zeros and has nothing left, so that a caller may read a whole value and ask once,
// with Err or Done, whether it was sound. A Reader allocates nothing.
type Reader struct {
	left   []byte
	failed bool
	newer  bool // the value's format is above known
	format byte
	known  byte
}

// NewReader returns a Reader at the front of value, which it does not change.
func NewReader(value []byte) Reader { return Reader{left: value} }

// Errors are the sentinels that a layer reports what is wrong with its values by.
type Errors struct {
	Corrupt error // the value is cut short, malformed, or has a format that never was
	Newer   error // the value has a format above the one that the program knows
}

// Format reads the first byte of a value, its format, which counts from 1. The
// Reader fails unless it is known: Err tells a newer one from damage.
func (r *Reader) Format(known byte) {
	if r.failed {
		return
	}
	have := r.Byte()
	if r.failed || have == known {
		return
	}
	r.Fail()
	r.newer, r.format, r.known = have > known, have, known
}

// Fail makes the Reader one that has failed: for a caller that has read something
// which cannot be.
func (r *Reader) Fail() { r.left, r.failed = nil, true }

// Failed reports whether a read has failed.
func (r *Reader) Failed() bool { return r.failed }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.left) }

// Rest returns what is left, which belongs to the value.
func (r *Reader) Rest() []byte { return r.left }

// Err returns nil, or an error that wraps one of e and says what is wrong with
// what has been read.
func (r *Reader) Err(e *Errors) error {
	switch {
	case !r.failed:
		return nil
	case r.newer:
		return fmt.Errorf("%w: format %d, this program knows %d", e.Newer, r.format, r.known)
	}
	return fmt.Errorf("%w: a value is cut short or malformed", e.Corrupt)
}

// Done is Err for a value that has been read to its end: what is left makes it
// malformed.
func (r *Reader) Done(e *Errors) error {
	if len(r.left) > 0 {
		r.Fail()
	}
	return r.Err(e)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.left) == 0 {
		r.Fail()
		return 0
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b
}

// Uvarint reads an unsigned varint.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

// Varint reads a signed varint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.left)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

// Uint64 reads 8 bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uint64LE reads 8 bytes, little-endian.
func (r *Reader) Uint64LE() uint64 {
	if b := r.Take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Take reads n bytes, which belong to the value.
func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.left)) {
		r.Fail()
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

// Sized reads a sized byte string, which belongs to the value.
func (r *Reader) Sized() []byte { return r.Take(r.Uvarint()) }

// String reads a sized byte string as text.
func (r *Reader) String() string { return string(r.Sized()) }
