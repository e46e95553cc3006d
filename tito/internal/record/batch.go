package record

import (
	"context"
	"errors"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// Batch is the mutations of one call, and the memory that the call works in. Later
// calls may reuse it, but not a call that is made while this one is at work, by a
// function of the program that it runs: that takes another.
type Batch struct {
	Mutations []Mutation

	tx      *kv.Txn
	changes *Changes
	seen    uint64 // changes when the first row was read
	loaded  bool   // Load has read a row

	byKey   map[string]int // the mutation of each row, if there are several
	entries []Entry        // of all mutations
	keys    [][]byte       // of the batch get: rows, owners of unique values, what effects want
	values  [][]byte       // what the store has under keys
	owners  []int          // of each unique entry in turn: where keys has the entry; -1: the row has it already
	wants   []want

	arena []byte    // keys that last until the Batch is reset
	rows  []byte    // new values of rows
	list  EntryList // of the row that is being encoded
	buf   []byte    // a key that is used at once

	small room // what the slices begin with
}

// room is enough for the usual call, which changes one row.
type room struct {
	mutations [1]Mutation
	entries   [8]Entry
	keys      [4][]byte
	owners    [4]int
	bytes     [128]byte
}

// want is a range of Batch.keys that an effect wants for a mutation.
type want struct {
	mutation, effect int
	from, to         int
}

// Changes counts the changes of rows through one transaction, so that a call which
// runs functions of the program notices what they change meanwhile. It belongs to
// the transaction, and all calls in it share it.
type Changes struct{ n uint64 }

// Note counts a change that no Batch has made: the transaction went back to a
// savepoint.
func (c *Changes) Note() { c.n++ }

// Reset empties the batch for a call in tx. The memory of the call before is written
// over.
func (b *Batch) Reset(tx *kv.Txn, changes *Changes) {
	if b.Mutations == nil {
		b.Mutations, b.entries, b.keys, b.owners = b.small.mutations[:], b.small.entries[:], b.small.keys[:], b.small.owners[:]
		b.list, b.buf = b.small.bytes[:0:64], b.small.bytes[64:64]
	}
	clear(b.Mutations) // they keep records
	b.Mutations = b.Mutations[:0]
	b.tx, b.changes, b.loaded, b.byKey, b.values = tx, changes, false, nil, nil
	b.entries, b.keys, b.owners, b.wants = b.entries[:0], b.keys[:0], b.owners[:0], b.wants[:0]
	b.arena, b.rows = b.arena[:0], b.rows[:0]
}

// Grow makes room for n mutations: of rows that have an entry in each index of l, or,
// if l is nil, of rows that go.
func (b *Batch) Grow(n int, l *Layout) {
	unique := 0
	if l != nil {
		for i := range l.Indexes {
			if l.Indexes[i].Unique {
				unique++
			}
		}
		b.entries = slices.Grow(b.entries, n*len(l.Indexes))
	}
	b.Mutations = slices.Grow(b.Mutations, n)
	b.keys, b.owners = slices.Grow(b.keys, n*(1+unique)), slices.Grow(b.owners, n*unique)
}

// RowKey returns memory that begins with the prefix of the table's row keys, for the
// primary key to be appended and the whole to be given to Add.
func (b *Batch) RowKey(l *Layout) []byte { return append(b.buf[:0], l.Rows...) }

// Add adds a mutation of the row with the key, which it copies. The mutation is valid
// until the next Add.
func (b *Batch) Add(l *Layout, key []byte) *Mutation {
	b.Mutations = append(b.Mutations, Mutation{Layout: l, Key: b.keep(key), row: -1, firstEntry: len(b.entries)})
	return &b.Mutations[len(b.Mutations)-1]
}

// AddEntry adds an entry of the new row to the mutation that was added last. Entries
// come in ascending order. values must not change before the Batch is reset.
func (b *Batch) AddEntry(ix *Index, values []byte) {
	b.entries = append(b.entries, Entry{Index: ix.ID, Unique: ix.Collides(values), Values: values})
	m := &b.Mutations[len(b.Mutations)-1]
	m.Entries = b.entries[m.firstEntry:]
}

// Load reads the row of the only mutation with one get, and checks it against the
// demand: for a call that has to know the row before it can say what it becomes, or
// that needs nothing but the row. Apply notices if the row has changed since.
func (b *Batch) Load(ctx context.Context) error {
	b.seen, b.loaded = b.changes.n, true
	m := &b.Mutations[0]
	value, err := b.tx.Get(ctx, m.Key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return m.found(value)
}

// keep copies key to memory that lasts until the Batch is reset.
func (b *Batch) keep(key []byte) []byte {
	if cap(b.arena)-len(b.arena) < len(key) {
		b.arena = make([]byte, 0, max(1024, 2*cap(b.arena), len(key))) // keys in the old one stay
	}
	n := len(b.arena)
	b.arena = append(b.arena, key...)
	b.buf = key[:0:cap(key)]
	return b.arena[n:len(b.arena):len(b.arena)]
}

// entryKey returns the key of an entry of the mutation's row, valid until the next
// call.
func (b *Batch) entryKey(m *Mutation, e *Entry) []byte {
	b.buf = m.Layout.AppendEntryKey(b.buf[:0], e, m.PK())
	return b.buf
}
