package tito

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// rowFormat is the first byte of every row's value.
const rowFormat = 1

// Meta is what Tito keeps about a row beside the record.
type Meta struct {
	// Revision identifies the state in which a transaction left the row: every
	// transaction that writes the row gives it a higher one, also if the row was
	// deleted in between. Several writes in one transaction give the same. Zero
	// stands for a record that is not stored.
	Revision uint64

	// Created and Updated are the times of the first and the latest write,
	// in UTC with nanoseconds. Created survives updates.
	Created, Updated time.Time
}

// rowHeader is what stands before the payload in a row's value:
//
//	format            1 byte, 1
//	codec id          1 byte
//	schema version    uvarint
//	revision          uvarint
//	created           varint, Unix nanoseconds
//	updated - created uvarint, nanoseconds
//	fingerprint       8 bytes, little-endian: of the index set that entries satisfies
//	entries           uvarint length in bytes, then entries ascending by index and values:
//	                    uvarint index id*2, +1 if the key ends with the values (unique)
//	                    uvarint length of values, values
//
// The rest of the value is the payload. Entries are kept so that whoever
// changes the row removes exactly the entries that it has, also those of an
// index that the program does not know or whose function has changed.
type rowHeader struct {
	codec       uint8
	schema      uint64
	meta        Meta
	fingerprint uint64
	entries     []byte
}

func appendRow(dst []byte, h *rowHeader) []byte {
	dst = append(dst, rowFormat, h.codec)
	dst = binary.AppendUvarint(dst, h.schema)
	dst = binary.AppendUvarint(dst, h.meta.Revision)
	created := h.meta.Created.UnixNano()
	dst = binary.AppendVarint(dst, created)
	dst = binary.AppendUvarint(dst, uint64(h.meta.Updated.UnixNano()-created))
	dst = binary.LittleEndian.AppendUint64(dst, h.fingerprint)
	dst = binary.AppendUvarint(dst, uint64(len(h.entries)))
	return append(dst, h.entries...)
}

// parseRow splits a row's value. Both results alias it. It checks the framing
// of the entries too, so that walking them cannot fail later.
func parseRow(value []byte) (h rowHeader, payload []byte, err error) {
	r := rowReader{b: value}
	if format := r.byte(); format != rowFormat && !r.bad {
		return h, nil, fmt.Errorf("%w: row format %d is not known", ErrCorrupt, format)
	}
	h.codec = r.byte()
	h.schema = r.uvarint()
	h.meta.Revision = r.uvarint()
	created := r.varint()
	updated := created + int64(r.uvarint())
	h.meta.Created, h.meta.Updated = time.Unix(0, created).UTC(), time.Unix(0, updated).UTC()
	h.fingerprint = r.uint64()
	h.entries = r.bytes(r.uvarint())
	for e := (rowReader{b: h.entries}); len(e.b) > 0 && !r.bad; {
		e.uvarint()
		e.bytes(e.uvarint())
		r.bad = e.bad
	}
	if r.bad {
		return rowHeader{}, nil, fmt.Errorf("%w: row header", ErrCorrupt)
	}
	return h, r.b, nil
}

// rowReader reads from the front of b; after a short or malformed read it is bad.
type rowReader struct {
	b   []byte
	bad bool
}

func (r *rowReader) fail() {
	r.b, r.bad = nil, true
}

func (r *rowReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *rowReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// entry is one index entry as a row keeps it.
type entry struct {
	index  uint64
	unique bool   // the key ends with the values, and the value is the primary key
	values []byte // encoded fields
}

func (e *entry) compare(o *entry) int {
	switch {
	case e.index != o.index:
		if e.index < o.index {
			return -1
		}
		return 1
	default:
		return bytes.Compare(e.values, o.values)
	}
}

func appendEntry(dst []byte, e *entry) []byte {
	tag := e.index << 1
	if e.unique {
		tag |= 1
	}
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(e.values)))
	return append(dst, e.values...)
}

// entryList walks encoded entries, which parseRow has checked.
type entryList []byte

// next removes the first entry from l and returns it.
func (l *entryList) next() (e entry, ok bool) {
	if len(*l) == 0 {
		return entry{}, false
	}
	r := rowReader{b: *l}
	tag := r.uvarint()
	e = entry{index: tag >> 1, unique: tag&1 != 0, values: r.bytes(r.uvarint())}
	*l = r.b
	return e, true
}
