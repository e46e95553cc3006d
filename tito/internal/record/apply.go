package record

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Effect is what follows from the changes of rows: events, and whatever else a
// layer above derives from them. Apply runs the phases one after the other, in each
// all effects of the first mutation, then those of the next.
type Effect interface {
	// Want appends keys that the effect needs the values of. They join the batch get
	// that reads the rows, and must not change before Apply returns.
	Want(m *Mutation, keys [][]byte) [][]byte

	// Change is told of a mutation that writes, once all mutations have passed all
	// checks and before anything is written. values are those of the keys that Want
	// appended for m, nil for keys without one. Its error is the call's.
	Change(ctx context.Context, m *Mutation, values [][]byte) error

	// Write writes what the effect has gathered. After an error that leaves the
	// transaction usable nothing may have been written, so only the first effect of
	// a call may refuse, before it writes.
	Write(ctx context.Context, tx *kv.Txn) error
}

// Apply carries out the mutations, of any tables, all or none: it is the one way in
// which rows change. It reads what it needs with one batch get, makes all checks,
// tells the effects, and only then writes.
//
// Rules are judged over the state after the whole call: rows can swap the values of a
// unique index, and a value is free if its owner goes. A row may be changed once in a
// call, except that deletes which demand nothing may repeat.
//
// Apply fails with a RowError or a DuplicateError, as an effect does, or as the store
// does. Nothing has been written then, unless the store's error leaves the transaction
// fit for a rollback only, as kv.ErrTxnTooLarge does.
//
// Encoders and effects may run functions of the program that write through the same
// transaction. Apply looks again at what it has read if they have: it fails with
// ErrStale if they changed one of its rows.
func (b *Batch) Apply(ctx context.Context, effects ...Effect) error {
	if b.loaded {
		if err := b.lookAgain(ctx); err != nil {
			return err
		}
	} else {
		b.seen = b.changes.n
	}
	// An effect that adds mutations does so after load, which then runs again for
	// those: what is below judges all of them.
	if err := b.index(); err != nil {
		return err
	}
	if err := b.load(ctx, effects); err != nil {
		return err
	}
	if err := b.checkUnique(); err != nil {
		return err
	}
	if err := b.encode(); err != nil {
		return err
	}
	if err := b.tell(ctx, effects); err != nil {
		return err
	}
	if err := b.lookAgain(ctx); err != nil {
		return err
	}
	b.changes.n++
	for _, e := range effects {
		if err := e.Write(ctx, b.tx); err != nil {
			return err
		}
	}
	return b.write()
}

// index checks the keys of the mutations, and notes which mutation writes each row.
func (b *Batch) index() error {
	limit := b.tx.Info().Limits.MaxKeySize
	for i := range b.Mutations {
		if m := &b.Mutations[i]; !m.Delete { // a key that is too long has no row
			if err := m.checkSizes(limit); err != nil {
				return err
			}
		}
	}
	if len(b.Mutations) < 2 {
		return nil
	}
	b.byKey = make(map[string]int, len(b.Mutations))
	for i := range b.Mutations {
		m := &b.Mutations[i]
		first, twice := b.byKey[string(m.Key)]
		switch {
		case !twice:
			b.byKey[string(m.Key)] = i
		case m.deletesAnything() && b.Mutations[first].deletesAnything():
			m.repeats = true
		default:
			return m.fail(ErrRepeated)
		}
	}
	return nil
}

// load reads what the call needs with one batch get, and checks the rows against the
// demands.
func (b *Batch) load(ctx context.Context, effects []Effect) error {
	for i := range b.Mutations {
		if m := &b.Mutations[i]; !m.loaded && !m.repeats {
			m.row = len(b.keys)
			b.keys = append(b.keys, m.Key)
		}
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		for j := range m.Entries {
			e := &m.Entries[j]
			if !e.Unique {
				continue
			}
			at := -1
			if !m.loaded || !m.Header.Entries.Has(e) {
				at = len(b.keys)
				b.keys = append(b.keys, b.keep(b.entryKey(m, e)))
			}
			b.owners = append(b.owners, at)
		}
	}
	for i := range b.Mutations {
		for j, e := range effects {
			if b.Mutations[i].repeats {
				continue
			}
			from := len(b.keys)
			if b.keys = e.Want(&b.Mutations[i], b.keys); len(b.keys) > from {
				b.wants = append(b.wants, want{mutation: i, effect: j, from: from, to: len(b.keys)})
			}
		}
	}
	if len(b.keys) == 0 {
		return nil
	}
	var err error
	if b.values, err = b.tx.BatchGet(ctx, b.keys); err != nil {
		return err
	}
	for i := range b.Mutations {
		if m := &b.Mutations[i]; m.row >= 0 {
			if err := m.found(b.values[m.row]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkUnique judges unique values over the state after the whole call: one row may
// claim each, and it must have no owner, or have this row, or one that gives it up in
// the same call. Two transactions that both find no owner write the same key, so the
// later one to commit conflicts.
func (b *Batch) checkUnique() error {
	var claims map[string]int // the mutation that claims each key, if there are several mutations
	if b.byKey != nil {
		claims = map[string]int{}
	}
	owners := b.owners
	for i := range b.Mutations {
		m := &b.Mutations[i]
		for j := range m.Entries {
			e := &m.Entries[j]
			if !e.Unique {
				continue
			}
			at := owners[0]
			owners = owners[1:]
			if claims != nil {
				k := string(b.entryKey(m, e))
				if other, twice := claims[k]; twice {
					return m.duplicate(e, b.Mutations[other].PK())
				}
				claims[k] = i
			}
			if at < 0 {
				continue
			}
			if owner := b.values[at]; owner != nil && !bytes.Equal(owner, m.PK()) && !b.givesUp(m.Layout, owner, e) {
				return m.duplicate(e, owner)
			}
		}
	}
	return nil
}

// givesUp tells whether the call changes the row that owns e, and the row does not
// have e any more.
func (b *Batch) givesUp(l *Layout, owner []byte, e *Entry) bool {
	b.buf = l.AppendRowKey(b.buf[:0], owner)
	i, ok := b.byKey[string(b.buf)]
	return ok && !b.Mutations[i].gives(e)
}

// encode makes the new values of the rows.
func (b *Batch) encode() error {
	now := time.Now().UnixNano()
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Delete {
			continue
		}
		m.Meta = m.nextMeta(now, b.tx.ReadVersion())
		b.list = b.list[:0]
		for j := range m.Entries {
			b.list = AppendEntry(b.list, &m.Entries[j])
		}
		start := len(b.rows)
		b.rows = AppendRow(b.rows, &Header{
			Stamp:       Stamp{Codec: m.Codec, Schema: m.Schema, Meta: m.Meta},
			Fingerprint: m.Layout.Fingerprint,
			Entries:     b.list,
		})
		var err error
		if b.rows, err = m.Encoder.AppendRecord(b.rows, m.Record, m.Meta); err != nil {
			return m.fail(fmt.Errorf("encode: %w", err))
		}
		m.Value = b.rows[start:len(b.rows):len(b.rows)]
		if len(m.Value) > b.tx.Info().Limits.MaxValueSize {
			return m.fail(kv.ErrValueTooLarge)
		}
	}
	return nil
}

// tell tells the effects of all mutations that write.
func (b *Batch) tell(ctx context.Context, effects []Effect) error {
	wants := b.wants
	for i := range b.Mutations {
		for j, e := range effects {
			var values [][]byte
			if len(wants) > 0 && wants[0].mutation == i && wants[0].effect == j {
				values = b.values[wants[0].from:wants[0].to]
				wants = wants[1:]
			}
			if m := &b.Mutations[i]; m.writes() {
				if err := e.Change(ctx, m, values); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lookAgain reads anew what has been read, if rows have been changed through the
// transaction since, and fails if it would judge otherwise now.
func (b *Batch) lookAgain(ctx context.Context) error {
	if b.changes.n == b.seen {
		return nil
	}
	b.seen = b.changes.n
	keys := b.keys[:len(b.keys):len(b.keys)]
	for i := range b.Mutations {
		if m := &b.Mutations[i]; m.loaded && m.row < 0 {
			keys = append(keys, m.Key)
		}
	}
	values, err := b.tx.BatchGet(ctx, keys)
	if err != nil {
		return err
	}
	loaded := values[len(b.keys):]
	for i := range b.Mutations {
		m := &b.Mutations[i]
		var now []byte
		switch {
		case m.row >= 0:
			now = values[m.row]
		case m.loaded:
			now, loaded = loaded[0], loaded[1:]
		}
		if !bytes.Equal(now, m.Old) {
			return m.fail(ErrStale)
		}
	}
	for _, w := range b.wants {
		for i := w.from; i < w.to; i++ {
			if !bytes.Equal(values[i], b.values[i]) {
				return b.Mutations[w.mutation].fail(ErrStale)
			}
		}
	}
	if b.values == nil { // nothing but rows has been read yet
		return nil
	}
	b.values = values
	return b.checkUnique()
}

// write changes the transaction: first the entries that go, of all rows, so that a
// value which moves from one row to another is not deleted after it was set; then
// those that come, and the rows. All sizes have been checked, so it can fail only in
// ways that end the transaction.
func (b *Batch) write() error {
	for i := range b.Mutations {
		m := &b.Mutations[i]
		d := m.diff()
		for e, comes, ok := d.step(); ok; e, comes, ok = d.step() {
			if comes {
				continue
			}
			if err := b.tx.Delete(b.entryKey(m, &e)); err != nil {
				return err
			}
		}
	}
	noValue := [...]byte{NoValue}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		d := m.diff()
		for e, comes, ok := d.step(); ok; e, comes, ok = d.step() {
			if !comes {
				continue
			}
			value := noValue[:]
			if e.Unique {
				value = m.PK()
			}
			if err := b.tx.Set(b.entryKey(m, &e), value); err != nil {
				return err
			}
		}
		var err error
		switch {
		case !m.writes():
		case m.Delete:
			err = b.tx.Delete(m.Key)
		default:
			err = b.tx.Set(m.Key, m.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
