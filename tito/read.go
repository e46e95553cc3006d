package tito

import (
	"context"
	"errors"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// rowKey returns the key of id's row.
func (t *Table[T, ID]) rowKey(b *binding, id ID) []byte {
	return t.id.encode(append(make([]byte, 0, len(b.Rows)+32), b.Rows...), id)
}

// rowKeys returns the keys of the rows of ids, in memory that they share.
func (t *Table[T, ID]) rowKeys(b *binding, ids []ID) [][]byte {
	keys := make([][]byte, len(ids))
	all := make([]byte, 0, len(ids)*(len(b.Rows)+16))
	for i, id := range ids {
		start := len(all)
		all = t.id.encode(append(all, b.Rows...), id)
		keys[i] = all[start:len(all):len(all)] // stays where it is when all grows
	}
	return keys
}

// rowValue reads id's row, or fails with a RowError of ErrNotFound.
func (t *Table[T, ID]) rowValue(ctx context.Context, tx *Tx, b *binding, id ID) (key, value []byte, err error) {
	key = t.rowKey(b, id)
	value, err = tx.kv.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		err = t.rowError(id, ErrNotFound)
	}
	return key, value, err
}

// toRead returns what the transaction's database knows of the table, and checks the
// relations that a read is to hydrate.
func (t *Table[T, ID]) toRead(tx *Tx, with []Relation[T]) (*binding, error) {
	b, err := t.bind(tx)
	if err != nil {
		return nil, err
	}
	return b, t.checkWith(tx.db, with)
}

// Get returns the record with the id, with the relations hydrated, or an error
// that wraps ErrNotFound. It costs one driver call, and one for each level of
// relations.
func (t *Table[T, ID]) Get(ctx context.Context, r Reader, id ID, with ...Relation[T]) (*T, error) {
	var rec *T
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.toRead(tx, with)
		if err != nil {
			return err
		}
		key, value, err := t.rowValue(ctx, tx, b, id)
		if err != nil {
			return err
		}
		if rec, err = t.decode(key[len(b.Rows):], value); err != nil {
			return err
		}
		if len(with) == 0 {
			return nil
		}
		return hydrate(ctx, tx, []*T{rec}, with)
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// GetMany returns the records with the ids, positionally, nil for those that
// do not exist. It costs one driver call, and one for each level of relations.
func (t *Table[T, ID]) GetMany(ctx context.Context, r Reader, ids []ID, with ...Relation[T]) ([]*T, error) {
	recs := make([]*T, len(ids))
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.toRead(tx, with)
		if err != nil {
			return err
		}
		keys := t.rowKeys(b, ids)
		values, err := tx.kv.BatchGet(ctx, keys)
		if err != nil {
			return err
		}
		found := make([]*T, 0, len(ids))
		for i, v := range values {
			if v == nil {
				continue
			}
			if recs[i], err = t.decode(keys[i][len(b.Rows):], v); err != nil {
				return err
			}
			found = append(found, recs[i])
		}
		return hydrate(ctx, tx, found, with)
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// Exists reports whether there is a row with the id.
func (t *Table[T, ID]) Exists(ctx context.Context, r Reader, id ID) (bool, error) {
	var exists bool
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.bind(tx)
		if err != nil {
			return err
		}
		exists, err = tx.kv.Has(ctx, t.rowKey(b, id))
		return err
	})
	return exists, err
}

// Meta returns the revision and times of the row with the id, or an error that
// wraps ErrNotFound.
func (t *Table[T, ID]) Meta(ctx context.Context, r Reader, id ID) (Meta, error) {
	var m Meta
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.bind(tx)
		if err != nil {
			return err
		}
		_, value, err := t.rowValue(ctx, tx, b, id)
		if err != nil {
			return err
		}
		h, _, err := record.ParseRow(value)
		if err != nil {
			return t.rowError(id, err)
		}
		m = Meta(h.Meta)
		return nil
	})
	return m, err
}

// Count returns the number of rows. It walks all their keys: for a figure that
// is needed often, keep a counter.
func (t *Table[T, ID]) Count(ctx context.Context, r Reader) (int, error) {
	return t.Scan().Count(ctx, r)
}
