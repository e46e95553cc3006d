package engine

import (
	"bytes"
	"context"
	"math"

	"github.com/tito-db/tito-go/kv"
)

// Erase deletes all of the store, the driver's own keys included. It is for
// tests, which leave no store behind; nobody may use the store meanwhile.
func (d *Driver) Erase(ctx context.Context) error {
	left := pageRequest{start: d.space.own, end: d.space.end, keysOnly: true, limit: defaultPage}
	for bytes.Compare(left.start, left.end) < 0 {
		var err error
		if left.start, err = d.erase(ctx, left); err != nil {
			return err
		}
	}
	return nil
}

// erase deletes a page of keys, and returns where the next one begins.
func (d *Driver) erase(ctx context.Context, r pageRequest) ([]byte, error) {
	began, err := d.Begin(ctx, kv.BeginOptions{})
	if err != nil {
		return nil, err
	}
	defer began.Release()
	t := began.(*txn)
	t.via.last = math.MaxUint64 // erasing may take longer than the lifetime of the store's transactions
	p, err := t.page(ctx, r)
	if err != nil || len(p.pairs) == 0 {
		return p.next, err
	}
	for _, pair := range p.pairs {
		if err := t.kv.Delete(pair.key); err != nil {
			return nil, commitError(ctx, err, outcome{})
		}
	}
	_, err = t.commit(ctx)
	return p.next, err
}
