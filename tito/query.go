package tito

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// DefaultPageSize is how many records Page returns if Limit was not called.
const DefaultPageSize = 50

// chunkSize is how many entries All, IDs and Count look at between two batch
// gets: enough to make round trips rare, few enough to hold in memory.
const chunkSize = 256

// Query is a question to one table. It is an immutable value: its methods
// return changed copies, and one Query may be run many times and by many
// goroutines.
type Query[T any, ID comparable] struct {
	table   *Table[T, ID]
	cond    condition[T]
	with    []Relation[T]
	limit   int
	reverse bool
	from    string // cursor of a page, or empty
	err     error
}

// Where selects records by an index: by a Condition made from it. Records come
// in the order of the index, those with equal values by their ids. A record
// that has several entries which match comes once, at the first of them.
func (t *Table[T, ID]) Where(c Condition[T]) Query[T, ID] {
	q := Query[T, ID]{table: t}
	if c != nil {
		q.cond = c.condition()
		q.err = q.cond.err
	}
	if q.cond.index == nil { // must not become a Scan
		q.err = fmt.Errorf("%w: table %q: the condition was not made from an index", ErrQuery, t.name)
	}
	return q
}

// Scan selects all rows, in the order of their ids.
func (t *Table[T, ID]) Scan() Query[T, ID] {
	return Query[T, ID]{table: t, cond: condition[T]{spans: []span{{}}}}
}

// With hydrates relations of the records: one driver call for each level.
func (q Query[T, ID]) With(relations ...Relation[T]) Query[T, ID] {
	q.with = append(slices.Clip(q.with), relations...)
	return q
}

// Reverse turns the order around.
func (q Query[T, ID]) Reverse() Query[T, ID] {
	q.reverse = !q.reverse
	return q
}

// Limit bounds the number of records. For Page it is the page's size.
func (q Query[T, ID]) Limit(n int) Query[T, ID] {
	if n <= 0 {
		q.err = fmt.Errorf("%w: Limit %d is not positive", ErrQuery, n)
	}
	q.limit = n
	return q
}

// Cursor continues where the page that gave the cursor ended: behind it with its
// Next, before it with its Prev. Both must come from the same query, whose
// limit and relations may differ; else the read fails with ErrBadCursor. An
// empty cursor is the beginning. Reads other than Page walk away from the
// cursor: given a Prev, they begin with the record next to it.
func (q Query[T, ID]) Cursor(cursor string) Query[T, ID] {
	q.from = cursor
	return q
}

// All yields the records. A failure is yielded once, as the last element, with
// a nil record. It reads entries as of the beginning of the walk, in chunks,
// so memory does not grow with the result. Given a *Tx, the loop may write
// through it: a record comes as it was when its chunk was read, of up to 256
// entries, and is left out if it did not match any more then; so change one
// that the loop may have written before with Patch, not with what All yielded.
// A record of several entries that loses the entry it came at may come again.
func (q Query[T, ID]) All(ctx context.Context, r Reader) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		stopped := false
		err := q.run(ctx, r, func(s *search[T, ID]) error {
			return s.each(ctx, func(found []hit[T]) (bool, error) {
				recs := records(found)
				if err := hydrate(ctx, s.tx, recs, q.with); err != nil {
					return false, err
				}
				for _, rec := range recs {
					if stopped = !yield(rec, nil); stopped {
						return false, nil
					}
				}
				return true, nil
			})
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// First returns the first record, or an error that wraps ErrNotFound.
func (q Query[T, ID]) First(ctx context.Context, r Reader) (*T, error) {
	return q.only(ctx, r, 1)
}

// One returns the only record. It fails with ErrNotFound if there is none, and
// with ErrMultiple if there are more.
func (q Query[T, ID]) One(ctx context.Context, r Reader) (*T, error) {
	return q.only(ctx, r, 2)
}

func (q Query[T, ID]) only(ctx context.Context, r Reader, limit int) (*T, error) {
	if q.limit == 0 || q.limit > limit {
		q.limit = limit
	}
	var recs []*T
	err := q.run(ctx, r, func(s *search[T, ID]) error {
		if err := s.each(ctx, func(found []hit[T]) (bool, error) {
			recs = append(recs, records(found)...)
			return true, nil
		}); err != nil {
			return err
		}
		switch {
		case len(recs) == 0:
			return fmt.Errorf("%w: table %q, by query", ErrNotFound, q.table.name)
		case len(recs) > 1:
			return fmt.Errorf("%w: table %q, by query", ErrMultiple, q.table.name)
		}
		return hydrate(ctx, s.tx, recs, q.with)
	})
	if err != nil {
		return nil, err
	}
	return recs[0], nil
}

// IDs yields the ids of the records, without reading the rows unless the
// condition can meet a record several times. A failure is yielded once, last.
func (q Query[T, ID]) IDs(ctx context.Context, r Reader) iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		stopped := false
		err := q.run(ctx, r, func(s *search[T, ID]) error {
			return s.eachKey(ctx, func(pk []byte) (bool, error) {
				id, err := q.table.id.parse(pk)
				if err != nil {
					return false, fmt.Errorf("table %q: %w", q.table.name, err)
				}
				stopped = !yield(id, nil)
				return !stopped, nil
			})
		})
		if err != nil && !stopped {
			var zero ID
			yield(zero, err)
		}
	}
}

// Count returns the number of records. It walks their entries, and reads the
// rows only if the condition can meet a record several times: in other cases an
// entry that its row does not have counts.
func (q Query[T, ID]) Count(ctx context.Context, r Reader) (int, error) {
	n := 0
	err := q.run(ctx, r, func(s *search[T, ID]) error {
		return s.eachKey(ctx, func([]byte) (bool, error) {
			n++
			return true, nil
		})
	})
	return n, err
}

// run binds the query to the reader's database.
func (q Query[T, ID]) run(ctx context.Context, r Reader, fn func(s *search[T, ID]) error) error {
	if q.err != nil {
		return q.err
	}
	if q.table == nil {
		return fmt.Errorf("%w: it was not made by Where or Scan", ErrQuery)
	}
	return r.read(ctx, func(tx *Tx) error {
		s, err := q.search(tx)
		if err != nil {
			return err
		}
		if err := q.table.checkWith(tx.db, q.with); err != nil {
			return err
		}
		return fn(s)
	})
}

// search is a query at work in a transaction.
type search[T any, ID comparable] struct {
	q       *Query[T, ID]
	tx      *Tx
	b       *binding
	index   *record.Index // nil: the rows themselves
	prefix  []byte        // of the keys walked
	spans   []span        // relative to prefix, in the order of the walk
	limit   int           // 0: none
	reverse bool          // of the walk, which for a page before a cursor is not the query's
	repeats bool          // a row may have several entries in the spans
	from    place         // where the query's cursor points
}

// search resolves the query against the database.
func (q *Query[T, ID]) search(tx *Tx) (*search[T, ID], error) {
	b, err := q.table.bind(tx)
	if err != nil {
		return nil, err
	}
	s := &search[T, ID]{q: q, tx: tx, b: b, prefix: b.Rows, spans: q.cond.spans, limit: q.limit, reverse: q.reverse}
	if ix := q.cond.index; ix != nil {
		if s.index = q.table.bound(b, ix); s.index == nil {
			return nil, fmt.Errorf("%w: table %q has no index %q", ErrQuery, q.table.name, ix.name)
		}
		s.prefix = s.index.Prefix
		for i, c := range ix.fields {
			// A field that is fixed to one value gives one entry for it; several
			// spans differ in the last of those fields.
			fixed := i < q.cond.exact && (len(s.spans) == 1 || i < q.cond.exact-1)
			s.repeats = s.repeats || c.shape.Multi && !fixed
		}
	}
	if q.from != "" {
		if s.from, err = q.open(s); err != nil {
			return nil, err
		}
		s.reverse = q.reverse != s.from.back
		s.spans = s.from.cut(s.spans, s.reverse)
	}
	if s.reverse {
		s.spans = slices.Clone(s.spans)
		slices.Reverse(s.spans)
	}
	return s, nil
}

// hit is a record that was found.
type hit[T any] struct {
	rec *T
	key []byte // of the entry or row, without the prefix; owned
}

func records[T any](found []hit[T]) []*T {
	recs := make([]*T, len(found))
	for i := range found {
		recs[i] = found[i].rec
	}
	return recs
}

// ref is an entry that was read and whose row was not.
type ref struct {
	key    []byte // without the prefix; owned
	values []byte // the part of key that is the encoded fields
	pk     []byte
	row    []byte // the row's value, where the walk has it
}

// each walks the matches and gives them to fn, in chunks, until it returns
// false or the limit is reached.
func (s *search[T, ID]) each(ctx context.Context, fn func(found []hit[T]) (bool, error)) error {
	if s.unique() {
		return s.lookUp(ctx, fn)
	}
	left := s.limit
	return s.chunks(ctx, false, func(refs []ref) (bool, error) {
		found, err := s.fetch(ctx, refs)
		if err != nil {
			return false, err
		}
		if left > 0 && len(found) >= left {
			_, err := fn(found[:left])
			return false, err
		}
		left -= min(left, len(found))
		if len(found) == 0 {
			return true, nil
		}
		return fn(found)
	})
}

// eachKey walks the primary keys of the matches, valid during the call.
func (s *search[T, ID]) eachKey(ctx context.Context, fn func(pk []byte) (bool, error)) error {
	n := 0
	counted := func(pk []byte) (bool, error) {
		n++
		more, err := fn(pk)
		return more && n != s.limit, err
	}
	return s.chunks(ctx, true, func(refs []ref) (bool, error) {
		if s.repeats {
			found, err := s.rows(ctx, refs)
			if err != nil {
				return false, err
			}
			refs = found
		}
		for i := range refs {
			if more, err := counted(refs[i].pk); !more || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// unique tells whether the query asks for one value of a unique index, which
// two gets answer.
func (s *search[T, ID]) unique() bool {
	if s.index == nil || !s.index.Unique || len(s.spans) != 1 || s.q.from != "" ||
		s.q.cond.exact != len(s.q.cond.index.fields) {
		return false
	}
	return !s.index.Nullable || !record.HasNull(s.spans[0].start)
}

// lookUp answers a query for which unique holds.
func (s *search[T, ID]) lookUp(ctx context.Context, fn func(found []hit[T]) (bool, error)) error {
	values := s.spans[0].start
	pk, err := s.tx.kv.Get(ctx, slices.Concat(s.prefix, values))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	found, err := s.fetch(ctx, []ref{{key: values, values: values, pk: pk}})
	if err != nil || len(found) == 0 {
		return err
	}
	_, err = fn(found)
	return err
}

// fetch reads the rows of refs and decodes them.
func (s *search[T, ID]) fetch(ctx context.Context, refs []ref) ([]hit[T], error) {
	refs, err := s.rows(ctx, refs)
	if err != nil {
		return nil, err
	}
	found := make([]hit[T], len(refs))
	for i, r := range refs {
		rec, err := s.q.table.decode(r.pk, r.row)
		if err != nil {
			return nil, err
		}
		found[i] = hit[T]{rec, r.key}
	}
	return found, nil
}

// rows reads the rows of refs with one batch get, and returns the refs at
// which a row is to be yielded: not those whose row does not have the entry,
// and of several entries of one row only the first.
func (s *search[T, ID]) rows(ctx context.Context, refs []ref) ([]ref, error) {
	if s.index == nil { // the refs are the rows
		return refs, nil
	}
	keys := make([][]byte, 0, len(refs))
	at := make([]int, len(refs)) // each one's row in keys
	var seen map[string]int      // the same, by primary key
	if s.repeats {
		seen = make(map[string]int, len(refs))
	}
	buf := make([]byte, 0, len(refs)*(len(s.b.Rows)+24))
	for i := range refs {
		at[i] = len(keys)
		if seen != nil {
			if first, ok := seen[string(refs[i].pk)]; ok {
				at[i] = first
				continue
			}
			seen[string(refs[i].pk)] = at[i]
		}
		n := len(buf)
		buf = append(append(buf, s.b.Rows...), refs[i].pk...)
		keys = append(keys, buf[n:len(buf):len(buf)])
	}
	values, err := s.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	kept := refs[:0]
	var stale []ref
	for i, r := range refs {
		r.row = values[at[i]]
		has, first, err := s.judge(&r)
		if err != nil {
			return nil, s.q.table.keyError(r.pk, err)
		}
		switch {
		case !has:
			stale = append(stale, r)
		case first:
			kept = append(kept, r)
		}
	}
	if len(stale) > 0 {
		return kept, s.reportStale(ctx, stale)
	}
	return kept, nil
}

// get is a batch get, but for one key a plain one.
func (s *search[T, ID]) get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if len(keys) != 1 {
		return s.tx.kv.BatchGet(ctx, keys)
	}
	v, err := s.tx.kv.Get(ctx, keys[0])
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	return [][]byte{v}, nil
}

// reportStale counts the entries that their rows do not have, or fails in
// strict mode. Entries that are gone by now do not matter: the walk sees them
// as of its beginning, and the loop around it may have written.
func (s *search[T, ID]) reportStale(ctx context.Context, refs []ref) error {
	keys := make([][]byte, len(refs))
	for i, r := range refs {
		keys[i] = slices.Concat(s.prefix, r.key)
	}
	values, err := s.get(ctx, keys)
	if err != nil {
		return err
	}
	for i, v := range values {
		if v == nil || !record.IsNoValue(v) && !bytes.Equal(v, refs[i].pk) { // a unique value may have a new owner
			continue
		}
		if s.tx.db.opts.Strict {
			return s.q.table.keyError(refs[i].pk, fmt.Errorf("%w: index %q has an entry that the row does not have", ErrCorrupt, s.q.cond.index.name))
		}
		s.tx.db.stale.Add(1)
	}
	return nil
}

// judge tells whether the row of r has the entry, and whether that is its
// first one, in the query's direction, of those that match.
func (s *search[T, ID]) judge(r *ref) (has, first bool, err error) {
	if r.row == nil {
		return false, false, nil
	}
	h, _, err := record.ParseRow(r.row)
	if err != nil {
		return false, false, err
	}
	first = true
	list := h.Entries
	for e, ok := list.Next(); ok; e, ok = list.Next() {
		if e.Index != s.index.ID {
			continue
		}
		order := bytes.Compare(e.Values, r.values)
		switch {
		case order == 0:
			has = true
		case s.repeats && first && (order < 0) != s.q.reverse:
			first = !s.matches(e.Values)
		}
	}
	return has, first, nil
}

// matches tells whether an entry with the values is in the query's range,
// cursors aside.
func (s *search[T, ID]) matches(values []byte) bool {
	return s.q.cond.contains(values)
}

// chunks reads the keys of the spans through one cursor, and gives them to fn
// a chunk at a time until it returns false. Gaps between spans are sought past.
// Rows have no value if only keys are asked for.
func (s *search[T, ID]) chunks(ctx context.Context, keysOnly bool, fn func(refs []ref) (bool, error)) error {
	if len(s.spans) == 0 {
		return nil
	}
	size := chunkSize
	if s.limit > 0 {
		size = min(size, s.limit)
	}
	c, err := s.tx.kv.Cursor(ctx, s.whole(), &kv.ScanOptions{
		Reverse:  s.reverse,
		KeysOnly: s.index == nil && keysOnly || s.index != nil && !s.index.Unique,
		PageSize: size,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	var chunk []ref
	if s.limit > 0 { // a fair guess of how many there will be
		chunk = make([]ref, 0, size)
	}
	var arena []byte
	spans := s.spans
	for ok := c.Next(ctx); ok; {
		key := c.Key()[len(s.prefix):]
		for len(spans) > 0 && s.past(spans[0], key) {
			spans = spans[1:]
		}
		if len(spans) == 0 {
			break
		}
		if !spans[0].contains(key) {
			ok = s.enter(ctx, c, spans[0])
			continue
		}
		r, err := s.ref(c, &arena)
		if err != nil {
			return err
		}
		if chunk = append(chunk, r); len(chunk) == size {
			if more, err := fn(chunk); !more || err != nil {
				return err
			}
			chunk, arena = chunk[:0], nil
			size = min(2*size, chunkSize) // the limit was not reached: rows had several entries
		}
		ok = c.Next(ctx)
	}
	if err := c.Err(); err != nil {
		return err
	}
	if len(chunk) > 0 {
		_, err = fn(chunk)
	}
	return err
}

// past tells whether all keys of the span come before key in the walk.
func (s *search[T, ID]) past(sp span, key []byte) bool {
	if s.reverse {
		return bytes.Compare(key, sp.start) < 0
	}
	return sp.end != nil && bytes.Compare(key, sp.end) >= 0
}

// enter moves the cursor towards a span that lies ahead: to its first key, or
// to its end, which a reverse Seek includes although the span does not.
func (s *search[T, ID]) enter(ctx context.Context, c *kv.Cursor, sp span) bool {
	if !s.reverse {
		return c.Seek(ctx, slices.Concat(s.prefix, sp.start))
	}
	end := slices.Concat(s.prefix, sp.end)
	if bytes.Equal(c.Key(), end) {
		return c.Next(ctx)
	}
	return c.Seek(ctx, end)
}

// whole is the range from the first span to the last.
func (s *search[T, ID]) whole() kv.Range {
	lo, hi := s.spans[0], s.spans[len(s.spans)-1]
	if s.reverse {
		lo, hi = hi, lo
	}
	r := layout.PrefixRange(s.prefix)
	r.Start = slices.Concat(s.prefix, lo.start)
	if hi.end != nil {
		r.End = slices.Concat(s.prefix, hi.end)
	}
	return r
}

// ref copies the cursor's pair.
func (s *search[T, ID]) ref(c *kv.Cursor, arena *[]byte) (ref, error) {
	key := s.own(arena, c.Key()[len(s.prefix):])
	if s.index == nil {
		return ref{key: key, pk: key, row: s.own(arena, c.Value())}, nil
	}
	value := c.Value()
	if s.index.Unique {
		value = s.own(arena, value)
	}
	values, pk, err := record.SplitEntry(key, value, s.index.Unique, len(s.q.cond.index.fields))
	if err != nil {
		return ref{}, fmt.Errorf("table %q, index %q: %w", s.q.table.name, s.q.cond.index.name, err)
	}
	return ref{key: key, values: values, pk: pk}, nil
}

// own copies b to memory that lasts as long as the chunk.
func (s *search[T, ID]) own(arena *[]byte, b []byte) []byte {
	if cap(*arena)-len(*arena) < len(b) {
		*arena = make([]byte, 0, max(4096, len(b)))
	}
	n := len(*arena)
	*arena = append(*arena, b...)
	return (*arena)[n:len(*arena):len(*arena)]
}
