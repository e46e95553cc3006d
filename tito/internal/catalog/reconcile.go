package catalog

import (
	"fmt"
	"slices"
)

// newEntry gives a table that the store does not have its id. reconcile adds its
// indexes.
func (h *head) newEntry(t *Table) *entry {
	e := &entry{ID: h.NextTable, NextIndex: 1, Name: t.Name, IDKind: t.IDKind, Indexes: []storedIndex{}}
	h.NextTable++
	return e
}

// reconcile compares what the store has of a table with what the program declares. It
// adds the indexes that are new to the store, and returns their names.
func (e *entry) reconcile(t *Table) (added []string, err error) {
	if e.IDKind != t.IDKind {
		return nil, fmt.Errorf("%w: table %q: the program declares ids of kind %s, the store has %s; declare that kind, or use a new table",
			ErrSchema, e.Name, t.IDKind, e.IDKind)
	}
	for _, have := range e.Indexes {
		if !slices.ContainsFunc(t.Indexes, func(want Index) bool { return want.Name == have.Name }) {
			return nil, fmt.Errorf("%w: table %q: the store has index %q, the program lacks it and would not maintain it; declare it",
				ErrSchema, e.Name, have.Name)
		}
	}
	for _, want := range t.Indexes {
		at := slices.IndexFunc(e.Indexes, func(have storedIndex) bool { return have.Name == want.Name })
		if at >= 0 {
			if err := e.Indexes[at].agree(&want); err != nil {
				return nil, fmt.Errorf("%w: table %q: %w", ErrSchema, e.Name, err)
			}
			continue
		}
		e.Indexes = append(e.Indexes, storedIndex{ID: e.NextIndex, State: stateReadable, Index: want})
		e.NextIndex++
		added = append(added, want.Name)
	}
	return added, nil
}

// agree says what of a declaration contradicts the index that the store has.
func (have *storedIndex) agree(want *Index) error {
	what := func(w, h any, of string) error {
		return fmt.Errorf("index %q: the program declares %s %v, the store has %v; restore the declaration, or give the index a new name",
			have.Name, of, w, h)
	}
	switch {
	case have.State != stateReadable:
		return fmt.Errorf("%w: index %q is %s", ErrIndexNotReady, have.Name, have.State)
	case !slices.Equal(have.Fields, want.Fields):
		return what(want.Fields, have.Fields, "fields")
	case have.Unique != want.Unique:
		return what(want.Unique, have.Unique, "unique")
	case have.Conditional != want.Conditional:
		return what(want.Conditional, have.Conditional, "conditional")
	case have.Version != want.Version:
		return what(want.Version, have.Version, "version")
	}
	return nil
}
