package tito

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// IDOf says where a record of type T keeps its id of type ID, and how the id
// becomes a key. It is made by StringID, IntID, UintID, UUIDID or CustomID.
type IDOf[T any, ID comparable] struct {
	kind     string
	field    func(*T) *ID
	encode   func(dst []byte, id ID) []byte
	decode   func(key []byte) (id ID, rest []byte, err error)
	generate func() ID // nil: an empty id is an error
}

// StringID is for text ids. A record that is created with an empty one gets a
// time-ordered UUID (version 7) in its usual text form.
func StringID[T any, S ~string](field func(*T) *S) IDOf[T, S] {
	return IDOf[T, S]{
		kind: kindString, field: field, encode: keyenc.AppendString[S],
		decode: func(key []byte) (S, []byte, error) {
			s, rest, err := keyenc.DecodeString(key)
			return S(s), rest, err
		},
		generate: func() S { return S(newUUID().String()) },
	}
}

// IntID is for signed integer ids. They are not generated; see Generate.
func IntID[T any, I ~int | ~int8 | ~int16 | ~int32 | ~int64](field func(*T) *I) IDOf[T, I] {
	return IDOf[T, I]{
		kind: kindInt, field: field,
		encode: func(dst []byte, id I) []byte { return keyenc.AppendInt(dst, int64(id)) },
		decode: func(key []byte) (I, []byte, error) {
			n, rest, err := keyenc.DecodeInt(key)
			if err == nil && int64(I(n)) != n {
				err = keyenc.ErrRange
			}
			return I(n), rest, err
		},
	}
}

// UintID is for unsigned integer ids. They are not generated; see Generate.
func UintID[T any, U ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](field func(*T) *U) IDOf[T, U] {
	return IDOf[T, U]{
		kind: kindInt, field: field,
		encode: func(dst []byte, id U) []byte { return keyenc.AppendUint(dst, uint64(id)) },
		decode: func(key []byte) (U, []byte, error) {
			n, rest, err := keyenc.DecodeUint(key)
			if err == nil && uint64(U(n)) != n {
				err = keyenc.ErrRange
			}
			return U(n), rest, err
		},
	}
}

// UUIDID is for ids that are 16-byte arrays. A record that is created with a
// zero one gets a time-ordered UUID (version 7).
func UUIDID[T any, U ~[16]byte](field func(*T) *U) IDOf[T, U] {
	return IDOf[T, U]{
		kind: kindUUID, field: field,
		encode: func(dst []byte, id U) []byte { return keyenc.AppendUUID(dst, id) },
		decode: func(key []byte) (U, []byte, error) {
			id, rest, err := keyenc.DecodeUUID(key)
			return U(id), rest, err
		},
		generate: func() U { return U(newUUID()) },
	}
}

// CustomID is for ids that encode themselves: parse is the inverse of
// AppendKey. They are not generated; see Generate.
func CustomID[T any, ID interface {
	comparable
	KeyAppender
}](field func(*T) *ID, parse func(key []byte) (ID, error)) IDOf[T, ID] {
	return IDOf[T, ID]{
		kind: kindCustom, field: field,
		encode: func(dst []byte, id ID) []byte { return keyenc.AppendCustom(dst, id.AppendKey(nil)) },
		decode: func(key []byte) (ID, []byte, error) {
			b, rest, err := keyenc.DecodeCustom(key)
			if err != nil {
				var zero ID
				return zero, nil, err
			}
			id, err := parse(b)
			return id, rest, err
		},
	}
}

// Generate returns o with gen as the source of ids for records that are
// created without one. A nil gen makes an empty id an error, ErrNoID.
func (o IDOf[T, ID]) Generate(gen func() ID) IDOf[T, ID] {
	o.generate = gen
	return o
}

// newUUID returns a UUID of version 7 (RFC 9562), whose order is that of its
// making. It fails only if the system has no randomness.
func newUUID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// parse decodes an id that is the whole of key.
func (o *IDOf[T, ID]) parse(key []byte) (ID, error) {
	id, rest, err := o.decode(key)
	if err == nil && len(rest) > 0 {
		err = keyenc.ErrCorrupt
	}
	if err != nil {
		return id, fmt.Errorf("%w: primary key: %w", ErrCorrupt, err)
	}
	return id, nil
}
