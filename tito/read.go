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

// rowValue reads id's row.
func (t *Table[T, ID]) rowValue(ctx context.Context, tx *Tx, b *binding, id ID) (key, value []byte, err error) {
	key = t.rowKey(b, id)
	value, err = tx.kv.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		err = t.rowError(id, ErrNotFound)
	}
	return key, value, err
}

// Get returns the record with the id, with the relations hydrated, or an error
// that wraps ErrNotFound. It costs one driver call, and one for each level of
// relations.
func (t *Table[T, ID]) Get(ctx context.Context, r Reader, id ID, with ...Relation[T]) (*T, error) {
	var rec *T
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.bind(tx)
		if err != nil {
			return err
		}
		if err := t.checkWith(tx.db, with); err != nil {
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
		b, err := t.bind(tx)
		if err != nil {
			return err
		}
		if err := t.checkWith(tx.db, with); err != nil {
			return err
		}
		keys := make([][]byte, len(ids))
		for i, id := range ids {
			keys[i] = t.rowKey(b, id)
		}
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
	var h record.Header
	err := r.read(ctx, func(tx *Tx) error {
		b, err := t.bind(tx)
		if err != nil {
			return err
		}
		_, value, err := t.rowValue(ctx, tx, b, id)
		if err != nil {
			return err
		}
		if h, _, err = record.ParseRow(value); err != nil {
			return t.rowError(id, err)
		}
		return nil
	})
	return Meta(h.Meta), err
}

// Count returns the number of rows. It walks all their keys: for a figure that
// is needed often, keep a counter.
func (t *Table[T, ID]) Count(ctx context.Context, r Reader) (int, error) {
	return t.Scan().Count(ctx, r)
}
