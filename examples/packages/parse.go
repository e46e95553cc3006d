package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

// A batch is what one transaction stores. Its packages have distinct names.
type batch []record

// record is a package and where it stands in the input.
type record struct {
	pkg  *Package
	line int
}

// Bounds of a batch. They keep a transaction far below the store's limit for
// usual packages; the loader halves a batch that is too large all the same.
const (
	batchRecords = 1000
	batchBytes   = 1 << 20 // of values in the input
)

// parse reads packages from in, at most limit unless that is 0, and gives them
// to emit in batches and in order. After an error of the input, what was read
// before it has been emitted; its text has the number of the line.
func parse(in io.Reader, limit int, emit func(batch) error) error {
	var (
		r     = deb822.NewReader(in)
		next  batch
		names = map[string]bool{} // in next
		size  int
		prev  fileFields
	)
	flush := func() error {
		if len(next) == 0 {
			return nil
		}
		b := next
		next, size = make(batch, 0, len(b)), 0
		clear(names)
		return emit(b)
	}
	for n := 0; limit == 0 || n < limit; n++ {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var rec record
		if err == nil {
			rec, err = newRecord(s)
		}
		if err == nil {
			has := fileFieldsOf(s)
			if s.Unterminated() && has.lacks(prev) {
				err = syntaxError(s.Line(), "unexpected end of file in the stanza that begins")
			}
			prev = has
		}
		if err != nil {
			return errors.Join(flush(), err)
		}
		if names[rec.pkg.Name] { // the last of a name wins, so it goes into a later transaction
			if err := flush(); err != nil {
				return err
			}
		}
		names[rec.pkg.Name] = true
		next = append(next, rec)
		if size += s.Size(); len(next) == batchRecords || size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// fileFields tells which fields a stanza has that archives' indexes end with,
// in the one order or the other. A last stanza that lacks one that the stanza
// before it has, and is not followed by an empty line, has been cut off.
type fileFields [4]bool

func fileFieldsOf(s *deb822.Stanza) (has fileFields) {
	for i, name := range [...]string{"Filename", "Size", "SHA256", "Description"} {
		has[i] = s.Bytes(name) != nil
	}
	return has
}

func (f fileFields) lacks(prev fileFields) bool {
	for i := range f {
		if prev[i] && !f[i] {
			return true
		}
	}
	return false
}

// maxText bounds what becomes part of a key, so that two of them and the key's
// other parts fit in the 2048 bytes that every store takes.
const maxText = 900

func newRecord(s *deb822.Stanza) (record, error) {
	p := &Package{
		Name:         s.Get("Package"),
		Version:      s.Get("Version"),
		Architecture: s.Get("Architecture"),
		Section:      s.Get("Section"),
		MaintainerID: s.Get("Maintainer"),
		Homepage:     s.Get("Homepage"),
		Description:  s.Get("Description"),
	}
	switch {
	case s.Bytes("Package") == nil:
		return record{}, syntaxError(s.Line(), "no field Package in the stanza that begins")
	case !isPackageName(p.Name):
		return record{}, syntaxError(s.FieldLine("Package"), "malformed name of a package")
	}
	if text := s.Get("Size"); text != "" {
		size, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return record{}, syntaxError(s.FieldLine("Size"), "malformed size")
		}
		p.Size = int64(size)
	}
	var err error
	if p.Tags, err = s.Tags("Tag"); err != nil {
		return record{}, err
	}
	if p.Depends, err = s.Dependencies("Depends", "Pre-Depends"); err != nil {
		return record{}, err
	}
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"Package", []string{p.Name}}, {"Section", []string{p.Section}}, {"Maintainer", []string{p.MaintainerID}},
		{"Homepage", []string{p.Homepage}}, {"Tag", p.Tags}, {"Depends", p.Depends},
	} {
		for _, v := range f.values {
			if len(v) > maxText {
				return record{}, syntaxError(s.Line(), fmt.Sprintf("a value over %d bytes in the field %s of the stanza that begins", maxText, f.name))
			}
		}
	}
	return record{p, s.Line()}, nil
}

// isPackageName accepts what dpkg does.
func isPackageName(name string) bool {
	for i, c := range []byte(name) {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '+' && c != '-' && c != '.' && c != '_') {
			return false
		}
	}
	return name != ""
}

func syntaxError(line int, msg string) error { return &deb822.SyntaxError{Line: line, Msg: msg} }
