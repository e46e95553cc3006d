// Package rowenc holds the parts that stored values are made of: how they are
// appended, and a Reader that takes them apart again and refuses a newer format
// (Reader.Format). What a value means is its
// owner's; docs/format.md specifies each.
//
// Integers are varints of encoding/binary or have 8 bytes; byte strings are sized:
// a uvarint length, then the bytes.
package rowenc
