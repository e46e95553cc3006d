package record

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/rowenc"
)

// RowFormat is the first byte of every row's value.
const RowFormat = 1

// Meta is what a row keeps about itself beside the record.
type Meta struct {
	Revision         uint64    // of the transaction that left the row as it is; see tito.Meta
	Created, Updated time.Time // in UTC, with nanoseconds
}

// Stamp is the codec, the schema version and the Meta of an encoded record: what a
// reader of it has to know, in a row as in an event's image.
type Stamp struct {
	Codec  uint8
	Schema uint64 // tito's Schema.Version of the program that wrote the record
	Meta   Meta
}

// AppendStamp appends s:
//
//	codec id          1 byte
//	schema version    uvarint
//	revision          uvarint
//	created           varint, Unix nanoseconds
//	updated - created uvarint, nanoseconds
func AppendStamp(dst []byte, s *Stamp) []byte {
	dst = append(dst, s.Codec)
	dst = binary.AppendUvarint(dst, s.Schema)
	dst = binary.AppendUvarint(dst, s.Meta.Revision)
	created := s.Meta.Created.UnixNano()
	dst = binary.AppendVarint(dst, created)
	return binary.AppendUvarint(dst, uint64(s.Meta.Updated.UnixNano()-created))
}

// ReadStamp reads what AppendStamp appended.
func ReadStamp(r *rowenc.Reader) (s Stamp) {
	s.Codec = r.Byte()
	s.Schema = r.Uvarint()
	s.Meta.Revision = r.Uvarint()
	created := r.Varint()
	updated := created + int64(r.Uvarint())
	s.Meta.Created, s.Meta.Updated = time.Unix(0, created).UTC(), time.Unix(0, updated).UTC()
	return s
}

// Header is what stands before the record in a row's value:
//
//	format            1 byte, 1
//	stamp             see AppendStamp
//	fingerprint       8 bytes, little-endian: of the index set that the entries satisfy
//	entries           uvarint length in bytes, then an EntryList
//
// The rest of the value is the record. A row keeps its entries so that whoever
// changes it removes exactly those that it has, also entries of an index that the
// program does not know or whose function has changed.
type Header struct {
	Stamp
	Fingerprint uint64
	Entries     EntryList
}

// AppendRow appends a row's value up to the record.
func AppendRow(dst []byte, h *Header) []byte {
	dst = AppendStamp(append(dst, RowFormat), &h.Stamp)
	dst = binary.LittleEndian.AppendUint64(dst, h.Fingerprint)
	return rowenc.AppendSized(dst, h.Entries)
}

// ParseRow splits a row's value. Both results alias it. It checks the framing of
// the entries too, so that walking them cannot fail later. It fails with ErrCorrupt
// or ErrNewerFormat.
func ParseRow(value []byte) (h Header, record []byte, err error) {
	r := rowenc.NewReader(value)
	r.Format(RowFormat)
	h.Stamp = ReadStamp(&r)
	h.Fingerprint = r.Uint64LE()
	h.Entries = r.Sized()
	if !h.Entries.sound() {
		r.Fail()
	}
	if r.Failed() {
		return Header{}, nil, fmt.Errorf("row header: %w", r.Err(&Errors))
	}
	return h, r.Rest(), nil
}
