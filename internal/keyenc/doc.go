// Package keyenc encodes typed values as bytes that sort like the values.
//
// A key is a sequence of components. Each component encodes one value and is
//
//   - order-preserving: bytes.Compare of two components orders their values;
//   - prefix-free: no component is a prefix of another, so concatenated
//     components sort as tuples, field by field;
//   - canonical: equal values have one encoding, and the decoders accept no other;
//   - self-describing: its first byte, the tag, tells kind and direction.
//
// # Format
//
// Bytes are hexadecimal and integers big-endian. The components, in sort order:
//
//	kind      tag      after the tag
//	missing   04
//	null      08
//	false     0C
//	true      0D
//	integer   18 - 28  20+n for positive, 20-n for negative, then n bytes
//	float     30       8 bytes
//	time      38       8 bytes of seconds, 4 bytes of nanoseconds
//	uuid      40       the 16 bytes
//	string    48       escaped bytes, 00 01
//	bytes     50       escaped bytes, 00 01
//	custom    58       escaped bytes, 00 01
//
// Every other tag below 80 is unused and rejected. Those between the tags above
// leave room for later kinds; 00 and 7F stay unused, so that no component in
// either direction begins with 00 or FF.
//
// Integer: one number line from math.MinInt64 to math.MaxUint64, whatever the
// Go type. Zero is the tag 20 alone. A positive value is its n bytes without
// leading zeros. A negative value is the low n bytes of its two's complement,
// n being the least number, at least 1, for which the bytes left out are all
// FF: -1 is 1F FF, -256 is 1F 00, -257 is 1E FE FF.
//
// Float: the IEEE 754 bits, the sign bit flipped if it is clear, all bits
// flipped if it is set. NaN, whatever its bits, is eight zero bytes and sorts
// first, before negative infinity. Negative zero is encoded as zero. Floats and
// integers are different kinds and never compare by number.
//
// Time: an instant, without zone and monotonic reading. The seconds count from
// 0001-01-01T00:00:00Z (Unix seconds plus 62135596800, modulo 2^64) with the top
// bit flipped; the nanoseconds are below 10^9. Every time.Time can be encoded
// and sorts as time.Time.Compare orders it.
//
// String, bytes, custom: each 00 byte becomes 00 FF, every other byte stands
// for itself, and 00 01 ends the value. They sort bytewise; strings need not be
// UTF-8, and nothing folds case.
//
// # Descending
//
// A descending component is the ascending one with every bit flipped, from tag
// to terminator; see [Complement]. Its tag is 80 or above, so that decoders and
// [Next] tell the direction by themselves. Directions may differ between the
// fields of a key but not between the keys of one field.
//
// # Ranges
//
// Let p be a key up to a field, e the field's component for x and null the
// component for null, both complemented if the field is descending. With
// end = [PrefixEnd], the keys whose field satisfies a condition are those in
// [from, to):
//
//	condition    ascending                descending
//	v == x       p+e         end(p+e)     p+e         end(p+e)
//	v <  x       end(p+null) p+e          end(p+e)    p+null
//	v <= x       end(p+null) end(p+e)     p+e         p+null
//	v >= x       p+e         end(p)       p           end(p+e)
//	v >  x       end(p+e)    end(p)       p           p+e
//	prefix of v  p+e         end(p+e)     p+e         end(p+e)
//
// In the last row e comes from [AppendStringPrefix] or [AppendBytesPrefix]. The
// other rows leave out null and missing and expect the field to hold one kind
// besides those; NaN is less than every other float.
//
// # Concurrency and memory
//
// The Append functions extend dst like the append built-in and allocate only if
// dst lacks room. Decoders return values that do not alias their input; what
// [Next] returns and the rest that decoders return do. The package has no state,
// so any function may be called from any goroutine, but two must not share a
// slice that one of them writes.
//
// The encoding is a storage format, repeated in docs/format.md and pinned by
// testdata/golden.txt: it may grow, but what has a meaning never changes it.
package keyenc
