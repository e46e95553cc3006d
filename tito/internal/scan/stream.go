package scan

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Entry is an entry of an index, or a row where a Plan has no index.
type Entry struct {
	Key    []byte // without the prefix
	Values []byte // the encoded fields: a part of Key, nil for a row
	PK     []byte // the primary key of the row
	Row    []byte // the row's value, nil if it has not been read
}

// Stream is the entries of a Plan in order, pulled one at a time with Next, or many
// with Fill. It sees the transaction's own writes as of its opening. Gaps between the
// spans are sought past. A Stream belongs to its transaction's goroutine.
type Stream struct {
	plan    *Plan
	cursor  *kv.Cursor // nil once it is closed, and if there is nothing to walk
	reverse bool       // it goes from higher keys to lower ones
	at      Span       // the span that it is in or comes to next
	spans   []Span     // at, uncut, and the spans after it; they ascend
	stands  bool       // the cursor is on an entry of the Stream
	arena   []byte     // what is left of the memory that Fill copies to
}

// open begins a walk. keysOnly leaves out the values of rows, and page is how many
// entries the store should read ahead. The Plan must stay as it is meanwhile.
func (s *Stream) open(ctx context.Context, txn *kv.Txn, p *Plan, keysOnly bool, page int) error {
	*s = Stream{plan: p, reverse: p.descends(), spans: p.Spans.all}
	if p.From != nil {
		s.at, s.spans = p.From.clip(s.spans, s.reverse)
	} else {
		s.arrive()
	}
	if len(s.spans) == 0 {
		return nil
	}
	var err error
	s.cursor, err = txn.Cursor(ctx, s.whole(), &kv.ScanOptions{
		Reverse:  s.reverse,
		KeysOnly: p.Index == nil && keysOnly || p.Index != nil && !p.Index.Unique,
		PageSize: page,
	})
	return err
}

// Close ends the walk. It may be called more than once.
func (s *Stream) Close() {
	if s.cursor != nil {
		s.cursor.Close()
	}
	s.cursor, s.stands = nil, false
}

// Next returns the next entry, and false at the end. The entry's bytes are valid
// until the Stream is called again.
func (s *Stream) Next(ctx context.Context) (Entry, bool, error) {
	if ok, err := s.next(ctx); !ok || err != nil {
		return Entry{}, false, err
	}
	e, err := s.split(s.key(), s.cursor.Value())
	return e, err == nil, err
}

// Seek returns the first entry at or after key in the Stream's direction: in reverse
// the last one at or below it. Key is without the prefix. A Stream does not go back:
// if its entry is at or after key already, Seek returns that again. The entry's bytes
// are valid until the Stream is called again.
func (s *Stream) Seek(ctx context.Context, key []byte) (Entry, bool, error) {
	ok := s.cursor != nil
	if ok && (!s.stands || !s.reaches(key)) {
		s.stands = false
		ok = s.pass(key) && s.move(ctx, key)
	}
	if ok, err := s.settle(ctx, ok); !ok || err != nil {
		return Entry{}, false, err
	}
	e, err := s.split(s.key(), s.cursor.Value())
	return e, err == nil, err
}

// Fill appends up to n entries to chunk, fewer only at the end of the walk. Their
// bytes are the caller's: they last as long as an entry of the same call is held.
func (s *Stream) Fill(ctx context.Context, chunk []Entry, n int) ([]Entry, error) {
	s.arena = nil
	for ; n > 0; n-- {
		if ok, err := s.next(ctx); !ok || err != nil {
			return chunk, err
		}
		key, value := s.own(n, s.key(), s.cursor.Value())
		e, err := s.split(key, value)
		if err != nil {
			return chunk, err
		}
		chunk = append(chunk, e)
	}
	return chunk, nil
}

// next moves to the next entry and tells whether there is one.
func (s *Stream) next(ctx context.Context) (bool, error) {
	if s.cursor == nil {
		return false, nil
	}
	s.stands = false
	return s.settle(ctx, s.cursor.Next(ctx))
}

// settle moves from where the cursor is, if that is not its end, to the first key
// that is in a span.
func (s *Stream) settle(ctx context.Context, ok bool) (bool, error) {
	for ok {
		key := s.key()
		if !s.pass(key) {
			break
		}
		if s.at.Contains(key) {
			s.stands = true
			return true, nil
		}
		ok = s.enter(ctx)
	}
	s.spans = nil // the walk is over, and a Seek does not begin it again
	if s.cursor == nil {
		return false, nil
	}
	return false, s.cursor.Err()
}

// key returns the cursor's key without the prefix.
func (s *Stream) key() []byte { return s.cursor.Key()[len(s.plan.prefix()):] }

// reaches tells whether the Stream's entry is at or after key in its direction.
func (s *Stream) reaches(key []byte) bool {
	order := bytes.Compare(s.key(), key)
	return order == 0 || order > 0 != s.reverse
}

// pass leaves the spans that a walk which is at key has behind it, and tells whether
// one is left.
func (s *Stream) pass(key []byte) bool {
	if len(s.spans) == 0 || !s.at.past(key, s.reverse) {
		return len(s.spans) > 0
	}
	if s.reverse { // without the span that it is in
		s.spans = s.spans[:len(s.spans)-1]
	} else {
		s.spans = s.spans[1:]
	}
	s.spans = ahead(s.spans, key, s.reverse)
	s.arrive()
	return len(s.spans) > 0
}

// arrive makes the first of the spans the one that the Stream comes to.
func (s *Stream) arrive() {
	switch n := len(s.spans); {
	case n == 0:
		s.at = Span{}
	case s.reverse:
		s.at = s.spans[n-1]
	default:
		s.at = s.spans[0]
	}
}

// enter moves the cursor to the span that it comes to, which is not the one that it
// is in: to the span's first key, or to its end, which a reverse seek includes
// although the span does not.
func (s *Stream) enter(ctx context.Context) bool {
	if !s.reverse {
		return s.cursor.Seek(ctx, s.full(s.at.Start))
	}
	end := s.full(s.at.End)
	if bytes.Equal(s.cursor.Key(), end) {
		return s.cursor.Next(ctx)
	}
	return s.cursor.Seek(ctx, end)
}

// move seeks key, or the span that the Stream comes to if that lies behind key.
func (s *Stream) move(ctx context.Context, key []byte) bool {
	if s.at.Contains(key) {
		return s.cursor.Seek(ctx, s.full(key))
	}
	if s.reverse {
		return s.cursor.Seek(ctx, s.full(s.at.End))
	}
	return s.cursor.Seek(ctx, s.full(s.at.Start))
}

// full returns key with the prefix.
func (s *Stream) full(key []byte) []byte { return slices.Concat(s.plan.prefix(), key) }

// whole is the range from the first span to the last.
func (s *Stream) whole() kv.Range {
	low, high := s.at, s.spans[len(s.spans)-1]
	if s.reverse {
		low, high = s.spans[0], s.at
	}
	if high.End == nil {
		return kv.Range{Start: s.full(low.Start), End: keyenc.PrefixEnd(s.plan.prefix())}
	}
	return kv.Range{Start: s.full(low.Start), End: s.full(high.End)}
}

// split takes an entry apart. Its bytes are those of key and value.
func (s *Stream) split(key, value []byte) (Entry, error) {
	ix := s.plan.Index
	if ix == nil {
		return Entry{Key: key, PK: key, Row: value}, nil
	}
	values, pk, err := record.SplitEntry(key, value, ix.Unique, ix.Fields)
	if err != nil {
		return Entry{}, fmt.Errorf("table %q, index %q: %w", s.plan.Layout.Table, ix.Name, err)
	}
	return Entry{Key: key, Values: values, PK: pk}, nil
}

// arenaSize is how much memory Fill takes at once for the entries that it copies.
const arenaSize = 4096

// own copies key and value to memory of the caller of Fill, who waits for n entries.
func (s *Stream) own(n int, key, value []byte) (ownKey, ownValue []byte) {
	size := len(key) + len(value)
	if cap(s.arena)-len(s.arena) < size {
		s.arena = make([]byte, 0, max(size, min(arenaSize, n*size)))
	}
	i := len(s.arena)
	j := i + len(key)
	s.arena = append(append(s.arena, key...), value...)
	return s.arena[i:j:j], s.arena[j:len(s.arena):len(s.arena)]
}
