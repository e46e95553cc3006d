package keyenc

// PrefixEnd returns the smallest key that is greater than every key with prefix
// b, so that [b, PrefixEnd(b)) are the keys with that prefix. It is nil, meaning
// unbounded, if b is empty or all FF. The result does not alias b.
func PrefixEnd(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xFF {
			end := append([]byte(nil), b[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// AppendStringPrefix appends what the components of exactly those strings that
// begin with s have in common: s's component without its terminator. It is not a
// component. The keys with such a string in their next field are those with the
// prefix dst, in both directions:
//
//	n := len(dst)
//	dst = keyenc.AppendStringPrefix(dst, s)
//	if desc {
//		keyenc.Complement(dst[n:])
//	}
//	start, end := dst, keyenc.PrefixEnd(dst)
func AppendStringPrefix[S ~string](dst []byte, s S) []byte {
	n := len(dst) + 1
	return escape(append(append(dst, tagString), s...), n)
}

// AppendBytesPrefix is [AppendStringPrefix] for fields of bytes.
func AppendBytesPrefix(dst, b []byte) []byte {
	n := len(dst) + 1
	return escape(append(append(dst, tagBytes), b...), n)
}
