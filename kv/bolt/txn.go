package bolt

import (
	"bytes"
	"context"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// txn is a read transaction of bbolt: the writes are made by the combiner.
type txn struct {
	d       *driver
	ticket  *occ.Ticket // nil if read-only
	tx      *bbolt.Tx   // nil once the snapshot has been released
	data    *bbolt.Bucket
	finger  *bbolt.Cursor // of Get and BatchGet; nil until first needed
	version kv.Version
}

// begin takes the snapshot.
func (t *txn) begin() (err error) {
	defer t.d.shield(debug.SetPanicOnFault(true), &err)
	if t.tx, err = t.d.db.Begin(false); err != nil {
		return unavailable(err)
	}
	n, err := readNumber(t.tx.Bucket(metaBucket), versionKey)
	if err != nil {
		return t.d.fail(err)
	}
	t.data = t.tx.Bucket(dataBucket)
	// After a crash the first state has a lower version than those that were
	// handed out before it.
	t.version = max(kv.Version(n), t.d.opened)
	return nil
}

func (t *txn) ReadVersion() kv.Version { return t.version }

func (t *txn) Get(_ context.Context, key []byte) (value []byte, err error) {
	if err := t.d.err(); err != nil {
		return nil, err
	}
	defer t.d.shield(debug.SetPanicOnFault(true), &err)
	return t.get(key), nil
}

func (t *txn) get(key []byte) []byte {
	if t.finger == nil {
		t.finger = t.data.Cursor()
	}
	k, v := t.finger.Seek(key)
	if !bytes.Equal(k, key) {
		return nil
	}
	return bytes.Clone(v)
}

func (t *txn) BatchGet(_ context.Context, keys [][]byte) (values [][]byte, err error) {
	if err := t.d.err(); err != nil {
		return nil, err
	}
	defer t.d.shield(debug.SetPanicOnFault(true), &err)
	values = make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = t.get(k)
	}
	return values, nil
}

func (t *txn) Cursor(_ context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	if err := t.d.err(); err != nil {
		return nil, err
	}
	return &cursor{d: t.d, c: t.data.Cursor(), r: r, reverse: o.Reverse, keysOnly: o.KeysOnly}, nil
}

// Commit releases the snapshot first, so that the pages it holds can be used
// again: conflicts are found by its version.
func (t *txn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	t.releaseSnapshot()
	if err := t.d.err(); err != nil {
		return 0, err
	}
	return t.d.combiner.commit(ctx, t.ticket, c)
}

func (t *txn) Release() {
	t.releaseSnapshot()
	if t.ticket != nil {
		t.ticket.Release()
	}
}

func (t *txn) releaseSnapshot() {
	if t.tx != nil {
		_ = t.tx.Rollback() // of a read transaction; it cannot fail
		t.tx, t.data, t.finger = nil, nil, nil
	}
}
