package tito

import (
	"context"
	"errors"
	"fmt"

	"github.com/tito-db/tito-go/tito/internal/scan"
)

// run makes a plan of the query in a transaction of the reader, and calls fn with it.
func (q *Query[T, ID]) run(ctx context.Context, r Reader, fn func(tx *Tx, p *scan.Plan) error) error {
	if q.err != nil {
		return q.err
	}
	if q.table == nil {
		return fmt.Errorf("%w: it was not made by Where or Scan", ErrQuery)
	}
	return r.read(ctx, func(tx *Tx) error {
		p, err := q.plan(tx)
		if err != nil {
			return err
		}
		if err := q.table.checkWith(tx.db, q.with); err != nil {
			return err
		}
		return fn(tx, &p)
	})
}

// plan resolves the query against the database, and leaves its types behind.
func (q *Query[T, ID]) plan(tx *Tx) (scan.Plan, error) {
	b, err := q.table.bind(tx)
	if err != nil {
		return scan.Plan{}, err
	}
	p := scan.Plan{Layout: b.Layout, Spans: q.cond.keys, Fixed: q.cond.fixed(), Reverse: q.reverse, Limit: q.limit}
	if ix := q.cond.index; ix != nil {
		if p.Index = q.table.bound(b, ix); p.Index == nil {
			return scan.Plan{}, fmt.Errorf("%w: table %q has no index %q", ErrQuery, q.table.name, ix.name)
		}
		p.Version = ix.opts.Version
		p.Repeats = ix.multi(p.Fixed)
	}
	if q.from != "" {
		from, err := tx.db.parseCursor(q.from, &p)
		if err != nil {
			return scan.Plan{}, err
		}
		p.From = &from
	}
	return p, nil
}

// source is where plans are carried out.
func (tx *Tx) source() scan.Source {
	return scan.Source{Txn: tx.kv, Strict: tx.db.opts.Strict, Stale: &tx.db.stale}
}

// finder decodes the rows that a plan finds. Whoever starts it closes its rows.
type finder[T any, ID comparable] struct {
	table *Table[T, ID]
	rows  scan.Rows
}

func (f *finder[T, ID]) start(t *Table[T, ID], tx *Tx, p *scan.Plan) {
	f.table = t
	f.rows.Start(tx.source(), p)
}

// next returns the next records, up to a chunk of them, and their entries, which are
// valid until the next call. It returns none at the end.
func (f *finder[T, ID]) next(ctx context.Context) ([]*T, []scan.Entry, error) {
	entries, err := f.rows.Next(ctx)
	if err != nil || len(entries) == 0 {
		return nil, nil, f.table.namesRow(err)
	}
	recs := make([]*T, len(entries))
	for i := range entries {
		if recs[i], err = f.table.decode(entries[i].PK, entries[i].Row); err != nil {
			return nil, nil, err
		}
	}
	return recs, entries, nil
}

// find returns all records of a plan that has a limit, and the keys of the entries at
// which the walk met the first of them and number size, or the last if there are fewer.
func (q *Query[T, ID]) find(ctx context.Context, tx *Tx, p *scan.Plan, size int) (recs []*T, first, last []byte, err error) {
	var found finder[T, ID]
	found.start(q.table, tx, p)
	defer found.rows.Close()
	for {
		chunk, entries, err := found.next(ctx)
		if err != nil || len(chunk) == 0 {
			return recs, first, last, err
		}
		if len(recs) == 0 {
			first = entries[0].Key
		}
		if wanted := size - len(recs); wanted > 0 {
			last = entries[min(wanted, len(entries))-1].Key
		}
		recs = append(recs, chunk...)
	}
}

// namesRow makes a RowError of the error of a row that package scan knows by its
// primary key alone.
func (t *Table[T, ID]) namesRow(err error) error {
	if row, ok := errors.AsType[*scan.RowError](err); ok {
		return t.keyError(row.PK, row.Err)
	}
	return err
}
