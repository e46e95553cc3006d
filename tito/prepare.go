package tito

import (
	"context"
	"errors"
	"fmt"

	"github.com/tito-db/tito-go/tito/internal/record"
)

// writing is a call that writes rows of a table, from the records or ids that it is
// given to the batch that does it.
type writing[T any, ID comparable] struct {
	t    *Table[T, ID]
	tx   *Tx
	b    *binding
	opts *WriteOptions
	*scratch
}

// begin returns a writing that has to be ended, if there is no error.
func (t *Table[T, ID]) begin(tx *Tx, o *WriteOptions) (writing[T, ID], error) {
	b, err := t.bind(tx)
	if err != nil {
		return writing[T, ID]{}, err
	}
	return writing[T, ID]{t: t, tx: tx, b: b, opts: o, scratch: tx.takeScratch()}, nil
}

func (w *writing[T, ID]) end() { w.tx.giveBack(w.scratch) }

// row adds a mutation of the row with the id.
func (w *writing[T, ID]) row(id ID, demand record.Demand) *record.Mutation {
	m := w.batch.Add(w.b.Layout, w.t.id.encode(w.batch.RowKey(w.b.Layout), id))
	m.Demand, m.Schema = demand, uint64(w.t.schema.Version)
	if w.opts != nil {
		m.Expect = w.opts.Expect
	}
	return m
}

// remove adds the removal of the row with the id.
func (w *writing[T, ID]) remove(id ID, demand record.Demand) { w.row(id, demand).Delete = true }

// store adds the write of rec, and returns the copy that will be stored.
func (w *writing[T, ID]) store(rec *T, demand record.Demand) (*T, error) {
	c, err := w.copy(rec, demand)
	if err != nil {
		return nil, err
	}
	w.row(*w.t.id.field(c), demand)
	return c, w.fill(c)
}

// copy returns a copy of rec that can be stored: with an id, without what is not
// stored, and valid.
func (w *writing[T, ID]) copy(rec *T, demand record.Demand) (*T, error) {
	t := w.t
	if rec == nil {
		return nil, fmt.Errorf("%w: table %q: record is nil", ErrInvalid, t.name)
	}
	c := new(T)
	*c = *rec
	var zero ID
	id := t.id.field(c)
	if *id == zero {
		if demand == record.Present || t.id.generate == nil {
			return nil, fmt.Errorf("%w: table %q", ErrNoID, t.name)
		}
		if *id = t.id.generate(); *id == zero {
			return nil, fmt.Errorf("%w: table %q: its generator gave none", ErrNoID, t.name)
		}
	}
	if t.schema.Meta != nil {
		*t.schema.Meta(c) = Meta{}
	}
	for _, r := range t.schema.Relations {
		r.clear(c)
	}
	if t.schema.Validate != nil {
		if err := t.schema.Validate(c); err != nil {
			return nil, t.rowError(*id, fmt.Errorf("%w: %w", ErrInvalid, err))
		}
	}
	return c, nil
}

// fill makes c, and its entries, what the row of the mutation added last becomes.
func (w *writing[T, ID]) fill(c *T) error {
	m := &w.batch.Mutations[len(w.batch.Mutations)-1]
	m.Codec, m.Encoder, m.Record = w.t.schema.Codec.ID(), encoder[T, ID]{w.t}, c
	for i := range w.b.Indexes {
		first := w.values.len()
		if err := w.t.indexes[w.b.positions[i]].values(&w.values, c); err != nil {
			return w.t.rowError(*w.t.id.field(c), err)
		}
		for j := first; j < w.values.len(); j++ {
			w.batch.AddEntry(&w.b.Indexes[i], w.values.at(j))
		}
	}
	return nil
}

// encoder encodes the records of a table for the batch.
type encoder[T any, ID comparable] struct{ t *Table[T, ID] }

// AppendRecord implements record.Encoder.
func (e encoder[T, ID]) AppendRecord(dst []byte, rec any, meta record.Meta) ([]byte, error) {
	dst, err := e.t.schema.Codec.Append(dst, rec)
	if err == nil && e.t.schema.Meta != nil {
		*e.t.schema.Meta(rec.(*T)) = Meta(meta)
	}
	return dst, err
}

// apply carries out the batch.
func (w *writing[T, ID]) apply(ctx context.Context) error {
	var err error
	if p := w.newPublisher(); p != nil {
		err = w.batch.Apply(ctx, p)
	} else {
		err = w.batch.Apply(ctx)
	}
	if err != nil {
		return w.failed(err)
	}
	return nil
}

// failed gives an error of the batch the types of the table.
func (w *writing[T, ID]) failed(err error) error {
	var row *record.RowError
	var duplicate *record.DuplicateError
	switch {
	case errors.As(err, &row):
		return w.t.keyError(row.PK, row.Err)
	case errors.As(err, &duplicate):
		owner, err := w.t.id.parse(duplicate.Owner)
		if err != nil {
			return fmt.Errorf("table %q, index %q: %w", w.t.name, duplicate.Index.Name, err)
		}
		return &DuplicateError{Table: w.t.name, Index: duplicate.Index.Name, Owner: owner}
	}
	return err
}
