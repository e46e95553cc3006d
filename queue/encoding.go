package queue

import (
	"encoding/binary"
	"fmt"
)

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader takes a row's value apart. After a failure it returns zeros and keeps
// the error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w: a value is cut short or malformed", ErrCorrupt)
	}
	r.b = nil
}

// take returns the next n bytes, which belong to the row.
func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// format demands the byte want.
func (r *reader) format(want byte) {
	if b := r.take(1); len(b) > 0 && b[0] != want {
		r.err = fmt.Errorf("%w: format %d, this program knows %d", ErrCorrupt, b[0], want)
		r.b = nil
	}
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

// end demands that nothing is left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	return r.err
}
