package record

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/rowenc"
)

// Entry is one index entry, as a row lists it.
type Entry struct {
	Index  uint64 // its id
	Unique bool   // the entry's key ends with the values, and its value is the primary key
	Values []byte // the encoded fields
}

// Compare orders entries as rows list them: by index, then by values.
func (e *Entry) Compare(o *Entry) int {
	switch {
	case e.Index < o.Index:
		return -1
	case e.Index > o.Index:
		return 1
	}
	return bytes.Compare(e.Values, o.Values)
}

// EntryList is encoded entries, ascending. Each is
//
//	uvarint index id * 2, plus 1 if Unique
//	values, sized
type EntryList []byte

// AppendEntry appends e to a list that holds only entries before it.
func AppendEntry(list EntryList, e *Entry) EntryList {
	tag := e.Index << 1
	if e.Unique {
		tag |= 1
	}
	return rowenc.AppendSized(binary.AppendUvarint(list, tag), e.Values)
}

// sound tells whether the list can be walked to its end.
func (l EntryList) sound() bool {
	r := rowenc.NewReader(l)
	for r.Len() > 0 {
		r.Uvarint()
		r.Sized()
	}
	return !r.Failed()
}

// Next removes the first entry from l, which is sound, and returns it. The entry's
// Values alias the list.
func (l *EntryList) Next() (e Entry, ok bool) {
	if len(*l) == 0 {
		return Entry{}, false
	}
	r := rowenc.NewReader(*l)
	tag := r.Uvarint()
	e = Entry{Index: tag >> 1, Unique: tag&1 != 0, Values: r.Sized()}
	*l = r.Rest()
	return e, true
}

// Has tells whether the list has e.
func (l EntryList) Has(e *Entry) bool {
	for have, ok := l.Next(); ok; have, ok = l.Next() {
		if have.Compare(e) == 0 {
			return true
		}
	}
	return false
}

// NoValue is the value of entries that say everything in their key. It is no
// primary key: no keyenc component begins with 00.
const NoValue = 0x00

// IsNoValue tells whether an entry's value is NoValue.
func IsNoValue(value []byte) bool { return len(value) == 1 && value[0] == NoValue }

// SplitEntry returns the encoded values and the primary key of an index entry,
// given its key without the index's prefix, its value, and how many fields the
// index has. The results alias key and value.
func SplitEntry(key, value []byte, unique bool, fields int) (values, pk []byte, err error) {
	if unique && !IsNoValue(value) {
		return key, value, nil
	}
	rest := key
	for range fields {
		if _, rest, err = keyenc.Next(rest); err != nil {
			return nil, nil, fmt.Errorf("%w: index entry: %w", ErrCorrupt, err)
		}
	}
	if len(rest) == 0 {
		return nil, nil, fmt.Errorf("%w: index entry without primary key", ErrCorrupt)
	}
	n := len(key) - len(rest)
	return key[:n:n], rest, nil
}

// HasNull tells whether one of the encoded values is null: entries with a null do
// not collide in a unique index.
func HasNull(values []byte) bool {
	for len(values) > 0 {
		if kind, _ := keyenc.KindOf(values); kind == keyenc.KindNull {
			return true
		}
		var err error
		if _, values, err = keyenc.Next(values); err != nil {
			return false // it cannot be: this program has encoded the values
		}
	}
	return false
}
