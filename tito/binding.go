package tito

import (
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/tito/internal/catalog"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// bindings are what a DB knows of all its tables at one time: what the store's
// catalogue says, and how the program's declarations stand to it. They are immutable. A
// Tx keeps to those that the DB had when the Tx was made.
type bindings map[AnyTable]*binding

// binding is one table in a database: where its keys lie, and how the program's
// indexes stand to the store's.
type binding struct {
	*record.Layout
	positions  []int           // of the layout's indexes in the schema
	byPosition []*record.Index // the layout's indexes, in the order of the schema
}

// newBindings resolves the declarations of tables, positionally, with the catalogue.
func newBindings(c *catalog.Snapshot, tables []AnyTable, declared []catalog.Table) bindings {
	all := make(bindings, len(tables))
	for i, t := range tables {
		l := c.Layout(declared[i].Name)
		b := &binding{Layout: l, positions: make([]int, len(l.Indexes)), byPosition: make([]*record.Index, len(l.Indexes))}
		for j := range l.Indexes {
			ix := &l.Indexes[j]
			at := slices.IndexFunc(declared[i].Indexes, func(d catalog.Index) bool { return d.Name == ix.Name })
			b.positions[j], b.byPosition[at] = at, ix
		}
		all[t] = b
	}
	return all
}

// bind returns what tx knows of the table.
func (t *Table[T, ID]) bind(tx *Tx) (*binding, error) {
	b := tx.bindings[t]
	if b == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotRegistered, t.name)
	}
	return b, nil
}

// bound returns ix as b has it, or nil if it is not the table's.
func (t *Table[T, ID]) bound(b *binding, ix *index[T]) *record.Index {
	for i, own := range t.indexes {
		if own == ix {
			return b.byPosition[i]
		}
	}
	return nil
}
