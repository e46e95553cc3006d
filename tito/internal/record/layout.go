package record

import "github.com/tito-db/tito-go/internal/keyenc"

// Layout says where the rows and entries of one table in one namespace lie, and
// which indexes its writers maintain. It is an immutable snapshot of the catalogue.
type Layout struct {
	Table       string
	Rows        []byte  // key prefix of the rows
	Entries     []byte  // key prefix of the entries of all indexes
	Indexes     []Index // ascending by id, the order of entries in a row
	Fingerprint uint64  // of the set of indexes, for row headers
}

// Index is one index of a Layout.
type Index struct {
	ID       uint64
	Name     string
	Prefix   []byte // of the keys of its entries
	Fields   int    // how many components an entry's values have
	Unique   bool
	Nullable bool // some field is
}

// Collides tells whether an entry with the values excludes other rows' entries with
// them, so that its key has no primary key.
func (ix *Index) Collides(values []byte) bool {
	return ix.Unique && (!ix.Nullable || !HasNull(values))
}

// AppendRowKey appends the key of the row with the primary key pk.
func (l *Layout) AppendRowKey(dst, pk []byte) []byte { return append(append(dst, l.Rows...), pk...) }

// AppendEntryKey appends the key of an entry of the row with the primary key pk,
// which does not matter if e is unique.
func (l *Layout) AppendEntryKey(dst []byte, e *Entry, pk []byte) []byte {
	dst = keyenc.AppendUint(append(dst, l.Entries...), e.Index)
	dst = append(dst, e.Values...)
	if !e.Unique {
		dst = append(dst, pk...)
	}
	return dst
}
