package scan

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// Span is the keys k with Start <= k < End. A nil bound is open.
type Span struct{ Start, End []byte }

// PrefixSpan returns the keys that begin with prefix.
func PrefixSpan(prefix []byte) Span { return Span{prefix, keyenc.PrefixEnd(prefix)} }

// Contains tells whether key is in s.
func (s Span) Contains(key []byte) bool {
	return bytes.Compare(key, s.Start) >= 0 && !s.endsBefore(key)
}

// endsBefore tells whether all keys of s are below key.
func (s Span) endsBefore(key []byte) bool {
	return s.End != nil && bytes.Compare(key, s.End) >= 0
}

// startsAfter tells whether all keys of s are above key.
func (s Span) startsAfter(key []byte) bool { return bytes.Compare(key, s.Start) < 0 }

// past tells whether a walk that stands at key has s behind it.
func (s Span) past(key []byte, reverse bool) bool {
	if reverse {
		return s.startsAfter(key)
	}
	return s.endsBefore(key)
}

// ahead returns those of the spans, which ascend, that a walk which stands at key
// has not behind it. It looks at the next span, where a walk mostly goes on, and then
// at the logarithm of their number.
func ahead(spans []Span, key []byte, reverse bool) []Span {
	n := len(spans)
	switch {
	case n == 0:
		return nil
	case reverse && !spans[n-1].startsAfter(key), !reverse && !spans[0].endsBefore(key):
		return spans
	case reverse:
		return spans[:sort.Search(n, func(i int) bool { return spans[i].startsAfter(key) })]
	}
	return spans[sort.Search(n, func(i int) bool { return !spans[i].endsBefore(key) }):]
}

// Spans is a set of keys: spans that ascend and do not overlap. It is immutable.
type Spans struct {
	all []Span
	sum *atomic.Pointer[spansSum] // nil for a set of one
}

// spansSum is what Spans.hash has computed.
type spansSum struct{ from, sum uint64 }

// OneSpan returns the keys of s.
func OneSpan(s Span) Spans { return Spans{all: []Span{s}} }

// PrefixSpans returns the keys that begin with one of the prefixes, none of which
// begins another. It sorts the prefixes in place and drops repeats.
func PrefixSpans(prefixes [][]byte) Spans {
	slices.SortFunc(prefixes, bytes.Compare)
	prefixes = slices.CompactFunc(prefixes, bytes.Equal)
	spans := make([]Span, len(prefixes))
	for i, p := range prefixes {
		spans[i] = PrefixSpan(p)
	}
	return Spans{all: spans, sum: new(atomic.Pointer[spansSum])}
}

// Len returns the number of spans.
func (s Spans) Len() int { return len(s.all) }

// First returns the first span of a set that has one.
func (s Spans) First() Span { return s.all[0] }

// Contains tells whether key is in one of the spans.
func (s Spans) Contains(key []byte) bool {
	left := ahead(s.all, key, false)
	return len(left) > 0 && left[0].Contains(key)
}

// hash continues the FNV-1a hash h with the spans. It remembers the last result,
// since a set can be of very many spans, and every page of a query asks for the same.
func (s Spans) hash(h uint64) uint64 {
	if s.sum != nil {
		if last := s.sum.Load(); last != nil && last.from == h {
			return last.sum
		}
	}
	sum := h
	for _, span := range s.all {
		sum = hashSized(hashSized(sum, span.Start), span.End)
	}
	if s.sum != nil {
		s.sum.Store(&spansSum{h, sum})
	}
	return sum
}

// The parameters of FNV-1a with 64 bits, of which hash/fnv has no function that
// continues a hash.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

// hashSized continues the hash h with b and its length.
func hashSized(h uint64, b []byte) uint64 {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(b)))
	return hashBytes(hashBytes(h, size[:]), b)
}

func hashBytes(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * hashPrime
	}
	return h
}
