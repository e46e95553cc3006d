package tito

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/tito/internal/scan"
)

// Condition selects entries of one index over records of type T: a By1, By2 or
// By3, a Column, an Interval or Entries.
type Condition[T any] interface {
	condition() condition[T]
}

// condition is keys of one index.
type condition[T any] struct {
	index *index[T]  // nil: the rows themselves, in order of their ids; see Table.Scan
	keys  scan.Spans // without the index's prefix
	exact int        // how many leading fields each span fixes to one value
	err   error
}

// fixed returns how many leading fields have one value in all entries: spans differ in
// the last field that each of them fixes.
func (c *condition[T]) fixed() int {
	if c.keys.Len() != 1 && c.exact > 0 {
		return c.exact - 1
	}
	return c.exact
}

// Entries is a finished condition.
type Entries[T any] struct{ c condition[T] }

func (e Entries[T]) condition() condition[T] { return e.c }

// Column is a field of an index, of type V, with the fields before it fixed to
// values. Its methods are conditions on the field. As a Condition itself a Column is
// every entry that has the values of the fields before it.
type Column[T, V any] struct {
	index  *index[T]
	field  Field[T, V]
	pos    int    // of field in the index
	prefix []byte // components of the fields before it
}

func first[T, V any](ix *index[T], f Field[T, V]) Column[T, V] {
	return Column[T, V]{index: ix, field: f}
}

// then continues an equality on all fields before f.
func then[T, V any](e Entries[T], f Field[T, V]) Column[T, V] {
	return Column[T, V]{index: e.c.index, field: f, pos: e.c.exact, prefix: e.c.keys.First().Start}
}

func (b Column[T, V]) condition() condition[T] {
	return b.prefixed(0, b.prefix).c
}

// component returns the prefix of the entries whose field has the value v.
func (b Column[T, V]) component(v V) []byte {
	return b.field.appendValue(slices.Clip(b.prefix), v)
}

// prefixed returns the entries that begin with prefix, which fixes so many fields from
// b on.
func (b Column[T, V]) prefixed(fields int, prefix []byte) Entries[T] {
	return b.entries(fields, scan.OneSpan(scan.PrefixSpan(prefix)))
}

func (b Column[T, V]) entries(fields int, keys scan.Spans) Entries[T] {
	return Entries[T]{condition[T]{index: b.index, keys: keys, exact: b.pos + fields}}
}

// Eq is the entries whose field equals v.
func (b Column[T, V]) Eq(v V) Entries[T] { return b.prefixed(1, b.component(v)) }

// In is the entries whose field equals one of values. The entries come in the order of
// the index, whatever the order of values. In without values matches nothing.
func (b Column[T, V]) In(values ...V) Entries[T] {
	prefixes := make([][]byte, len(values))
	keys := make([]byte, 0, len(values)*(len(b.prefix)+16)) // of all values, one after the other
	for i, v := range values {
		start := len(keys)
		keys = b.field.appendValue(append(keys, b.prefix...), v)
		prefixes[i] = keys[start:len(keys):len(keys)] // of the memory before keys grows, which stays
	}
	return b.entries(1, scan.PrefixSpans(prefixes))
}

// Null is the entries of records whose nullable field has no value.
func (b Column[T, V]) Null() Entries[T] {
	e := b.prefixed(1, appendNull(slices.Clip(b.prefix), b.field.shape.Desc))
	if b.index != nil && !b.field.shape.Nullable {
		e.c.err = fmt.Errorf("%w: Null on field %d of index %q, which is not nullable", ErrQuery, b.pos+1, b.index.name)
	}
	return e
}

// Ge is the entries whose field is at or above v. Bounds compare values, not keys, so
// a descending field has the same ones.
func (b Column[T, V]) Ge(v V) Interval[T, V] { return b.values().Ge(v) }

// Gt is the entries whose field is above v.
func (b Column[T, V]) Gt(v V) Interval[T, V] { return b.values().Gt(v) }

// Le is the entries whose field is at or below v.
func (b Column[T, V]) Le(v V) Interval[T, V] { return b.values().Le(v) }

// Lt is the entries whose field is below v.
func (b Column[T, V]) Lt(v V) Interval[T, V] { return b.values().Lt(v) }

// Interval is a condition on a field that more bounds can narrow:
// by.Ge(100).Lt(200). Nulls and NaN are in no range, and one that begins or
// ends at NaN is empty.
type Interval[T, V any] struct {
	b Column[T, V]
	s scan.Span
}

func (r Interval[T, V]) condition() condition[T] { return r.b.entries(0, scan.OneSpan(r.s)).c }

// values is the range of all values that compare. It leaves out nulls and NaN, which
// sort before all others.
func (b Column[T, V]) values() Interval[T, V] {
	lowest := keyenc.AppendNull(nil)
	if b.field.shape.Kind == kindFloat {
		lowest = keyenc.AppendFloat(nil, math.NaN())
	}
	s := scan.PrefixSpan(b.prefix)
	if b.field.shape.Desc {
		keyenc.Complement(lowest)
		s.End = slices.Concat(b.prefix, lowest)
	} else {
		s.Start = keyenc.PrefixEnd(slices.Concat(b.prefix, lowest))
	}
	return Interval[T, V]{b, s}
}

// HasPrefix is the entries whose field begins with v, which takes a field of text
// or bytes; on one of another kind every read of the query fails with ErrQuery.
//
//	userByRole.At("admin").HasPrefix("act")
func (b Column[T, V]) HasPrefix(v V) Entries[T] {
	if b.field.prefix == nil {
		e := b.prefixed(0, b.prefix)
		if b.index != nil {
			e.c.err = fmt.Errorf("%w: HasPrefix on field %d of index %q, which is of kind %s", ErrQuery, b.pos+1, b.index.name, b.field.shape.Kind)
		}
		return e
	}
	key := b.field.prefix(slices.Clip(b.prefix), v)
	if b.field.shape.Desc {
		keyenc.Complement(key[len(b.prefix):])
	}
	return b.prefixed(0, key)
}

// isNaN tells whether v is the float that compares with none.
func (b Column[T, V]) isNaN(v V) bool {
	return b.field.shape.Kind == kindFloat && bytes.Equal(b.field.encode(nil, v), keyenc.AppendFloat(nil, math.NaN()))
}

// Ge narrows r to values at or above v.
func (r Interval[T, V]) Ge(v V) Interval[T, V] { return r.narrow(v, true, true) }

// Gt narrows r to values above v.
func (r Interval[T, V]) Gt(v V) Interval[T, V] { return r.narrow(v, true, false) }

// Le narrows r to values at or below v.
func (r Interval[T, V]) Le(v V) Interval[T, V] { return r.narrow(v, false, true) }

// Lt narrows r to values below v.
func (r Interval[T, V]) Lt(v V) Interval[T, V] { return r.narrow(v, false, false) }

// narrow cuts the range at v. In a descending field the values above v have the keys
// before that of v.
func (r Interval[T, V]) narrow(v V, above, inclusive bool) Interval[T, V] {
	c := r.b.component(v)
	if r.b.isNaN(v) {
		r.s = scan.Span{Start: c, End: c} // no value is above or below NaN
		return r
	}
	if above != r.b.field.shape.Desc { // the range keeps the keys after that of v
		if !inclusive {
			c = keyenc.PrefixEnd(c)
		}
		if bytes.Compare(c, r.s.Start) > 0 {
			r.s.Start = c
		}
		return r
	}
	if inclusive {
		c = keyenc.PrefixEnd(c)
	}
	if r.s.End == nil || bytes.Compare(c, r.s.End) < 0 {
		r.s.End = c
	}
	return r
}
