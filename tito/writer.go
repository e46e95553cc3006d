package tito

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// op is what a write demands of the rows that are there.
type op uint8

const (
	opCreate op = iota // none
	opPut              // anything
	opUpdate           // one for each record
)

func (t *Table[T, ID]) writeOne(ctx context.Context, tx *Tx, rec *T, op op, o *WriteOptions) (*T, error) {
	b, err := t.bind(tx.db)
	if err != nil {
		return nil, err
	}
	w := t.newWriter(tx, b, op, o)
	var one [1]item[T, ID]
	w.items = one[:0]
	if err := w.add(rec); err != nil {
		return nil, err
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return w.items[0].rec, nil
}

func (t *Table[T, ID]) writeMany(ctx context.Context, tx *Tx, recs []*T, op op, o *WriteOptions) ([]*T, error) {
	if err := o.noExpect(); err != nil {
		return nil, err
	}
	b, err := t.bind(tx.db)
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	w := t.newWriter(tx, b, op, o)
	w.items = make([]item[T, ID], 0, len(recs))
	for _, rec := range recs {
		if err := w.add(rec); err != nil {
			return nil, err
		}
	}
	if err := w.index(); err != nil {
		return nil, err
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	stored := make([]*T, len(recs))
	for i := range w.items {
		stored[i] = w.items[i].rec
	}
	return stored, nil
}

// writer carries out one call that writes rows of a table. It goes in passes
// over all records, so that nothing is written before everything has been
// checked: add copies a record and computes its entries; run reads the stored
// rows and the owners of unique values with one batch get, judges, encodes,
// and only then writes.
type writer[T any, ID comparable] struct {
	t      *Table[T, ID]
	tx     *Tx
	b      *binding
	op     op
	opts   *WriteOptions
	items  []item[T, ID]
	byKey  map[string]int // item of each row key, if there are several items
	loaded bool           // items have their value already
	*scratch
}

// item is the write of one row.
type item[T any, ID comparable] struct {
	rec         *T
	id          ID
	key         []byte // of the row
	value       []byte // of the row as it is stored, nil if it is not
	old         record.Header
	first, last int // the new entries are refs[first:last]
	row         [2]int
}

// scratch is memory that a transaction's writes reuse, one after the other.
type scratch struct {
	values  valueList  // of all new entries
	refs    []entryRef // what else there is to say of them, in parallel
	keys    [][]byte   // of the batch get
	arena   []byte     // keys that must last until the call ends
	rows    []byte     // encoded rows
	entries record.EntryList
	buf     []byte // a key that is used at once

	messages []queue.Message // of the events
	payloads []byte

	writes int // counts calls that write, so that Patch notices others within it
}

type entryRef struct {
	index  *record.Index
	unique bool // the key ends with the values
	lookup int  // where the owner is in the batch get; -1: known to be this row
}

func (t *Table[T, ID]) newWriter(tx *Tx, b *binding, op op, o *WriteOptions) *writer[T, ID] {
	s := &tx.w
	s.writes++
	s.values.reset()
	s.refs, s.arena, s.rows = s.refs[:0], s.arena[:0], s.rows[:0]
	return &writer[T, ID]{t: t, tx: tx, b: b, op: op, opts: o, scratch: s}
}

// add prepares the write of rec: a copy with an id, valid, without what is not
// stored, and its entries.
func (w *writer[T, ID]) add(rec *T) error {
	t := w.t
	if rec == nil {
		return fmt.Errorf("%w: table %q: record is nil", ErrInvalid, t.name)
	}
	c := new(T)
	*c = *rec
	var zero ID
	id := t.id.field(c)
	if *id == zero {
		if w.op == opUpdate || t.id.generate == nil {
			return fmt.Errorf("%w: table %q", ErrNoID, t.name)
		}
		if *id = t.id.generate(); *id == zero {
			return fmt.Errorf("%w: table %q: its generator gave none", ErrNoID, t.name)
		}
	}
	if t.schema.Meta != nil {
		*t.schema.Meta(c) = Meta{}
	}
	for _, r := range t.schema.Relations {
		r.clear(c)
	}
	if t.schema.Validate != nil {
		if err := t.schema.Validate(c); err != nil {
			return t.rowError(*id, fmt.Errorf("%w: %w", ErrInvalid, err))
		}
	}
	it := item[T, ID]{rec: c, id: *id, first: len(w.refs)}
	it.key = w.keep(t.id.encode(append(w.buf[:0], w.b.Rows...), *id))
	if len(it.key) > w.tx.kv.Info().Limits.MaxKeySize {
		return t.rowError(*id, fmt.Errorf("primary key: %w", kv.ErrKeyTooLarge))
	}
	for i := range w.b.Indexes {
		if err := w.addEntries(&w.b.Indexes[i], w.t.indexes[w.b.positions[i]], &it); err != nil {
			return t.rowError(*id, err)
		}
	}
	it.last = len(w.refs)
	w.items = append(w.items, it)
	return nil
}

// addEntries computes the entries of it in one index.
func (w *writer[T, ID]) addEntries(ix *record.Index, def *index[T], it *item[T, ID]) error {
	if err := def.values(&w.values, it.rec); err != nil {
		return err
	}
	limit := w.tx.kv.Info().Limits.MaxKeySize - len(ix.Prefix)
	for i := len(w.refs); i < w.values.len(); i++ {
		values := w.values.at(i)
		unique := ix.Collides(values)
		size := len(values)
		if !unique {
			size += len(it.key) - len(w.b.Rows)
		}
		if size > limit {
			return fmt.Errorf("index %q: %w", def.name, kv.ErrKeyTooLarge)
		}
		w.refs = append(w.refs, entryRef{index: ix, unique: unique, lookup: -1})
	}
	return nil
}

// index notes which row each item writes.
func (w *writer[T, ID]) index() error {
	w.byKey = make(map[string]int, len(w.items))
	for i := range w.items {
		k := string(w.items[i].key)
		if _, twice := w.byKey[k]; twice {
			return w.t.rowError(w.items[i].id, ErrRepeated)
		}
		w.byKey[k] = i
	}
	return nil
}

func (w *writer[T, ID]) run(ctx context.Context) error {
	owners, err := w.load(ctx)
	if err != nil {
		return err
	}
	if err := w.checkUnique(owners); err != nil {
		return err
	}
	now := time.Now().UnixNano()
	for i := range w.items {
		if err := w.encode(&w.items[i], now); err != nil {
			return w.t.rowError(w.items[i].id, err)
		}
	}
	return w.write(ctx)
}

// load reads the stored rows and the owners of the unique values, which it
// returns, with one batch get, and judges the rows.
func (w *writer[T, ID]) load(ctx context.Context) (owners [][]byte, err error) {
	keys := w.keys[:0]
	if w.loaded {
		if err := w.judge(&w.items[0]); err != nil {
			return nil, err
		}
	} else {
		for i := range w.items {
			keys = append(keys, w.items[i].key)
		}
	}
	rows := len(keys)
	for i := range w.items {
		it := &w.items[i]
		for j := it.first; j < it.last; j++ {
			e := w.entry(j)
			if e.Unique && (!w.loaded || !it.old.Entries.Has(&e)) {
				w.refs[j].lookup = len(keys) - rows
				keys = append(keys, w.keep(w.entryKey(w.b, &e, nil)))
			}
		}
	}
	w.keys = keys
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := w.tx.kv.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		w.items[i].value = values[i]
		if err := w.judge(&w.items[i]); err != nil {
			return nil, err
		}
	}
	return values[rows:], nil
}

// judge checks the stored row against what the write demands.
func (w *writer[T, ID]) judge(it *item[T, ID]) error {
	switch {
	case it.value == nil && (w.op == opUpdate || w.opts != nil && w.opts.Expect != 0):
		return w.t.rowError(it.id, ErrNotFound)
	case it.value == nil:
		return nil
	case w.op == opCreate:
		return w.t.rowError(it.id, ErrExists)
	}
	var err error
	if it.old, err = w.t.oldHeader(it.value, w.opts); err != nil {
		return w.t.rowError(it.id, err)
	}
	return nil
}

// checkUnique judges unique values over the state after the whole call: each
// may be claimed by one record, and must have no owner, or have this row, or
// one that gives it up in the same call. Two transactions that both find no
// owner write the same key, so the later one to commit conflicts.
func (w *writer[T, ID]) checkUnique(owners [][]byte) error {
	var claims map[string]int // item that claims each key, if there are several items
	if w.byKey != nil {
		claims = map[string]int{}
	}
	for i := range w.items {
		it := &w.items[i]
		for j := it.first; j < it.last; j++ {
			e := w.entry(j)
			if !e.Unique {
				continue
			}
			if claims != nil {
				k := string(w.entryKey(w.b, &e, nil))
				if other, twice := claims[k]; twice {
					return w.duplicate(j, w.items[other].id)
				}
				claims[k] = i
			}
			if w.refs[j].lookup < 0 {
				continue
			}
			owner := owners[w.refs[j].lookup]
			if owner == nil || bytes.Equal(owner, it.key[len(w.b.Rows):]) || w.givesUp(owner, &e) {
				continue
			}
			id, err := w.t.id.parse(owner)
			if err != nil {
				return fmt.Errorf("table %q, index %q: %w", w.t.name, w.refs[j].index.Name, err)
			}
			return w.duplicate(j, id)
		}
	}
	return nil
}

// givesUp tells whether the owner of e is written in the same call and does
// not have e any more.
func (w *writer[T, ID]) givesUp(owner []byte, e *record.Entry) bool {
	i, ok := w.byKey[string(append(append(w.buf[:0], w.b.Rows...), owner...))]
	if !ok {
		return false
	}
	for j := w.items[i].first; j < w.items[i].last; j++ {
		if own := w.entry(j); own.Compare(e) == 0 {
			return false
		}
	}
	return true
}

func (w *writer[T, ID]) duplicate(ref int, owner ID) error {
	return &DuplicateError{Table: w.t.name, Index: w.refs[ref].index.Name, Owner: owner}
}

// encode appends the new value of it's row to w.rows.
func (w *writer[T, ID]) encode(it *item[T, ID], now int64) error {
	w.entries = w.entries[:0]
	for j := it.first; j < it.last; j++ {
		e := w.entry(j)
		w.entries = record.AppendEntry(w.entries, &e)
	}
	h := record.Header{
		Stamp:       record.Stamp{Codec: w.t.schema.Codec.ID(), Schema: uint64(w.t.schema.Version)},
		Fingerprint: w.b.Fingerprint,
		Entries:     w.entries,
	}
	h.Meta.Revision = nextRevision(it.old.Meta.Revision, w.tx.kv.ReadVersion())
	created := now
	if it.value != nil {
		created = it.old.Meta.Created.UnixNano()
	}
	h.Meta.Created = time.Unix(0, created).UTC()
	h.Meta.Updated = time.Unix(0, max(now, created)).UTC()
	start := len(w.rows)
	w.rows = record.AppendRow(w.rows, &h)
	var err error
	if w.rows, err = w.t.schema.Codec.Append(w.rows, it.rec); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	it.row = [2]int{start, len(w.rows)}
	if len(w.rows)-start > w.tx.kv.Info().Limits.MaxValueSize {
		return kv.ErrValueTooLarge
	}
	if w.t.schema.Meta != nil {
		*w.t.schema.Meta(it.rec) = Meta(h.Meta)
	}
	return nil
}

// nextRevision returns the revision that a transaction gives to a row that had
// the revision old, 0 for none. Whoever writes a row reads at or above the
// commit of the one that wrote it before, or conflicts, so one above the read
// version is new to the row, also if that was deleted in between. Counting up
// from old would not be: several writes in one transaction could pass what a
// later row with the id begins at.
func nextRevision(old uint64, read kv.Version) uint64 {
	revision := uint64(read) + 1
	if old > revision { // the row comes from a store that is ahead of this one
		revision = old + 1
	}
	return revision
}

// write changes the transaction: first it publishes, which refuses events that
// are too large before anything is written; then the entries that go, of all
// records, so that a value which moves from one to another is not deleted after
// it was set; then those that come, and the rows. All other sizes have been
// checked, so from there on it can fail only in ways that end the transaction.
func (w *writer[T, ID]) write(ctx context.Context) error {
	if p := w.t.newPublisher(w.tx, w.opts); p != nil {
		for i := range w.items {
			it := &w.items[i]
			if err := p.add(it.key[len(w.b.Rows):], it.value, w.rows[it.row[0]:it.row[1]], it.rec); err != nil {
				return err
			}
		}
		if err := p.publish(ctx); err != nil {
			return err
		}
	}
	for i := range w.items {
		it := &w.items[i]
		if err := w.diff(it, func(e record.Entry) error {
			return w.tx.kv.Delete(w.entryKey(w.b, &e, it.key[len(w.b.Rows):]))
		}, nil); err != nil {
			return err
		}
	}
	for i := range w.items {
		it := &w.items[i]
		if err := w.diff(it, nil, func(e record.Entry) error {
			value := []byte{record.NoValue}
			if e.Unique {
				value = it.key[len(w.b.Rows):]
			}
			return w.tx.kv.Set(w.entryKey(w.b, &e, it.key[len(w.b.Rows):]), value)
		}); err != nil {
			return err
		}
		if err := w.tx.kv.Set(it.key, w.rows[it.row[0]:it.row[1]]); err != nil {
			return err
		}
	}
	return nil
}

// diff calls gone for the entries that only the stored row has, and come for
// those that only the new one has. Both lists ascend. Entries go by value: a
// pointer given to an unknown function would move each to the heap.
func (w *writer[T, ID]) diff(it *item[T, ID], gone, come func(record.Entry) error) error {
	list := it.old.Entries
	old, more := list.Next()
	j := it.first
	for more || j < it.last {
		var e record.Entry
		order := -1 // the stored row's entry comes first
		if j < it.last {
			e = w.entry(j)
			order = 1
			if more {
				order = old.Compare(&e)
			}
		}
		if order < 0 && gone != nil {
			if err := gone(old); err != nil {
				return err
			}
		}
		if order > 0 && come != nil {
			if err := come(e); err != nil {
				return err
			}
		}
		if order <= 0 {
			old, more = list.Next()
		}
		if order >= 0 {
			j++
		}
	}
	return nil
}

// entry returns new entry j.
func (w *writer[T, ID]) entry(j int) record.Entry {
	return record.Entry{Index: w.refs[j].index.ID, Unique: w.refs[j].unique, Values: w.values.at(j)}
}

// entryKey returns the key of an entry of the row with the primary key pk, which
// need not be given if e is unique. It is valid until the next call.
func (s *scratch) entryKey(b *binding, e *record.Entry, pk []byte) []byte {
	s.buf = b.AppendEntryKey(s.buf[:0], e, pk)
	return s.buf
}

// keep copies key to memory that lasts until the call ends.
func (s *scratch) keep(key []byte) []byte {
	if cap(s.arena)-len(s.arena) < len(key) {
		s.arena = make([]byte, 0, max(4096, 2*cap(s.arena), len(key))) // keys in the old one stay
	}
	n := len(s.arena)
	s.arena = append(s.arena, key...)
	s.buf = key[:0:cap(key)]
	return s.arena[n:len(s.arena):len(s.arena)]
}
