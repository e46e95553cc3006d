package tito

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tito-db/tito-go/tito/internal/record"
	"github.com/tito-db/tito-go/tito/internal/scan"
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
	return t.writeOne(ctx, tx, rec, opCreate, o)
}

// Put adds a record, or replaces the one with its id. It costs as Create does.
func (t *Table[T, ID]) Put(ctx context.Context, tx *Tx, rec *T, o *WriteOptions) (*T, error) {
	return t.writeOne(ctx, tx, rec, opPut, o)
}

// Update replaces the record with the same id, and fails with ErrNotFound if
// there is none. It costs as Create does; a change that no index sees writes
// one key.
func (t *Table[T, ID]) Update(ctx context.Context, tx *Tx, rec *T, o *WriteOptions) (*T, error) {
	return t.writeOne(ctx, tx, rec, opUpdate, o)
}

// CreateMany is Create for several records, at the cost of one: one batch get
// and the commit. Rules are judged over the state after the whole call. An
// error leaves all of them unwritten. An id that stands twice is ErrRepeated.
func (t *Table[T, ID]) CreateMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, opCreate, o)
}

// PutMany is Put for several records; see CreateMany.
func (t *Table[T, ID]) PutMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, opPut, o)
}

// UpdateMany is Update for several records; see CreateMany. Rows can swap the
// values of a unique index in one call.
func (t *Table[T, ID]) UpdateMany(ctx context.Context, tx *Tx, recs []*T, o *WriteOptions) ([]*T, error) {
	return t.writeMany(ctx, tx, recs, opUpdate, o)
}

// Patch reads the record with the id, lets change modify it, and stores and
// returns the result. An error from change is returned as it is, and nothing
// is written; change is not called for a row whose revision is not the expected
// one. It costs one get and the commit, and a batch get if a value of a unique
// index has changed. change may write other rows in the transaction; if it
// writes this one, Patch fails with ErrStale.
func (t *Table[T, ID]) Patch(ctx context.Context, tx *Tx, id ID, change func(rec *T) error, o *WriteOptions) (*T, error) {
	b, err := t.bind(tx.db)
	if err != nil {
		return nil, err
	}
	key, value, err := t.rowValue(ctx, tx, b, id)
	if err != nil {
		return nil, err
	}
	old, err := t.oldHeader(value, o)
	if err != nil {
		return nil, t.rowError(id, err)
	}
	rec, err := t.decode(key[len(b.Rows):], value)
	if err != nil {
		return nil, err
	}
	writes, size := tx.w.writes, tx.kv.Size()
	if err := change(rec); err != nil {
		return nil, err
	}
	// Other Tx, joined to the same transaction, do not count in tx.w.writes, but
	// a first write of the row makes the transaction larger. If this was not the
	// first one, the revision tells, and looking again costs nothing.
	written := old.Meta.Revision > uint64(tx.kv.ReadVersion())
	if written || tx.w.writes != writes || tx.kv.Size() != size {
		if now, err := tx.kv.BatchGet(ctx, [][]byte{key}); err != nil {
			return nil, err
		} else if !bytes.Equal(now[0], value) {
			return nil, t.rowError(id, ErrStale)
		}
	}
	if *t.id.field(rec) != id {
		return nil, t.rowError(id, ErrIDChanged)
	}
	w := t.newWriter(tx, b, opUpdate, o)
	if err := w.add(rec); err != nil {
		return nil, err
	}
	w.items[0].value, w.loaded = value, true
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return w.items[0].rec, nil
}

// Delete removes the row with the id and its index entries. It fails with
// ErrNotFound if there is none. It costs one get and the commit.
func (t *Table[T, ID]) Delete(ctx context.Context, tx *Tx, id ID, o *WriteOptions) error {
	b, err := t.bind(tx.db)
	if err != nil {
		return err
	}
	key, value, err := t.rowValue(ctx, tx, b, id)
	if err != nil {
		return err
	}
	h, err := t.oldHeader(value, o)
	if err != nil {
		return t.rowError(id, err)
	}
	if p := t.newPublisher(tx, o); p != nil {
		if err := p.add(key[len(b.Rows):], value, nil, nil); err != nil {
			return err
		}
		if err := p.publish(ctx); err != nil {
			return err
		}
	}
	return t.deleteRow(tx, b, key, &h)
}

// DeleteMany removes the rows with the ids, and returns how many there were.
// It costs one batch get and the commit.
func (t *Table[T, ID]) DeleteMany(ctx context.Context, tx *Tx, ids []ID, o *WriteOptions) (int, error) {
	b, err := t.bind(tx.db)
	if err != nil {
		return 0, err
	}
	if err := o.noExpect(); err != nil {
		return 0, err
	}
	var rows scan.Batch // an id may stand twice
	for _, id := range ids {
		rows.Add(t.rowKey(b, id))
	}
	if err := rows.Read(ctx, tx.kv); err != nil {
		return 0, err
	}
	headers := make([]record.Header, rows.Len())
	p := t.newPublisher(tx, o)
	for i := range headers {
		v := rows.Value(i)
		if v == nil {
			continue
		}
		pk := rows.Key(i)[len(b.Rows):]
		if headers[i], err = t.oldHeader(v, o); err != nil {
			return 0, t.keyError(pk, err)
		}
		if p != nil {
			if err := p.add(pk, v, nil, nil); err != nil {
				return 0, err
			}
		}
	}
	if p != nil {
		if err := p.publish(ctx); err != nil {
			return 0, err
		}
	}
	n := 0
	for i := range headers {
		if rows.Value(i) == nil {
			continue
		}
		if err := t.deleteRow(tx, b, rows.Key(i), &headers[i]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Lock makes the commit fail with kv.ErrConflict if another transaction writes
// a row with one of the ids meanwhile, whether there is one now or not, and makes
// the other's fail if this one commits first; see kv.Txn.Lock. It is for rows
// that were read, not written, and that the transaction's writes depend on. It
// costs nothing beyond the commit.
func (t *Table[T, ID]) Lock(ctx context.Context, tx *Tx, ids ...ID) error {
	b, err := t.bind(tx.db)
	if err != nil {
		return err
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = t.rowKey(b, id)
	}
	return tx.kv.Lock(ctx, keys...)
}

// noExpect is for writes that cannot expect a revision.
func (o *WriteOptions) noExpect() error {
	if o != nil && o.Expect != 0 {
		return fmt.Errorf("%w: Expect is for writes of one row that is there", ErrOptions)
	}
	return nil
}

// oldHeader reads the header of a row that is about to be replaced or deleted,
// and checks that it may be.
func (t *Table[T, ID]) oldHeader(value []byte, o *WriteOptions) (record.Header, error) {
	h, _, err := record.ParseRow(value)
	switch {
	case err != nil:
		return h, err
	case h.Schema > uint64(t.schema.Version):
		err = t.readable(&h.Stamp)
		return h, err
	case o != nil && o.Expect != 0 && o.Expect != h.Meta.Revision:
		return h, ErrStale
	}
	return h, nil
}

func (t *Table[T, ID]) deleteRow(tx *Tx, b *binding, key []byte, h *record.Header) error {
	tx.w.writes++
	list := h.Entries
	for e, ok := list.Next(); ok; e, ok = list.Next() {
		if err := tx.kv.Delete(tx.w.entryKey(b, &e, key[len(b.Rows):])); err != nil {
			return err
		}
	}
	return tx.kv.Delete(key)
}
