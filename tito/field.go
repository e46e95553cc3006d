package tito

import (
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/tito/internal/catalog"
)

// Field is one component of an index: how to get a value of type V out of a
// record of type T, and how to order it. Fields are immutable values, made by
// String, Int and the other kinds, and changed by Desc, Opt and Each.
type Field[T, V any] struct {
	shape  catalog.Field
	encode func(dst []byte, v V) []byte // one value as an ascending component

	// prefix appends what the ascending components of all values that begin with v have
	// in common. It is nil for kinds whose values do not begin one another.
	prefix func(dst []byte, v V) []byte

	// Exactly one of the two is set: to append the component of a
	// single-valued field, or to call yield with dst and each component of a
	// multi-valued one in turn after it, all in the same memory.
	one  func(dst []byte, rec *T) []byte
	many func(dst []byte, rec *T, yield func(dst []byte))
}

// The kinds of fields and ids, as the catalogue names them.
const (
	kindString = "string"
	kindBytes  = "bytes"
	kindBool   = "bool"
	kindInt    = "int" // signed and unsigned share one number line
	kindFloat  = "float"
	kindTime   = "time"
	kindUUID   = "uuid"
	kindCustom = "custom"
)

// newField makes a single-valued field. Without a getter it is the zero Field,
// which index.check reports.
func newField[T, V any](kind string, get func(*T) V, encode func([]byte, V) []byte) Field[T, V] {
	if get == nil {
		return Field[T, V]{}
	}
	return Field[T, V]{
		shape:  catalog.Field{Kind: kind},
		encode: encode,
		one:    func(dst []byte, rec *T) []byte { return encode(dst, get(rec)) },
	}
}

// String indexes text, ordered bytewise. Nothing is folded: give a function
// that lower-cases if case must not matter, and lower-case what is looked up.
func String[T any, S ~string](get func(*T) S) Field[T, S] {
	f := newField(kindString, get, keyenc.AppendString[S])
	f.prefix = keyenc.AppendStringPrefix[S]
	return f
}

// Bytes indexes byte slices, ordered bytewise. A nil slice equals an empty one.
func Bytes[T any, B ~[]byte](get func(*T) B) Field[T, B] {
	f := newField(kindBytes, get, func(dst []byte, v B) []byte { return keyenc.AppendBytes(dst, v) })
	f.prefix = func(dst []byte, v B) []byte { return keyenc.AppendBytesPrefix(dst, v) }
	return f
}

// Bool indexes booleans, false before true.
func Bool[T any, B ~bool](get func(*T) B) Field[T, B] {
	return newField(kindBool, get, func(dst []byte, v B) []byte { return keyenc.AppendBool(dst, bool(v)) })
}

// Int indexes signed integers of any size.
func Int[T any, I ~int | ~int8 | ~int16 | ~int32 | ~int64](get func(*T) I) Field[T, I] {
	return newField(kindInt, get, func(dst []byte, v I) []byte { return keyenc.AppendInt(dst, int64(v)) })
}

// Uint indexes unsigned integers of any size. They share the order and the
// encoding of Int, so a field may change between the two.
func Uint[T any, U ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](get func(*T) U) Field[T, U] {
	return newField(kindInt, get, func(dst []byte, v U) []byte { return keyenc.AppendUint(dst, uint64(v)) })
}

// Float indexes floating-point numbers. -0 equals 0; NaN equals itself, sorts
// before every number and is in no range.
func Float[T any, F ~float32 | ~float64](get func(*T) F) Field[T, F] {
	return newField(kindFloat, get, func(dst []byte, v F) []byte { return keyenc.AppendFloat(dst, float64(v)) })
}

// Time indexes instants, to the nanosecond and whatever their zone.
func Time[T any](get func(*T) time.Time) Field[T, time.Time] {
	return newField(kindTime, get, keyenc.AppendTime)
}

// UUID indexes 16-byte arrays, ordered bytewise.
func UUID[T any, U ~[16]byte](get func(*T) U) Field[T, U] {
	return newField(kindUUID, get, func(dst []byte, v U) []byte { return keyenc.AppendUUID(dst, v) })
}

// KeyAppender is implemented by types that encode themselves for an index or
// an id: AppendKey appends bytes that sort as the type's values do, and that
// are equal only for equal values, to dst. They need not be prefix-free.
type KeyAppender interface {
	AppendKey(dst []byte) []byte
}

// Custom indexes any type that encodes itself.
func Custom[T any, V KeyAppender](get func(*T) V) Field[T, V] {
	return newField(kindCustom, get, func(dst []byte, v V) []byte { return keyenc.AppendCustom(dst, v.AppendKey(nil)) })
}

// Desc returns the field in descending order.
func (f Field[T, V]) Desc() Field[T, V] {
	if f.shape.Desc {
		return f
	}
	f.shape.Desc = true
	if one := f.one; one != nil {
		f.one = func(dst []byte, rec *T) []byte {
			n := len(dst)
			dst = one(dst, rec)
			keyenc.Complement(dst[n:])
			return dst
		}
	}
	if many := f.many; many != nil {
		f.many = func(dst []byte, rec *T, yield func([]byte)) {
			n := len(dst)
			many(dst, rec, func(dst []byte) {
				keyenc.Complement(dst[n:])
				yield(dst)
			})
		}
	}
	return f
}

// Opt makes a nullable field: get returns nil for a record without a value,
// which has a null entry, before all values. Null records are found with Null
// and are in no range; in a unique index they do not collide.
//
//	tito.Opt(func(u *User) *string { return u.Nick }, tito.String(tito.Self[string]))
func Opt[T, E, V any](get func(*T) *E, of Field[E, V]) Field[T, V] {
	if get == nil || of.encode == nil {
		return Field[T, V]{}
	}
	f := Field[T, V]{shape: of.shape, encode: of.encode, prefix: of.prefix}
	f.shape.Nullable = true
	desc := of.shape.Desc
	null := func(dst []byte) []byte { return appendNull(dst, desc) }
	if of.one != nil {
		f.one = func(dst []byte, rec *T) []byte {
			if e := get(rec); e != nil {
				return of.one(dst, e)
			}
			return null(dst)
		}
		return f
	}
	f.many = func(dst []byte, rec *T, yield func([]byte)) {
		if e := get(rec); e != nil {
			of.many(dst, e, yield)
		} else {
			yield(null(dst))
		}
	}
	return f
}

// Each makes a multi-value field: the record has an entry for every element
// that get returns, equal ones folded, and none if it returns none.
//
//	tito.Each(func(p *Post) []string { return p.Tags }, tito.String(tito.Self[string]))
//	tito.Each(func(o *Order) []Line { return o.Lines }, tito.String(func(l *Line) string { return l.SKU }))
func Each[T, E, V any](get func(*T) []E, of Field[E, V]) Field[T, V] {
	if get == nil || of.encode == nil {
		return Field[T, V]{}
	}
	f := Field[T, V]{shape: of.shape, encode: of.encode, prefix: of.prefix}
	f.shape.Multi = true
	f.many = func(dst []byte, rec *T, yield func([]byte)) {
		elems := get(rec)
		for i := range elems {
			if e := &elems[i]; of.one != nil {
				yield(of.one(dst, e))
			} else {
				of.many(dst, e, yield)
			}
		}
	}
	return f
}

// Strings is Each over plain strings.
func Strings[T any, S ~string](get func(*T) []S) Field[T, S] {
	return Each(get, String(Self[S]))
}

// Self returns the value itself: the getter for fields of Opt and Each whose
// elements are the values.
func Self[V any](v *V) V { return *v }

// appendValue appends v's component in the field's direction. A field that Open would
// refuse has no encoding, and appends nothing.
func (f *Field[T, V]) appendValue(dst []byte, v V) []byte {
	if f.encode == nil {
		return dst
	}
	n := len(dst)
	dst = f.encode(dst, v)
	if f.shape.Desc {
		keyenc.Complement(dst[n:])
	}
	return dst
}

func appendNull(dst []byte, desc bool) []byte {
	n := len(dst)
	dst = keyenc.AppendNull(dst)
	if desc {
		keyenc.Complement(dst[n:])
	}
	return dst
}

// untypedField is a Field without its value type.
type untypedField[T any] struct {
	shape catalog.Field
	one   func(dst []byte, rec *T) []byte
	many  func(dst []byte, rec *T, yield func(dst []byte))
}

func (f *Field[T, V]) untyped() untypedField[T] { return untypedField[T]{f.shape, f.one, f.many} }
