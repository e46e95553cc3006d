// Package deb822 reads Debian package indexes: control data as deb822(5) and
// section 5.1 of the Debian policy describe it, and as `apt-cache dumpavail`
// and the archive's Packages files hold it.
//
// The data is a sequence of stanzas, each a set of fields:
//
//	Package: tito
//	Depends: libc6 (>= 2.34), zlib1g | zlib-ng
//	Tag: implemented-in::{c,c++},
//	 role::program
//
// [Reader] hands out one [Stanza] at a time and holds no more than that one in
// memory. It is strict: what it can not be sure of is a [SyntaxError] with the
// number of the line.
//
//   - Stanzas are separated by one or more empty lines; a line of blanks
//     (spaces and tabs) only is one too.
//   - A line that begins with a blank continues the field above it.
//   - A line that begins with '#' is a comment, also amid a field.
//   - Lines end in LF or CR LF, the last one too. A file cut off within a line
//     is therefore noticed. One cut off between two lines of a stanza is not:
//     it looks like a whole file without an empty line at its end; see
//     [Stanza.Unterminated].
//   - Field names are of printable ASCII, without blank and ':', not beginning
//     with '#' or '-', and compare without regard to case. A stanza has each
//     of them once.
//   - Values are UTF-8 without NUL.
//   - [MaxLine], [MaxStanza] and [MaxFields] bound what a hostile file can
//     cost.
//
// Start reading at [Reader.Next].
package deb822
