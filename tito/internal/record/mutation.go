package record

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Demand is what a mutation demands of the row that is there.
type Demand uint8

// The demands.
const (
	Anything Demand = iota // the row may be there or not
	Absent                 // there is no row
	Present                // there is a row
)

// Mutation is the change of one row: a create, put, update, patch and delete alike.
// Batch.Add makes one; its maker then sets what the row becomes.
type Mutation struct {
	Layout *Layout
	Key    []byte // of the row

	Demand Demand
	Expect uint64 // the revision that the row must have; 0: any
	Schema uint64 // rows of a higher schema version are refused

	Delete bool // the row goes. If Anything is demanded, and no row is there, nothing happens.

	// What the row becomes, unless it goes.
	Codec   uint8
	Encoder Encoder
	Record  any
	Entries []Entry // ascending; Batch.AddEntry appends to them

	// What Apply tells: Old and Header are the row as it was, and Value and Meta as it
	// is then, all nil or zero for no row. The bytes are valid until the Batch is reset.
	Old    []byte
	Header Header // of Old
	Value  []byte
	Meta   Meta

	row        int  // where Batch.keys has Key; -1: Load has read the row
	loaded     bool // Old is known
	repeats    bool // an earlier mutation of the call deletes the row already
	firstEntry int  // where Entries begin in Batch.entries
}

// Encoder encodes the records of a table.
type Encoder interface {
	// AppendRecord appends the encoding of rec, a Mutation.Record. meta is what the
	// row will have; the encoder may note it in rec, but not encode it.
	AppendRecord(dst []byte, rec any, meta Meta) ([]byte, error)
}

// PK returns the row's primary key.
func (m *Mutation) PK() []byte { return m.Key[len(m.Layout.Rows):] }

// writes tells whether the mutation leaves anything to write.
func (m *Mutation) writes() bool { return !m.repeats && (!m.Delete || m.Old != nil) }

// deletesAnything tells whether the row goes whatever it is, so that to say it twice
// is the same as once.
func (m *Mutation) deletesAnything() bool {
	return m.Delete && m.Demand == Anything && m.Expect == 0
}

// duplicate says that the row with the primary key owner has the unique entry e.
func (m *Mutation) duplicate(e *Entry, owner []byte) error {
	at := slices.IndexFunc(m.Layout.Indexes, func(ix Index) bool { return ix.ID == e.Index })
	return &DuplicateError{Layout: m.Layout, Index: &m.Layout.Indexes[at], Owner: bytes.Clone(owner)}
}

// fail says that err is about the mutation.
func (m *Mutation) fail(err error) error {
	return &RowError{Layout: m.Layout, PK: bytes.Clone(m.PK()), Err: err}
}

// found notes the stored row, nil for none, and checks it against the demand.
func (m *Mutation) found(value []byte) error {
	m.Old, m.loaded = value, true
	if err := m.checkDemand(); err != nil {
		return m.fail(err)
	}
	return nil
}

// checkDemand reads the stored row's header and says whether the row is as it has to be.
func (m *Mutation) checkDemand() error {
	switch {
	case m.Old == nil && (m.Demand == Present || m.Expect != 0):
		return ErrNotFound
	case m.Old == nil:
		return nil
	case m.Demand == Absent:
		return ErrExists
	}
	var err error
	m.Header, _, err = ParseRow(m.Old)
	switch {
	case err != nil:
		return err
	case m.Header.Schema > m.Schema:
		return fmt.Errorf("%w: %d, this program has %d", ErrNewerSchema, m.Header.Schema, m.Schema)
	case m.Expect != 0 && m.Expect != m.Header.Meta.Revision:
		return ErrStale
	}
	return nil
}

// nextMeta returns what a row has that is written now, by a transaction that reads
// at the version.
func (m *Mutation) nextMeta(now int64, read kv.Version) Meta {
	created := now
	if m.Old != nil {
		created = m.Header.Meta.Created.UnixNano()
	}
	return Meta{
		Revision: nextRevision(m.Header.Meta.Revision, read),
		Created:  time.Unix(0, created).UTC(),
		Updated:  time.Unix(0, max(now, created)).UTC(),
	}
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

// checkSizes refuses keys that the store cannot hold.
func (m *Mutation) checkSizes(limit int) error {
	if len(m.Key) > limit {
		return m.fail(fmt.Errorf("primary key: %w", kv.ErrKeyTooLarge))
	}
	indexes := m.Layout.Indexes // ascending, as entries are
	for i := range m.Entries {
		e := &m.Entries[i]
		for indexes[0].ID != e.Index {
			indexes = indexes[1:]
		}
		size := len(indexes[0].Prefix) + len(e.Values)
		if !e.Unique {
			size += len(m.PK())
		}
		if size > limit {
			return m.fail(fmt.Errorf("index %q: %w", indexes[0].Name, kv.ErrKeyTooLarge))
		}
	}
	return nil
}

// gives tells whether the row has the entry e once the mutation is done.
func (m *Mutation) gives(e *Entry) bool {
	for i := range m.Entries {
		if m.Entries[i].Compare(e) == 0 {
			return true
		}
	}
	return false
}

// diff walks the entries of a row as it was and as it becomes.
type diff struct {
	old  EntryList // behind next
	next Entry     // the first of those that have not been passed
	more bool      // there is a next
	new  []Entry
}

func (m *Mutation) diff() diff {
	d := diff{old: m.Header.Entries, new: m.Entries}
	d.next, d.more = d.old.Next()
	return d
}

// step returns the next entry that only the old row has (comes is false) or only the
// new one.
func (d *diff) step() (e Entry, comes, ok bool) {
	for d.more || len(d.new) > 0 {
		order := -1 // the old row's entry comes first
		if len(d.new) > 0 {
			order = 1
			if d.more {
				order = d.next.Compare(&d.new[0])
			}
		}
		if order <= 0 {
			e = d.next
			d.next, d.more = d.old.Next()
		}
		if order >= 0 {
			e = d.new[0]
			d.new = d.new[1:]
		}
		if order != 0 {
			return e, order > 0, true
		}
	}
	return Entry{}, false, false
}
