package catalog

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Snapshot is what the catalogue said of a program's tables in one transaction. It is
// immutable, so transactions that hold one are not disturbed when the database
// learns of a newer one.
type Snapshot struct {
	layouts map[string]*record.Layout
}

func newSnapshot(prefix []byte, entries []*entry) *Snapshot {
	s := &Snapshot{layouts: make(map[string]*record.Layout, len(entries))}
	for _, e := range entries {
		s.layouts[e.Name] = e.layout(prefix)
	}
	return s
}

// Layout returns the layout of the table with the name, nil if the snapshot has none.
func (s *Snapshot) Layout(table string) *record.Layout { return s.layouts[table] }

// layout resolves the ids of a table and its indexes to the prefixes of their keys.
func (e *entry) layout(prefix []byte) *record.Layout {
	l := &record.Layout{
		Table:   e.Name,
		Rows:    kindPrefix(prefix, e.ID, layout.KindRow),
		Entries: kindPrefix(prefix, e.ID, layout.KindEntry),
		Indexes: make([]record.Index, len(e.Indexes)),
	}
	stored := slices.SortedFunc(slices.Values(e.Indexes), func(x, y storedIndex) int { return cmp.Compare(x.ID, y.ID) })
	h := fnv.New64a()
	for i, ix := range stored {
		l.Indexes[i] = record.Index{
			ID:       ix.ID,
			Name:     ix.Name,
			Prefix:   keyenc.AppendUint(slices.Clip(l.Entries), ix.ID),
			Fields:   len(ix.Fields),
			Unique:   ix.Unique,
			Nullable: slices.ContainsFunc(ix.Fields, func(f Field) bool { return f.Nullable }),
		}
		fmt.Fprintf(h, "%d/%d;", ix.ID, ix.Version)
	}
	l.Fingerprint = h.Sum64()
	return l
}
