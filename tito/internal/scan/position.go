package scan

import (
	"bytes"
	"slices"
	"sort"
)

// Position is one side of a place in the order of a Plan: where a page begins.
type Position struct {
	// Key is the place: the fields that the Plan fixes, and then the order key of an
	// entry that is or was there. It is the key of an entry of the Plan's index, or of
	// a row, without the prefix.
	Key []byte

	Back      bool // the page lies before the place in the order, not behind it
	Inclusive bool // what is at the place belongs to the page
}

// Flipped returns the other side of the same place.
func (p Position) Flipped() Position { return Position{p.Key, !p.Back, !p.Inclusive} }

// clip returns those of the spans, which ascend, that have keys at p's side, and the
// part at p's side of the first of them. reverse is the direction of the walk that
// leads away from p; the first span is the last one then.
func (p *Position) clip(spans []Span, reverse bool) (first Span, rest []Span) {
	border := p.Key // the least key that a walk forwards visits, or that one in reverse does not
	if reverse == p.Inclusive {
		border = append(slices.Clip(border), 0) // the least key above
	}
	if reverse {
		// A span that starts at the border has no key below it.
		n := sort.Search(len(spans), func(i int) bool { return bytes.Compare(spans[i].Start, border) >= 0 })
		if n == 0 {
			return Span{}, nil
		}
		if first = spans[n-1]; !first.endsBefore(border) {
			first.End = border
		}
		return first, spans[:n]
	}
	if rest = ahead(spans, border, false); len(rest) == 0 {
		return Span{}, nil
	}
	if first = rest[0]; !first.startsAfter(border) {
		first.Start = border
	}
	return first, rest
}
