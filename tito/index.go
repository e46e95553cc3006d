package tito

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/internal/layout"
)

// MaxEntries bounds how many entries one record may have in one index. Those
// that are equal, and folded into one, count each.
const MaxEntries = 4096

// IndexOptions of an index over records of type T. The zero value means an
// index of every record that allows duplicates; nil works too.
type IndexOptions[T any] struct {
	// Unique makes a write that would give two records the same values fail
	// with ErrDuplicate. A record with a null among the values never collides.
	Unique bool

	// When, if set, leaves records for which it returns false out of the index.
	When func(*T) bool

	// Version stands for the functions of the index, which have no fingerprint:
	// raise it when they or When change what they return.
	Version uint32
}

// AnyIndex is an index over records of type T, whatever its fields: what
// Schema.Indexes lists.
type AnyIndex[T any] interface {
	definition() *index[T]
}

// Indexes lists the indexes of a Schema.
func Indexes[T any](all ...AnyIndex[T]) []AnyIndex[T] { return all }

// index is a definition without its value types. It is immutable, and its
// address is its identity.
type index[T any] struct {
	name   string
	fields []untypedField[T]
	opts   IndexOptions[T]
}

func newIndex[T any](name string, o *IndexOptions[T], fields ...untypedField[T]) *index[T] {
	ix := &index[T]{name: name, fields: fields}
	if o != nil {
		ix.opts = *o
	}
	return ix
}

// By1 is an index over one field. The methods of the embedded Column are its
// conditions; as a Condition itself it is every entry of the index.
type By1[T, A any] struct {
	Column[T, A]
}

// Index defines an index over one field.
func Index[T, A any](name string, a Field[T, A], o *IndexOptions[T]) By1[T, A] {
	ix := newIndex(name, o, a.untyped())
	return By1[T, A]{first(ix, a)}
}

// By2 is an index over two fields. The methods of the embedded Column are its
// conditions on the first; as a Condition itself it is every entry.
type By2[T, A, B any] struct {
	Column[T, A]
	b Field[T, B]
}

// Index2 defines an index over two fields, ordered by the first, then the second.
func Index2[T, A, B any](name string, a Field[T, A], b Field[T, B], o *IndexOptions[T]) By2[T, A, B] {
	ix := newIndex(name, o, a.untyped(), b.untyped())
	return By2[T, A, B]{first(ix, a), b}
}

// At fixes the first field to a, for conditions on the second.
func (by By2[T, A, B]) At(a A) Column[T, B] { return then(by.Column.Eq(a), by.b) }

// Eq is the entries with both values.
func (by By2[T, A, B]) Eq(a A, b B) Entries[T] { return by.At(a).Eq(b) }

// By3 is an index over three fields. The methods of the embedded Column are its
// conditions on the first; as a Condition itself it is every entry.
type By3[T, A, B, C any] struct {
	Column[T, A]
	b Field[T, B]
	c Field[T, C]
}

// Index3 defines an index over three fields, ordered by the first, then the
// second, then the third.
func Index3[T, A, B, C any](name string, a Field[T, A], b Field[T, B], c Field[T, C], o *IndexOptions[T]) By3[T, A, B, C] {
	ix := newIndex(name, o, a.untyped(), b.untyped(), c.untyped())
	return By3[T, A, B, C]{first(ix, a), b, c}
}

// At fixes the first field to a, for conditions on the second.
func (by By3[T, A, B, C]) At(a A) Column[T, B] { return then(by.Column.Eq(a), by.b) }

// At2 fixes the first two fields, for conditions on the third.
func (by By3[T, A, B, C]) At2(a A, b B) Column[T, C] { return then(by.At(a).Eq(b), by.c) }

// Eq is the entries with all three values.
func (by By3[T, A, B, C]) Eq(a A, b B, c C) Entries[T] { return by.At2(a, b).Eq(c) }

func (by By1[T, A]) definition() *index[T]       { return by.index }
func (by By2[T, A, B]) definition() *index[T]    { return by.index }
func (by By3[T, A, B, C]) definition() *index[T] { return by.index }

// check returns what is wrong with the definition.
func (ix *index[T]) check() error {
	if ix == nil {
		return fmt.Errorf("%w: an index was not made by tito.Index", ErrSchema)
	}
	if err := layout.CheckSize("index", ix.name); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	for i, c := range ix.fields {
		if c.one == nil && c.many == nil {
			return fmt.Errorf("%w: index %q: field %d was not made by a constructor such as tito.String, or has no getter", ErrSchema, ix.name, i+1)
		}
	}
	return nil
}

// multi tells whether a record can have several entries that agree in the leading
// fixed fields.
func (ix *index[T]) multi(fixed int) bool {
	return slices.ContainsFunc(ix.fields[fixed:], func(c untypedField[T]) bool { return c.shape.Multi })
}

// values appends the encoded values of each of rec's entries to b: ascending,
// equal ones folded. It fails with ErrTooManyEntries.
func (ix *index[T]) values(b *valueList, rec *T) error {
	if ix.opts.When != nil && !ix.opts.When(rec) {
		return nil
	}
	first := b.begin()
	if err := ix.product(b, rec, 0); err != nil {
		return err
	}
	if ix.multi(0) {
		b.sortFrom(first)
	}
	return nil
}

// product completes the open value of b with fields[i:], once for each
// combination of their values.
func (ix *index[T]) product(b *valueList, rec *T, i int) error {
	for ; i < len(ix.fields) && ix.fields[i].one != nil; i++ {
		b.open = ix.fields[i].one(b.open, rec)
	}
	if i == len(ix.fields) {
		return b.close(ix.name)
	}
	prefix := len(b.open)
	var err error
	ix.fields[i].many(b.open, rec, func(open []byte) {
		if err == nil {
			b.open = open
			err = ix.product(b, rec, i+1)
		}
	})
	b.open = b.open[:prefix]
	return err
}

// valueList holds encoded values back to back, to be reused without
// allocating. The last one may be open, that is still growing.
type valueList struct {
	open  []byte // the value being built
	bytes []byte
	ends  []int    // ends[i] is where value i ends in bytes
	first int      // ends of the current index begin here
	order [][]byte // for sorting
}

func (b *valueList) reset() {
	b.open, b.bytes, b.ends, b.first = b.open[:0], b.bytes[:0], b.ends[:0], 0
}

func (b *valueList) len() int { return len(b.ends) }

func (b *valueList) at(i int) []byte {
	return b.bytes[b.start(i):b.ends[i]:b.ends[i]]
}

// start returns where value i begins in bytes.
func (b *valueList) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// begin starts the values of one index and returns the number of the first.
func (b *valueList) begin() int {
	b.open, b.first = b.open[:0], len(b.ends)
	return b.first
}

// close adds the open value to the list, where it stays as a start for the next.
func (b *valueList) close(index string) error {
	if len(b.ends)-b.first == MaxEntries {
		return fmt.Errorf("%w: index %q, more than %d", ErrTooManyEntries, index, MaxEntries)
	}
	b.bytes = append(b.bytes, b.open...)
	b.ends = append(b.ends, len(b.bytes))
	return nil
}

// sortFrom sorts the values from first on and folds equal ones.
func (b *valueList) sortFrom(first int) {
	n := b.len() - first
	if n < 2 {
		return
	}
	values := b.order[:0]
	for i := range n {
		values = append(values, b.at(first+i))
	}
	b.order = values
	slices.SortFunc(values, bytes.Compare)
	values = slices.CompactFunc(values, bytes.Equal)
	// Written behind the old ones, which they are slices of, and then moved.
	start, end := b.start(first), len(b.bytes)
	b.ends = b.ends[:first]
	for _, v := range values {
		b.bytes = append(b.bytes, v...)
		b.ends = append(b.ends, start+len(b.bytes)-end)
	}
	b.bytes = append(b.bytes[:start], b.bytes[end:]...)
}
