package deb822

import (
	"bytes"
	"fmt"
	"slices"
)

// scanner walks over the value of one field that holds a comma-separated list.
type scanner struct {
	rest []byte
	line int    // of the field
	item int    // number of the current item, counted from 1
	noun string // what an item is called in an error
}

// list calls parse for each item of the named field; an absent or empty field
// has none. parse begins behind the blanks that precede the item and ends
// before the comma that follows it.
func (s *Stanza) list(field, noun string, parse func(*scanner) error) error {
	i := s.find([]byte(field))
	if i < 0 {
		return nil
	}
	sc := &scanner{rest: s.value(i), line: s.fields[i].line, noun: noun}
	if sc.blanks(); len(sc.rest) == 0 {
		return nil
	}
	for {
		sc.item++
		sc.blanks()
		if err := parse(sc); err != nil {
			return err
		}
		if sc.blanks(); len(sc.rest) == 0 {
			return nil
		}
		if !sc.accept(',') {
			return sc.errorf("unexpected character")
		}
	}
}

// blanks skips spaces, tabs and the ends of lines.
func (sc *scanner) blanks() {
	for len(sc.rest) > 0 && (isBlank(sc.rest[0]) || sc.rest[0] == '\n') {
		sc.rest = sc.rest[1:]
	}
}

// accept skips c and tells whether it was there.
func (sc *scanner) accept(c byte) bool {
	if len(sc.rest) == 0 || sc.rest[0] != c {
		return false
	}
	sc.rest = sc.rest[1:]
	return true
}

// word returns the longest run, perhaps empty, of letters, digits and bytes of
// extra.
func (sc *scanner) word(extra string) []byte {
	n := 0
	for n < len(sc.rest) && isWord(sc.rest[n], extra) {
		n++
	}
	word := sc.rest[:n]
	sc.rest = sc.rest[n:]
	return word
}

func isWord(c byte, extra string) bool {
	if isAlnum(c) {
		return true
	}
	for i := range len(extra) {
		if c == extra[i] {
			return true
		}
	}
	return false
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z'
}

// until returns what precedes the byte end, on the same item, and skips both.
func (sc *scanner) until(end byte) ([]byte, bool) {
	n := bytes.IndexByte(sc.rest, end)
	if n < 0 || bytes.ContainsAny(sc.rest[:n], ",|([{<") {
		return nil, false
	}
	inner := sc.rest[:n]
	sc.rest = sc.rest[n+1:]
	return inner, true
}

func (sc *scanner) errorf(msg string) error {
	return &SyntaxError{Line: sc.line, Msg: fmt.Sprintf("%s in %s %d of the field", msg, sc.noun, sc.item)}
}

// distinct sorts names and drops repetitions. Sorting, unlike a search for each
// name, stays fast on a list of 100,000.
func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
