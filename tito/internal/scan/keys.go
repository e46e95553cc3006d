package scan

import "context"

// Keys is the primary keys of the rows that a Plan finds, in its order. It reads the
// rows only if the Plan Repeats: otherwise it takes an entry for a row, also one that
// is stale. A caller calls Start on the zero value, and Close at the end.
type Keys struct {
	rows  Rows
	found []Entry // of rows, what has not been given yet
}

// Start prepares to find the keys of p, which stays as it is until the Close that the
// caller owes.
func (k *Keys) Start(src Source, p *Plan) {
	k.rows.Start(src, p)
	k.found = nil
}

// Close ends the walk. It may be called more than once.
func (k *Keys) Close() { k.rows.Close() }

// Next returns the next primary key, and false at the end. Its bytes are valid until
// the next call.
func (k *Keys) Next(ctx context.Context) (pk []byte, ok bool, err error) {
	if !k.rows.plan.Repeats {
		return k.rows.nextKey(ctx)
	}
	if len(k.found) == 0 {
		if k.found, err = k.rows.Next(ctx); err != nil || len(k.found) == 0 {
			return nil, false, err
		}
	}
	pk, k.found = k.found[0].PK, k.found[1:]
	return pk, true, nil
}

// nextKey returns the primary key of the next entry, whose row is not read.
func (r *Rows) nextKey(ctx context.Context) (pk []byte, ok bool, err error) {
	if r.state == rowsNew {
		if err := r.stream.open(ctx, r.src.Txn, r.plan, true, r.size); err != nil {
			return nil, false, err
		}
		r.state = rowsOpen
	}
	if r.state == rowsDone {
		return nil, false, nil
	}
	e, ok, err := r.stream.Next(ctx)
	if !ok || err != nil {
		r.state = rowsDone
		return nil, false, err
	}
	if r.left--; r.left == 0 { // without a Limit it is below zero
		r.state = rowsDone
	}
	return e.PK, true, nil
}
