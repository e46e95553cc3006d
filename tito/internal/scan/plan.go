package scan

import (
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Plan is what a query asks of one table: which entries of one index, or which rows,
// and in which order.
//
// The order key of a Plan is the index's fields behind those that it fixes, and then
// the primary key; without an index it is the primary key. Two entries of one Plan
// differ in it, and Reverse turns its order around.
type Plan struct {
	Layout  *record.Layout
	Index   *record.Index // nil: the rows themselves
	Version uint32        // of the index's definition, for Fingerprint

	Spans Spans // which keys, without the prefix
	Fixed int   // how many leading fields have one value in all of Spans

	// Repeats says that a row may have several entries in Spans. Rows gives it at the
	// first of them in the order of the Plan.
	Repeats bool

	Reverse bool
	From    *Position // nil: from the beginning
	Limit   int       // how many rows at most; 0: all
}

// prefix returns the prefix of the keys that a walk visits.
func (p *Plan) prefix() []byte {
	if p.Index == nil {
		return p.Layout.Rows
	}
	return p.Index.Prefix
}

// Backward tells whether the walk leads back through the order of the Plan, as it
// does from a Position to the page before.
func (p *Plan) Backward() bool { return p.From != nil && p.From.Back }

// descends tells whether the walk goes from higher keys to lower ones.
func (p *Plan) descends() bool { return p.Reverse != p.Backward() }

// oneValue tells whether the Plan asks for one value of a unique index, which has at
// most one entry, with that value as its key. A Position says that it may be behind
// or before that entry.
func (p *Plan) oneValue() bool {
	return p.Index != nil && p.From == nil && p.Spans.Len() == 1 && p.Fixed == p.Index.Fields &&
		p.Index.Collides(p.Spans.First().Start)
}

// Fingerprint tells Plans apart whose Positions must not be mixed up: it is of the
// index, the spans and the order. Limit may change from page to page.
func (p *Plan) Fingerprint() uint64 {
	h := hashSized(hashStart, p.prefix())
	if p.Index != nil {
		v := p.Version
		h = hashSized(h, []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	h = p.Spans.hash(h)
	if p.Reverse {
		h = hashSized(h, []byte{1})
	}
	return h
}
