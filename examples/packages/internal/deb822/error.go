package deb822

import "strconv"

// SyntaxError tells what is wrong with the input, and where. [Reader.Next],
// [Stanza.Dependencies] and [Stanza.Tags] return it as *SyntaxError; find it
// with errors.As.
type SyntaxError struct {
	Line int    // number of the line, counted from 1
	Msg  string // what is wrong; quotes nothing of the input
}

// Error returns the message and the line, as in
// "deb822: unexpected end of file in line 7".
func (e *SyntaxError) Error() string {
	return "deb822: " + e.Msg + " in line " + strconv.Itoa(e.Line)
}
