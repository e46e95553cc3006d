// Package record is rows and index entries as bytes: what a row's value holds
// beside the record, which entries a row lists, and the keys of both. It knows no
// model: package tito gives it encoded records, and whatever works on stored rows
// without the program's types (builds, verification, dumps, tools) uses it alone.
//
// row.go is a row's value, entry.go an index entry, layout.go where the rows and
// entries of a table lie. docs/format.md specifies the bytes.
package record
