package tito

import (
	"fmt"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/queue"
)

// Event declares that writes of a table publish to a topic, in the transaction
// of the write: the event exists if and only if the row was written. Several
// tables can publish to one topic.
//
// Each write of a row publishes one event to each topic, also one that changes
// nothing: it is a new revision all the same, a write is how a program touches
// a row on purpose, and whether two encodings differ does not tell whether two
// records do. When leaves out those that nobody needs.
type Event[T any] struct {
	// Topic to publish to, 1 to 200 bytes of printable UTF-8.
	Topic string

	// Before and After put the record into the event, as it was before the
	// write and as it is stored after it, without the targets of relations. An
	// INSERT has no Before, a DELETE no After. They cost their size: an event
	// has room for queue.MaxPayloadSize, beyond which the write fails with
	// queue.ErrPayloadTooLarge.
	Before, After bool

	// When, if set, tells whether a write publishes. before is nil for an
	// INSERT, after for a DELETE. It must not change the records. Since it is
	// given the record that was there, a write of a row that cannot be decoded
	// fails, unless WriteOptions.NoEvents is set.
	When func(before, after *T) bool
}

// check returns what is wrong with the declaration. The queue has the same
// rules, and would find out at the first write.
func (e *Event[T]) check() error {
	if err := layout.CheckName("topic", e.Topic); err != nil {
		return fmt.Errorf("%w: event: %w", ErrSchema, err)
	}
	return nil
}

// Operation is what a write did to a row.
type Operation uint8

// The operations. Put is an OpInsert or an OpUpdate, by what was there.
const (
	OpInsert Operation = iota + 1 // there was no row
	OpUpdate                      // the row was replaced
	OpDelete                      // the row was removed
)

// String returns INSERT, UPDATE or DELETE.
func (o Operation) String() string {
	switch o {
	case OpInsert:
		return "INSERT"
	case OpUpdate:
		return "UPDATE"
	case OpDelete:
		return "DELETE"
	}
	return fmt.Sprintf("Operation(%d)", uint8(o))
}

// RowEvent is what an event says of a row, for consumers that have not the
// table's model; with it, use Table.ParseEvent.
type RowEvent struct {
	Operation Operation

	// Namespace of the row; empty is the default one, and the only one so far.
	Namespace string

	// Table is the name of the row's table.
	Table string

	// ID is the row's id as text: a string as it is, a number in decimal, a
	// UUID in its usual form, a custom id as the bytes of its AppendKey.
	ID string

	// Before and After are the images that Event.Before and Event.After ask
	// for, nil without them.
	Before, After *Image

	// Metadata is what WriteOptions.Metadata held: the event's headers.
	Metadata map[string]string
}

// Image is a record as it was stored.
type Image struct {
	Codec   uint8  // Codec.ID; 1 is JSON
	Version uint32 // Schema.Version of the program that wrote the row
	Meta    Meta
	Record  []byte // as the codec encoded it
}

// ParseEvent reads an event that a write of some table has published. It fails
// with ErrEvent for any other event, and with ErrCorrupt for one that is
// malformed: that is what an event of others looks like whose payload happens to
// begin with a 't'. The result shares memory with ev.
func ParseEvent(ev *queue.Event) (*RowEvent, error) {
	v, err := parseEvent(ev)
	if err != nil {
		return nil, err
	}
	id, err := idText(v.pk)
	if err != nil {
		return nil, fmt.Errorf("event of table %q: %w", v.table, err)
	}
	return &RowEvent{
		Operation: v.operation, Namespace: v.namespace, Table: v.table, ID: id,
		Before: v.before.public(), After: v.after.public(), Metadata: ev.Headers,
	}, nil
}

// Change is an event of a table, with its types.
type Change[T any, ID comparable] struct {
	Operation Operation

	// Namespace of the row; empty is the default one, and the only one so far.
	Namespace string

	// Table is the table's name.
	Table string

	// ID of the row.
	ID ID

	// Before and After are the records that Event.Before and Event.After ask
	// for, with revision and times as Schema.Meta wants them. They are nil
	// without them, Before for an INSERT and After for a DELETE.
	Before, After *T

	// Key is the partition key; see Schema.PartitionKey.
	Key string

	// Metadata is what WriteOptions.Metadata held: the event's headers.
	Metadata map[string]string
}

// ParseEvent reads an event that a write of the table has published. It fails with
// ErrEvent if that was another table or none, with ErrCorrupt if the event is
// malformed, and, like a read of a row, with ErrDecode or ErrNewerSchema if an
// image is not for this program. It needs no database.
func (t *Table[T, ID]) ParseEvent(ev *queue.Event) (*Change[T, ID], error) {
	if t.err != nil {
		return nil, t.err
	}
	v, err := parseEvent(ev)
	if err != nil {
		return nil, err
	}
	if v.table != t.name {
		return nil, fmt.Errorf("%w: of table %q, not of %q", ErrEvent, v.table, t.name)
	}
	id, err := t.id.parse(v.pk)
	if err != nil {
		return nil, fmt.Errorf("event of table %q: %w", v.table, err)
	}
	c := &Change[T, ID]{Operation: v.operation, Namespace: v.namespace, Table: v.table, ID: id, Key: ev.Key, Metadata: ev.Headers}
	if c.Before, err = t.decodeImage(v.pk, &v.before); err != nil {
		return nil, fmt.Errorf("event: before: %w", err)
	}
	if c.After, err = t.decodeImage(v.pk, &v.after); err != nil {
		return nil, fmt.Errorf("event: after: %w", err)
	}
	return c, nil
}

func (t *Table[T, ID]) decodeImage(pk []byte, i *image) (*T, error) {
	if !i.exists {
		return nil, nil
	}
	return t.decodeRecord(pk, &i.stamp, i.record)
}
