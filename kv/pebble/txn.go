package pebble

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// txn is one transaction.
type txn struct {
	d        *driver
	ticket   *occ.Ticket // nil if read-only
	snapshot *snapshot
	buf      []byte   // for keys with their prefix
	room     [64]byte // where buf begins: most keys need no allocation
}

func (t *txn) ReadVersion() kv.Version { return t.snapshot.version }

// key returns the engine's form of a user's key, valid until the next call.
func (t *txn) key(k []byte) []byte {
	if t.buf == nil {
		t.buf = t.room[:0]
	}
	t.buf = append(append(t.buf[:0], userSpace), k...)
	return t.buf
}

func (t *txn) Get(_ context.Context, key []byte) ([]byte, error) {
	if err := t.d.fuse.err(); err != nil {
		return nil, err
	}
	v, done, err := t.snapshot.Get(t.key(key))
	if err == pebble.ErrNotFound { //nolint:errorlint // the engine returns it bare
		return nil, t.d.engineError(nil)
	}
	if err := t.d.engineError(err); err != nil {
		if done != nil {
			_ = done.Close() // the failure is reported already
		}
		return nil, err
	}
	v = append(make([]byte, 0, len(v)), v...)
	return v, t.d.engineError(done.Close())
}

// BatchGet looks the keys up in their order through one iterator, which finds
// the next from where it stands and asks the tables' filters first.
func (t *txn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := t.d.fuse.err(); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	it, err := t.snapshot.NewIterWithContext(ctx, &pebble.IterOptions{UseL6Filters: true})
	if err := t.d.engineError(err); err != nil {
		return nil, err
	}
	shared := arena{left: len(keys)}
	for _, i := range sorted(keys) {
		if !it.SeekPrefixGE(t.key(keys[i])) {
			if it.Error() != nil {
				break
			}
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			break // Close returns it too
		}
		values[i] = shared.clone(v)
	}
	if err := t.d.engineError(it.Close()); err != nil {
		return nil, err
	}
	return values, nil
}

// sorted returns the positions of keys in ascending order of the keys.
func sorted(keys [][]byte) []int {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(keys[a], keys[b]) })
	return order
}

// arena makes copies of values. Small values share an allocation; a caller that
// keeps a value keeps that allocation, a few kilobytes at most.
type arena struct {
	free []byte
	left int // clones still to come, at most
}

const (
	arenaSize  = 4 << 10
	arenaValue = 512 // larger values are allocated one by one
)

func (a *arena) clone(v []byte) []byte {
	a.left--
	if len(v) > arenaValue {
		return append(make([]byte, 0, len(v)), v...)
	}
	if len(v) > len(a.free) {
		a.free = make([]byte, min(len(v)*(1+a.left), arenaSize)) // as if all were alike
	}
	c := a.free[:len(v):len(v)]
	a.free = a.free[len(v):]
	copy(c, v)
	return c
}

func (t *txn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	return newCursor(ctx, t, r, o)
}

func (t *txn) Commit(_ context.Context, c *kv.Commit) (kv.Version, error) {
	d := t.d
	b := t.batch(c)
	applied := false
	v, err := d.ctl.Commit(t.ticket, c, func(v kv.Version) error {
		if err := d.fuse.err(); err != nil {
			return err
		}
		applied = true
		if err := d.apply(b, c.NoSync); err != nil {
			return err
		}
		d.snapshots.publish(d.db, v)
		return nil
	})
	if err == nil && !c.NoSync {
		err = d.syncWait(b, v)
	}
	// After a failure nobody can tell whether the engine still holds the
	// batch, so it is left to the garbage collector.
	if err == nil || !applied {
		_ = b.Close() // never fails the first time
	}
	if err != nil {
		return 0, err
	}
	return v, nil
}

// batch returns c as the engine takes it.
func (t *txn) batch(c *kv.Commit) *pebble.Batch {
	size := 32
	for i := range c.Writes {
		size += len(c.Writes[i].Key) + len(c.Writes[i].Value) + 12 // kind, lengths, prefix
	}
	b := t.d.db.NewBatchWithSize(size)
	for _, w := range c.Writes {
		if w.Value == nil {
			putUserKey(b.DeleteDeferred(1+len(w.Key)), w.Key)
			continue
		}
		op := b.SetDeferred(1+len(w.Key), len(w.Value))
		copy(op.Value, w.Value)
		putUserKey(op, w.Key)
	}
	if len(c.Writes) == 0 {
		_ = b.LogData(nil, nil) // or it would not be synced; fails never
	}
	return b
}

func putUserKey(op *pebble.DeferredBatchOp, key []byte) {
	op.Key[0] = userSpace
	copy(op.Key[1:], key)
	_ = op.Finish() // fails on indexed batches only
}

// apply makes b visible. It also begins to make b durable, unless noSync is set, and
// does not wait for that.
func (d *driver) apply(b *pebble.Batch, noSync bool) error {
	var err error
	if noSync {
		err = d.db.Apply(b, pebble.NoSync)
	} else {
		err = d.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	if unknown := d.fuse.commitErr(); unknown != nil {
		return unknown
	}
	if err != nil { // the batch was refused before it reached the log
		return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	}
	return nil
}

// syncWait returns when b, which was applied as version v, is durable.
func (d *driver) syncWait(b *pebble.Batch, v kv.Version) error {
	err := b.SyncWait()
	if unknown := d.fuse.commitErr(); unknown != nil {
		return unknown
	}
	if err != nil {
		return fmt.Errorf("%w: %w", kv.ErrCommitUnknown, err)
	}
	d.durable.advance(v)
	return nil
}

// Release frees the snapshot.
func (t *txn) Release() {
	if t.ticket != nil {
		t.ticket.Release()
	}
	t.d.snapshots.release(t.snapshot)
}
