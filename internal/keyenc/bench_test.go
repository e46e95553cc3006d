package keyenc_test

import (
	"testing"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
)

const benchText = "7f3c1c5e-2b7a-4f0e-9c55-0d6d1c9f2a11"

func BenchmarkAppendString(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 128)
	for b.Loop() {
		buf = keyenc.AppendString(buf[:0], benchText)
	}
}

func BenchmarkAppendInt(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 128)
	v := int64(1_000_000)
	for b.Loop() {
		buf = keyenc.AppendInt(buf[:0], v)
	}
}

func BenchmarkAppendTuple(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 128)
	at := time.Unix(1_700_000_000, 5)
	for b.Loop() {
		buf = appendTuple(buf[:0], at)
	}
}

func BenchmarkSplitTuple(b *testing.B) {
	b.ReportAllocs()
	key := appendTuple(nil, time.Unix(1_700_000_000, 5))
	for b.Loop() {
		for rest := key; len(rest) > 0; {
			var err error
			if _, rest, err = keyenc.Next(rest); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecodeInt(b *testing.B) {
	b.ReportAllocs()
	key := keyenc.AppendInt(nil, 1_000_000)
	for b.Loop() {
		if _, _, err := keyenc.DecodeInt(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeString(b *testing.B) {
	for _, desc := range []bool{false, true} {
		name := "asc"
		if desc {
			name = "desc"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			key := field{benchText, desc}.append(nil)
			for b.Loop() {
				if _, _, err := keyenc.DecodeString(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// appendTuple appends an index key: role, status, creation time descending, id.
func appendTuple(dst []byte, at time.Time) []byte {
	dst = keyenc.AppendString(dst, "admin")
	dst = keyenc.AppendInt(dst, 42)
	n := len(dst)
	dst = keyenc.AppendTime(dst, at)
	keyenc.Complement(dst[n:])
	return keyenc.AppendString(dst, benchText)
}
