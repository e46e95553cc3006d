package tito

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// Codec turns records into bytes and back. It is used by many goroutines.
type Codec interface {
	// ID is stored with every row, so that rows outlive a change of codec. Ids
	// below 64 are Tito's.
	ID() uint8

	// Append appends the encoding of the record that rec, a *T, points to.
	Append(dst []byte, rec any) ([]byte, error)

	// Decode sets the record that rec, a *T, points to, from data, which it
	// must not keep. The record is zero before.
	Decode(data []byte, rec any) error
}

const firstCustomCodec = 64

// JSON is the default codec. It is encoding/json, which replaces what is not
// UTF-8 in strings: a record with such text is refused with ErrInvalid, since
// what came back would not be what was stored. Keep other bytes in []byte.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) ID() uint8 { return 1 }

// Append uses an Encoder for Marshal's bytes without Marshal's allocation: a
// record of 250 bytes takes two thirds of the time.
func (jsonCodec) Append(dst []byte, rec any) ([]byte, error) {
	w := appender(dst)
	if err := json.NewEncoder(&w).Encode(rec); err != nil {
		return dst, err
	}
	b := w[:len(w)-1] // without the Encoder's newline
	if suspect(b[len(dst):]) && !validText(reflect.ValueOf(rec)) {
		return dst, fmt.Errorf("%w: JSON cannot hold text that is not UTF-8", ErrInvalid)
	}
	return b, nil
}

// suspect tells whether b may have come from text that is not UTF-8. For that
// encoding/json writes, up to Go 1.26 an escape, from Go 1.27 on the replacement
// character itself, which text may also hold; what a MarshalJSON returns it copied
// as it is up to Go 1.26.
func suspect(b []byte) bool {
	return bytes.Contains(b, []byte(`\ufffd`)) || bytes.Contains(b, []byte("\ufffd")) || !utf8.Valid(b)
}

// validText tells whether all text in v that encoding/json writes is UTF-8. The
// encoding does not tell: from Go 1.27 on text that was replaced looks as text
// that holds the replacement character. v has been encoded, so it has no cycles.
func validText(v reflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	if encodesItself(v) {
		return validMarshaled(v)
	}
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return validText(v.Elem())
	case reflect.Slice, reflect.Array:
		if !mayHoldText(v.Type().Elem()) {
			return true
		}
		for i := range v.Len() {
			if !validText(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			// A key of a string kind is written as it is, whatever methods it has.
			if k := it.Key(); k.Kind() == reflect.String && !utf8.ValidString(k.String()) || !validText(k) || !validText(it.Value()) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Tag.Get("json") != "-" && (f.IsExported() || f.Anonymous) && !validText(v.Field(i)) {
				return false
			}
		}
	}
	return true
}

// mayHoldText tells whether a value of the type can be or hold text, to save the
// walk over long lists of numbers.
func mayHoldText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		return true
	}
	return reflect.PointerTo(t).Implements(marshaler) || reflect.PointerTo(t).Implements(textMarshaler)
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()         // immutable
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]() // immutable
)

// encodesItself tells whether encoding/json calls a method of v for its encoding.
func encodesItself(v reflect.Value) bool {
	t := v.Type()
	if !v.CanInterface() || v.Kind() == reflect.Interface {
		return false
	}
	if t.Implements(marshaler) || t.Implements(textMarshaler) {
		return v.Kind() != reflect.Pointer || !v.IsNil()
	}
	return v.CanAddr() && encodesItself(v.Addr())
}

// validMarshaled tells whether the method that encodes v writes UTF-8.
func validMarshaled(v reflect.Value) bool {
	if !v.Type().Implements(marshaler) && !v.Type().Implements(textMarshaler) {
		v = v.Addr()
	}
	var b []byte
	var err error
	switch m := v.Interface().(type) {
	case json.Marshaler:
		b, err = m.MarshalJSON()
	case encoding.TextMarshaler:
		b, err = m.MarshalText()
	}
	return err == nil && utf8.Valid(b)
}

func (jsonCodec) Decode(data []byte, rec any) error { return json.Unmarshal(data, rec) }

// appender is an io.Writer to the end of a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
