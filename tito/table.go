package tito

import (
	"fmt"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/tito/internal/catalog"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Name is the name of a table together with the types of its records and ids.
// Declare it as a typed constant: relations between tables refer to each other
// by name, and constants cannot form initialization cycles.
//
//	const users tito.Name[User, UserID] = "users"
type Name[T any, ID comparable] string

// Schema declares a table: everything that Tito has to know of a model.
// Its functions are called by many goroutines at once and must not change
// the record, except through the pointers that ID and Meta return. Those point
// into the record itself and are never nil.
type Schema[T any, ID comparable] struct {
	// Table names the table in the store.
	Table Name[T, ID]

	// ID is where the record has its id; see StringID and its siblings. The id
	// need not be stored with the record, since the row's key has it.
	ID IDOf[T, ID]

	// Indexes of the table, listed by Indexes.
	Indexes []AnyIndex[T]

	// Relations that reads can hydrate, listed by Relations. Their targets are
	// cleared in what is stored.
	Relations []Relation[T]

	// Events that writes publish, one for each topic.
	Events []Event[T]

	// PartitionKey of a record's events. Events with equal keys are handled
	// one after the other, in the order of their transactions; an empty key
	// has no order. A DELETE has the key of the record that was there, so that
	// one that cannot be decoded cannot be deleted without NoEvents. If a write
	// changes a record's key, its events before and after have no order. At most
	// queue.MaxKeySize bytes, or the write fails with queue.ErrMessage. Default
	// the row's id: text of up to 512 bytes, as in RowEvent.
	PartitionKey func(*T) string

	// Meta, if set, is where reads and writes put the row's revision and times
	// in the record. It is not stored with the record.
	Meta func(*T) *Meta

	// Validate, if set, can refuse a record before it is written. Its error
	// comes back wrapped with ErrInvalid.
	Validate func(*T) error

	// Codec encodes records. Default JSON.
	Codec Codec

	// Version of the record's layout. A row of a higher version than the
	// program's is neither read nor overwritten.
	Version uint32
}

// Table is a declared model: the handle through which its rows are read and
// written. It is immutable and holds no store, so that several databases, for
// example of parallel tests, can use it at once.
type Table[T any, ID comparable] struct {
	name    string
	id      IDOf[T, ID]
	indexes []*index[T]
	schema  Schema[T, ID]
	err     error // what is wrong with the definition; reported by Open
}

// Define makes a table of its schema. A mistake in it is reported by Open.
func Define[T any, ID comparable](s Schema[T, ID]) *Table[T, ID] {
	t := &Table[T, ID]{name: string(s.Table), id: s.ID, schema: s}
	if t.schema.Codec == nil {
		t.schema.Codec = JSON()
	}
	for _, ix := range s.Indexes {
		var def *index[T]
		if ix != nil {
			def = ix.definition()
		}
		t.indexes = append(t.indexes, def)
	}
	t.err = t.check()
	return t
}

// Name returns the table's name.
func (t *Table[T, ID]) Name() string { return t.name }

// check returns what is wrong with the definition.
func (t *Table[T, ID]) check() error {
	if err := layout.CheckSize("table", t.name); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	switch {
	case t.schema.Codec.ID() < firstCustomCodec && t.schema.Codec != JSON():
		return fmt.Errorf("%w: table %q: ids of codecs below %d are Tito's", ErrSchema, t.name, firstCustomCodec)
	case t.id.field == nil:
		return fmt.Errorf("%w: table %q: no ID (see tito.StringID)", ErrSchema, t.name)
	case len(t.indexes) > maxIndexes:
		return fmt.Errorf("%w: table %q: more than %d indexes", ErrSchema, t.name, maxIndexes)
	}
	names := map[string]bool{}
	for _, ix := range t.indexes {
		if err := ix.check(); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
		if names[ix.name] {
			return fmt.Errorf("%w: table %q: index %q is defined twice", ErrSchema, t.name, ix.name)
		}
		names[ix.name] = true
	}
	names = map[string]bool{}
	for i := range t.schema.Events {
		e := &t.schema.Events[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
		if names[e.Topic] {
			return fmt.Errorf("%w: table %q: topic %q is declared twice", ErrSchema, t.name, e.Topic)
		}
		names[e.Topic] = true
	}
	names = map[string]bool{}
	for _, r := range t.schema.Relations {
		if r == nil || r.relation() == nil {
			return fmt.Errorf("%w: table %q: a relation was not made by tito.One or tito.Many, or lacks a function", ErrSchema, t.name)
		}
		if r.relation().name == "" {
			return fmt.Errorf("%w: table %q: relation without a name", ErrSchema, t.name)
		}
		if names[r.relation().name] {
			return fmt.Errorf("%w: table %q: relation %q is defined twice", ErrSchema, t.name, r.relation().name)
		}
		names[r.relation().name] = true
	}
	return nil
}

// AnyTable is a table, whatever its types: what Open takes.
type AnyTable interface {
	// Name returns the table's name.
	Name() string

	definition() (catalog.Table, error)
	relations() []relationShape
}

func (t *Table[T, ID]) definition() (catalog.Table, error) {
	if t == nil {
		return catalog.Table{}, fmt.Errorf("%w: nil table", ErrSchema)
	}
	if t.err != nil {
		return catalog.Table{}, t.err
	}
	d := catalog.Table{Name: t.name, IDKind: t.id.kind}
	for _, ix := range t.indexes {
		c := catalog.Index{Name: ix.name, Unique: ix.opts.Unique, Conditional: ix.opts.When != nil, Version: ix.opts.Version}
		for _, f := range ix.fields {
			c.Fields = append(c.Fields, f.shape)
		}
		d.Indexes = append(d.Indexes, c)
	}
	return d, nil
}

func (t *Table[T, ID]) relations() []relationShape {
	var all []relationShape
	for _, r := range t.schema.Relations {
		all = append(all, *r.relation())
	}
	return all
}

// rowError says which row err is about.
func (t *Table[T, ID]) rowError(id ID, err error) error {
	return &RowError{Table: t.name, ID: id, Err: err}
}

// keyError is a rowError for a row known by its encoded primary key.
func (t *Table[T, ID]) keyError(pk []byte, err error) error {
	id, e := t.id.parse(pk)
	if e != nil {
		return fmt.Errorf("table %q: %w: %w", t.name, e, err)
	}
	return t.rowError(id, err)
}

// decode makes a record of a row's value.
func (t *Table[T, ID]) decode(pk, value []byte) (*T, error) {
	h, encoded, err := record.ParseRow(value)
	if err != nil {
		return nil, t.keyError(pk, err)
	}
	return t.decodeRecord(pk, &h.Stamp, encoded)
}

// decodeRecord makes a record of its encoding, of a row or of an event's image.
func (t *Table[T, ID]) decodeRecord(pk []byte, s *record.Stamp, encoded []byte) (*T, error) {
	if err := t.readable(s); err != nil {
		return nil, t.keyError(pk, err)
	}
	rec := new(T)
	if err := t.codec(s.Codec).Decode(encoded, rec); err != nil {
		return nil, t.keyError(pk, fmt.Errorf("%w: %w", ErrDecode, err))
	}
	id, err := t.id.parse(pk)
	if err != nil {
		return nil, fmt.Errorf("table %q: %w", t.name, err)
	}
	var zero ID
	switch field := t.id.field(rec); *field {
	case id:
	case zero: // the codec leaves it out: `json:"-"`
		*field = id
	default:
		return nil, t.rowError(id, fmt.Errorf("%w: the record has another id than the row", ErrCorrupt))
	}
	if t.schema.Meta != nil {
		*t.schema.Meta(rec) = Meta(s.Meta)
	}
	return rec, nil
}

// readable refuses rows that the program's definition does not cover.
func (t *Table[T, ID]) readable(s *record.Stamp) error {
	if s.Schema > uint64(t.schema.Version) {
		return fmt.Errorf("%w: %d, this program has %d", ErrNewerSchema, s.Schema, t.schema.Version)
	}
	if t.codec(s.Codec) == nil {
		return fmt.Errorf("%w with id %d", ErrUnknownCodec, s.Codec)
	}
	return nil
}

// codec returns the codec with the id, or nil.
func (t *Table[T, ID]) codec(id uint8) Codec {
	if c := t.schema.Codec; c.ID() == id {
		return c
	}
	if c := (jsonCodec{}); c.ID() == id {
		return c
	}
	return nil
}

// maxIndexes is how many indexes a table can have. It keeps a table's value in
// the catalogue well below every driver's limit.
const maxIndexes = 1024
