package tito

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/tito-db/tito-go/tito/internal/scan"
)

// DefaultPageSize is how many records Page returns if Limit was not called.
const DefaultPageSize = 50

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
	if q.cond.index == nil { // a query without an index is a Scan, which nobody asked for
		q.err = fmt.Errorf("%w: table %q: the condition was not made from an index", ErrQuery, t.name)
	}
	return q
}

// Scan selects all rows, in the order of their ids.
func (t *Table[T, ID]) Scan() Query[T, ID] {
	return Query[T, ID]{table: t, cond: condition[T]{keys: scan.OneSpan(scan.Span{})}}
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
		err := q.run(ctx, r, func(tx *Tx, p *scan.Plan) error {
			var found finder[T, ID]
			found.start(q.table, tx, p)
			defer found.rows.Close()
			for {
				recs, _, err := found.next(ctx)
				if err != nil || len(recs) == 0 {
					return err
				}
				if err := hydrate(ctx, tx, recs, q.with); err != nil {
					return err
				}
				for _, rec := range recs {
					if stopped = !yield(rec, nil); stopped {
						return nil
					}
				}
			}
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
	err := q.run(ctx, r, func(tx *Tx, p *scan.Plan) error {
		var err error
		if recs, _, _, err = q.find(ctx, tx, p, limit); err != nil {
			return err
		}
		switch {
		case len(recs) == 0:
			return fmt.Errorf("%w: table %q, by query", ErrNotFound, q.table.name)
		case len(recs) > 1:
			return fmt.Errorf("%w: table %q, by query", ErrMultiple, q.table.name)
		}
		return hydrate(ctx, tx, recs, q.with)
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
		err := q.run(ctx, r, func(tx *Tx, p *scan.Plan) error {
			var keys scan.Keys
			keys.Start(tx.source(), p)
			defer keys.Close()
			for {
				pk, ok, err := keys.Next(ctx)
				if err != nil || !ok {
					return q.table.namesRow(err)
				}
				id, err := q.table.id.parse(pk)
				if err != nil {
					return fmt.Errorf("table %q: %w", q.table.name, err)
				}
				if stopped = !yield(id, nil); stopped {
					return nil
				}
			}
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
	err := q.run(ctx, r, func(tx *Tx, p *scan.Plan) error {
		var keys scan.Keys
		keys.Start(tx.source(), p)
		defer keys.Close()
		for {
			_, ok, err := keys.Next(ctx)
			if err != nil || !ok {
				return q.table.namesRow(err)
			}
			n++
		}
	})
	return n, err
}
