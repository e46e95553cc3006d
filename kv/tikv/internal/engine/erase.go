package engine

import (
	"context"

	"github.com/tito-db/tito-go/kv"
)

// Erase deletes all of the store, the driver's own keys included. It is for
// tests, which leave no store behind; nobody may use the store meanwhile.
func (d *Driver) Erase(ctx context.Context) error {
	for {
		n, err := d.erase(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// erase deletes some of the keys, and returns how many.
func (d *Driver) erase(ctx context.Context) (int, error) {
	t, err := d.Begin(ctx, kv.BeginOptions{})
	if err != nil {
		return 0, err
	}
	defer t.Release()
	x := t.(*txn)
	p, err := x.page(ctx, pageRequest{start: d.space.own, end: d.space.end, keysOnly: true, limit: maxPage})
	if err != nil || len(p.pairs) == 0 {
		return 0, err
	}
	for _, pair := range p.pairs {
		if err := x.kv.Delete(pair.key); err != nil {
			return 0, commitError(ctx, err, false, false)
		}
	}
	_, err = x.commit(ctx)
	return len(p.pairs), err
}
