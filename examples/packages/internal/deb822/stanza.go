package deb822

import (
	"bytes"
	"iter"
)

// Stanza is one paragraph of control data, most often one package. It belongs
// to its [Reader] and is valid until the next call of [Reader.Next]. Until then
// any number of goroutines may read it.
//
// A value has the blanks at both its ends removed. That of a field of several
// lines is these lines joined with "\n", each continuation line without the
// one blank it begins with and without blanks at its end; the first line may
// be empty.
type Stanza struct {
	data   []byte // names and values
	fields []span
	open   bool // see Unterminated
}

// span is where in Stanza.data a field lies: its value follows its name.
type span struct {
	name, value, end int
	hash             uint32 // of the name, see hashName
	line             int
}

// Field is one field of a stanza. Its bytes are valid as long as the stanza and
// must not be modified.
type Field struct {
	Name  []byte // as written
	Value []byte
	Line  int // where the field begins
}

// Line returns the number of the line, counted from 1, in which the first field
// of the stanza begins.
func (s *Stanza) Line() int { return s.fields[0].line }

// Unterminated tells whether the input ended right behind the stanza, without
// an empty line. Most tools write that line, so the stanza may have been cut
// off between two of its lines; whoever knows its fields can tell.
func (s *Stanza) Unterminated() bool { return s.open }

// Size returns the number of bytes in the names and values of all fields.
func (s *Stanza) Size() int { return len(s.data) }

// FieldLine returns the number of the line in which the named field begins,
// or 0 if the stanza does not have it.
func (s *Stanza) FieldLine(name string) int {
	if i := s.find([]byte(name)); i >= 0 {
		return s.fields[i].line
	}
	return 0
}

// Fields yields the fields in the order of the input.
func (s *Stanza) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i, f := range s.fields {
			if !yield(Field{Name: s.data[f.name:f.value:f.value], Value: s.value(i), Line: f.line}) {
				return
			}
		}
	}
}

// Get returns a copy of the value of the named field, "" if the stanza does not
// have it. The copy is the caller's for good.
func (s *Stanza) Get(name string) string { return string(s.Bytes(name)) }

// Bytes returns the value of the named field without a copy: nil if the stanza
// does not have it, else not nil, valid as long as the stanza and not to be
// modified.
func (s *Stanza) Bytes(name string) []byte {
	if i := s.find([]byte(name)); i >= 0 {
		return s.value(i)
	}
	return nil
}

func (s *Stanza) value(i int) []byte {
	f := s.fields[i]
	return s.data[f.value:f.end:f.end]
}

func (s *Stanza) reset() {
	s.data = s.data[:0]
	s.fields = s.fields[:0]
	s.open = false
}

// add appends a field.
func (s *Stanza) add(name, value []byte, line int) {
	f := span{name: len(s.data), hash: hashName(name), line: line}
	s.data = append(s.data, name...)
	f.value = len(s.data)
	s.data = append(s.data, value...)
	f.end = len(s.data)
	s.fields = append(s.fields, f)
}

// extend appends a line to the value of the last field.
func (s *Stanza) extend(text []byte) {
	s.data = append(s.data, '\n')
	s.data = append(s.data, text...)
	s.fields[len(s.fields)-1].end = len(s.data)
}

// find returns the index of the named field, or -1.
func (s *Stanza) find(name []byte) int {
	hash := hashName(name)
	for i := range s.fields {
		if f := &s.fields[i]; f.hash == hash && bytes.EqualFold(s.data[f.name:f.value], name) {
			return i
		}
	}
	return -1
}

// hashName tells most names apart without looking at them: FNV-1a of the name
// with the bit cleared in which upper and lower case differ.
func hashName(name []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(c&^0x20)) * 16777619
	}
	return h
}
