package tito

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/tito/internal/record"
)

// WriteOptions of one write. The zero value means the defaults; nil works too.
type WriteOptions struct {
	// Expect, if not 0, is the revision that the row must have: otherwise the
	// write fails with ErrStale, or ErrNotFound if there is no row. Create and
	// the Many forms do not take it: they fail with ErrOptions.
	Expect uint64

	// NoEvents makes the write publish nothing: for loads, repairs and writes
	// that consumers are not to see.
	NoEvents bool

	// Metadata becomes the headers of the events that the write publishes: who
	// did it, why, a trace id. Names and values share queue.MaxHeaderSize;
	// beyond that the write fails with queue.ErrMessage.
	Metadata map[string]string
}

// Create adds a record, and returns the stored copy, with its id if that was
// generated. It fails with ErrExists if there is a row with the id, and with
// ErrDuplicate if a unique index has the values. The argument is not changed.
// It costs one batch get and the commit.
func (t *Table[T, ID]) Create(ctx context.Context, tx *Tx, rec *T, o *WriteOptions) (*T, error) {
	if err := o.noExpect(); err != nil {
		return nil, err
	}
	return t.writeOne(ctx, tx, rec, record.Absent, o)
}

// Put adds a record, or replaces the one with its id. It costs as Create does.
func (t *Table[T, ID]) Put(ctx context.Context, tx *Tx, rec *T, o *WriteOptions) (*T, error) {
	return t.writeOne(ctx, tx, rec, record.Anything, o)
}

// Update replaces the record with the same id, and fails with ErrNotFound if
// there is none. It costs as Create does; a change that no index sees writes
// one key.
func (t *Table[T, ID]) Update(ctx context.Context, tx *Tx, rec *T, o *WriteOptions) (*T, error) {
	return t.writeOne(ctx, tx, rec, record.Present, o)
}

// CreateMany is Create for several records, at the cost of one: one batch get
// and the commit. Rules are judged over the state after the whole call. An
// error leaves all records unwritten. An id that stands twice is ErrRepeated.
func (t *Table[T, ID]) CreateMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, record.Absent, o)
}

// PutMany is Put for several records, under the rules of CreateMany.
func (t *Table[T, ID]) PutMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, record.Anything, o)
}

// UpdateMany is Update for several records, under the rules of CreateMany: rows can
// swap the values of a unique index in one call.
func (t *Table[T, ID]) UpdateMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, record.Present, o)
}

// Patch reads the record with the id, lets change modify it, and stores and
// returns the result. An error from change is returned as it is, and nothing
// is written; change is not called for a row whose revision is not the expected
// one. It costs one get and the commit, and a batch get if a value of a unique
// index has changed. change may write other rows in the transaction; if it
// writes this one, Patch fails with ErrStale.
func (t *Table[T, ID]) Patch(ctx context.Context, tx *Tx, id ID, change func(rec *T) error, o *WriteOptions) (*T, error) {
	w, err := t.begin(tx, o)
	if err != nil {
		return nil, err
	}
	defer w.end()
	m := w.row(id, record.Present)
	if err := w.batch.Load(ctx); err != nil {
		return nil, w.failed(err)
	}
	rec, err := t.decode(m.PK(), m.Old)
	if err != nil {
		return nil, err
	}
	if err := change(rec); err != nil {
		return nil, err
	}
	if *t.id.field(rec) != id {
		return nil, t.rowError(id, ErrIDChanged)
	}
	if rec, err = w.copy(rec, record.Present); err != nil {
		return nil, err
	}
	if err := w.fill(rec); err != nil {
		return nil, err
	}
	if err := w.apply(ctx); err != nil {
		return nil, err
	}
	return rec, nil
}

// Delete removes the row with the id and its index entries. It fails with
// ErrNotFound if there is none. It costs one get and the commit.
func (t *Table[T, ID]) Delete(ctx context.Context, tx *Tx, id ID, o *WriteOptions) error {
	w, err := t.begin(tx, o)
	if err != nil {
		return err
	}
	defer w.end()
	w.remove(id, record.Present)
	if err := w.batch.Load(ctx); err != nil {
		return w.failed(err)
	}
	return w.apply(ctx)
}

// DeleteMany removes the rows with the ids, and returns how many it removed: an id
// without a row, and one that stands twice, is no error.
// It costs one batch get and the commit.
func (t *Table[T, ID]) DeleteMany(ctx context.Context, tx *Tx, ids []ID, o *WriteOptions) (int, error) {
	w, err := t.begin(tx, o)
	if err != nil {
		return 0, err
	}
	defer w.end()
	if err := o.noExpect(); err != nil {
		return 0, err
	}
	w.batch.Grow(len(ids), nil)
	for _, id := range ids {
		w.remove(id, record.Anything)
	}
	if err := w.apply(ctx); err != nil {
		return 0, err
	}
	n := 0
	for i := range w.batch.Mutations {
		if w.batch.Mutations[i].Old != nil {
			n++
		}
	}
	return n, nil
}

// Lock makes the commit fail with kv.ErrConflict if another transaction writes
// a row with one of the ids meanwhile, whether there is one now or not, and makes
// the other's fail if this one commits first; see kv.Txn.Lock. It is for rows
// that were read, not written, and that the transaction's writes depend on. It
// costs nothing beyond the commit.
func (t *Table[T, ID]) Lock(ctx context.Context, tx *Tx, ids ...ID) error {
	b, err := t.bind(tx)
	if err != nil {
		return err
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = t.rowKey(b, id)
	}
	return tx.kv.Lock(ctx, keys...)
}

// noExpect refuses Expect, for writes that cannot expect a revision.
func (o *WriteOptions) noExpect() error {
	if o != nil && o.Expect != 0 {
		return fmt.Errorf("%w: Expect is for writes of one row that is there", ErrOptions)
	}
	return nil
}

// writeOne stores rec.
func (t *Table[T, ID]) writeOne(ctx context.Context, tx *Tx, rec *T, demand record.Demand, o *WriteOptions) (*T, error) {
	w, err := t.begin(tx, o)
	if err != nil {
		return nil, err
	}
	defer w.end()
	stored, err := w.store(rec, demand)
	if err != nil {
		return nil, err
	}
	if err := w.apply(ctx); err != nil {
		return nil, err
	}
	return stored, nil
}

// writeMany stores all recs or, after an error, none.
func (t *Table[T, ID]) writeMany(ctx context.Context, tx *Tx, recs []*T, demand record.Demand, o *WriteOptions) ([]*T, error) {
	if err := o.noExpect(); err != nil {
		return nil, err
	}
	w, err := t.begin(tx, o)
	if err != nil {
		return nil, err
	}
	defer w.end()
	if len(recs) == 0 {
		return nil, nil
	}
	w.batch.Grow(len(recs), w.b.Layout)
	stored := make([]*T, len(recs))
	for i, rec := range recs {
		if stored[i], err = w.store(rec, demand); err != nil {
			return nil, err
		}
	}
	if err := w.apply(ctx); err != nil {
		return nil, err
	}
	return stored, nil
}
