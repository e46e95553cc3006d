// Package record is rows and index entries as bytes, and the one way in which they
// change: what a row's value holds beside the record, which entries a row lists, the
// keys of both, and calls that change rows. It knows no model: package tito gives it
// encoded records, and whatever works on stored rows without the program's types
// (builds, verification, dumps, tools) uses it alone.
//
// row.go is a row's value, entry.go an index entry, layout.go where the rows and
// entries of a table lie; docs/format.md specifies the bytes. mutation.go is the
// change of one row, batch.go the changes of one call, apply.go how they are checked
// and written.
package record
