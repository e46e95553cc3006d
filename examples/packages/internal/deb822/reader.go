package deb822

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of what a [Reader] accepts; a [SyntaxError] tells of input beyond
// them. All are far above what an archive holds.
const (
	MaxLine   = 1 << 20 // bytes in a line, its end not counted
	MaxStanza = 4 << 20 // bytes in the names and values of a stanza
	MaxFields = 256     // fields in a stanza
)

const bufferSize = 64 << 10

// Reader reads stanzas from a stream. It is for one goroutine at a time.
type Reader struct {
	in     *bufio.Reader
	line   int    // number of the line read last
	long   []byte // a line longer than the buffer of in
	stanza Stanza
	err    error // what ended the stream
}

// NewReader returns a Reader of r. It reads ahead, so that after an error the
// position of r is unspecified.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, bufferSize)}
}

// Next returns the next stanza, which has at least one field. The stanza and
// every byte slice obtained from it are valid until the next call.
//
// At the end of the input, and only there, the error is io.EOF. Malformed input
// is a [*SyntaxError], and a failure of the underlying reader is wrapped. An
// error takes the place of the stanza it occurs in, and every later call returns
// it again.
func (r *Reader) Next() (*Stanza, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.err = r.next(); r.err != nil {
		// A last stanza needs no empty line behind it.
		if !errors.Is(r.err, io.EOF) || len(r.stanza.fields) == 0 {
			return nil, r.err
		}
		r.stanza.open = true
	}
	return &r.stanza, nil
}

// next fills r.stanza up to an empty line. Its error is io.EOF also where the
// input ended behind a complete stanza.
func (r *Reader) next() error {
	s := &r.stanza
	s.reset()
	for {
		line, err := r.readLine()
		if err != nil {
			return err
		}
		switch {
		case len(line) == 0:
			if len(s.fields) > 0 {
				return nil
			}
			continue
		case line[0] == '#':
			continue
		case isBlank(line[0]):
			text := trimRight(line[1:])
			if len(text) == 0 {
				if len(s.fields) > 0 {
					return nil
				}
				continue
			}
			if len(s.fields) == 0 {
				return r.errorf("continuation line before any field")
			}
			s.extend(text)
		default:
			if err := r.field(line); err != nil {
				return err
			}
		}
		if len(s.data) > MaxStanza {
			return r.errorf("stanza over %d bytes", MaxStanza)
		}
	}
}

// field adds the field that begins in line, which is not empty.
func (r *Reader) field(line []byte) error {
	n := 0
	for n < len(line) && isName(line[n]) {
		n++
	}
	switch {
	case n == len(line) || line[n] != ':':
		if bytes.IndexByte(line[n:], ':') < 0 {
			return r.errorf("field without a colon")
		}
		return r.errorf("field name with a blank or another invalid character")
	case n == 0:
		return r.errorf("empty field name")
	case line[0] == '-':
		return r.errorf("field name that begins with a hyphen")
	}
	name := line[:n]
	if r.stanza.find(name) >= 0 {
		return r.errorf("duplicate field")
	}
	if len(r.stanza.fields) == MaxFields {
		return r.errorf("stanza of more than %d fields", MaxFields)
	}
	r.stanza.add(name, trimRight(trimLeft(line[n+1:])), r.line)
	return nil
}

// readLine returns the next line without its end, valid until the next call.
func (r *Reader) readLine() ([]byte, error) {
	r.line++
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.readLong(line)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // an error that wraps io.EOF, as of a lost connection, is not the end
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, err) //nolint:errorlint // nor may callers take it for the end
		}
		return nil, fmt.Errorf("deb822: reading line %d: %w", r.line, err)
	}
	line, complete := bytes.CutSuffix(line, []byte{'\n'})
	if complete {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	switch {
	case len(line) > MaxLine:
		return nil, r.errorf("line over %d bytes", MaxLine)
	case !complete && len(line) == 0:
		return nil, io.EOF
	case !complete:
		return nil, r.errorf("unexpected end of file")
	case bytes.IndexByte(line, 0) >= 0:
		return nil, r.errorf("NUL byte")
	case !utf8.Valid(line):
		return nil, r.errorf("invalid UTF-8")
	}
	return line, nil
}

// readLong reads the rest of a line that begins with head, or a bit more than
// MaxLine bytes of it.
func (r *Reader) readLong(head []byte) ([]byte, error) {
	r.long = append(r.long[:0], head...)
	for {
		part, err := r.in.ReadSlice('\n')
		r.long = append(r.long, part...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return r.long, err
		}
		if len(r.long) > MaxLine+len("\r\n") {
			return r.long, nil
		}
	}
}

func (r *Reader) errorf(format string, args ...any) error {
	return &SyntaxError{Line: r.line, Msg: fmt.Sprintf(format, args...)}
}

// isName tells whether c may stand in the name of a field.
func isName(c byte) bool { return '!' <= c && c <= '~' && c != ':' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
