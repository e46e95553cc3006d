package tito

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// catalogFormat is the version of what the catalogue's values look like.
const catalogFormat = 1

// catalogHead is the catalogue's first entry.
type catalogHead struct {
	Format    int    `json:"format"`
	NextTable uint64 `json:"next_table"` // ids are never given again
}

// catalogEntry is one table in the catalogue.
type catalogEntry struct {
	ID        uint64         `json:"id"`
	NextIndex uint64         `json:"next_index"`
	Name      string         `json:"name"`
	IDKind    string         `json:"id_kind"`
	Indexes   []catalogIndex `json:"indexes"`
}

type catalogIndex struct {
	ID    uint64 `json:"id"`
	State string `json:"state"`
	indexShape
}

// stateReadable is the state of an index that has an entry for every row.
const stateReadable = "readable"

// tableShape is the part of a definition that the store depends on.
type tableShape struct {
	Name    string
	IDKind  string
	Indexes []indexShape
}

type indexShape struct {
	Name        string       `json:"name"`
	Fields      []fieldShape `json:"fields"`
	Unique      bool         `json:"unique,omitempty"`
	Conditional bool         `json:"conditional,omitempty"`
	Version     uint32       `json:"version,omitempty"`
}

// catalog reads and extends the catalogue in one transaction.
type catalog struct {
	tx     *kv.Txn
	prefix []byte // of the whole key space
	head   catalogHead
	grown  bool // head has changed
}

func (c *catalog) headKey() []byte {
	return keyenc.AppendNull(layout.TablePrefix(c.prefix, layout.DefaultNamespace, layout.CatalogTable, layout.KindCatalog))
}

func (c *catalog) tableKey(name string) []byte {
	return keyenc.AppendString(layout.TablePrefix(c.prefix, layout.DefaultNamespace, layout.CatalogTable, layout.KindCatalog), name)
}

// register brings the catalogue and the program's tables together: a table
// that the store has must agree, one that it lacks is added. Everything is
// read with one batch get; two programs that add at the same time conflict on
// the head, and the later one reads again what the other did.
func (c *catalog) register(ctx context.Context, shapes []tableShape) ([]catalogEntry, error) {
	keys := [][]byte{c.headKey()}
	for _, s := range shapes {
		keys = append(keys, c.tableKey(s.Name))
	}
	values, err := c.tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := c.readHead(ctx, values[0]); err != nil {
		return nil, err
	}
	entries := make([]catalogEntry, len(shapes))
	ids := map[uint64]bool{}
	for i, shape := range shapes {
		e := &entries[i]
		created := values[i+1] == nil
		if created {
			*e = catalogEntry{ID: c.head.NextTable, NextIndex: 1, Name: shape.Name, IDKind: shape.IDKind, Indexes: []catalogIndex{}}
			c.head.NextTable++
			c.grown = true
		} else if err := c.parseEntry(values[i+1], e, shape.Name); err != nil {
			return nil, err
		}
		if ids[e.ID] {
			return nil, fmt.Errorf("%w: catalogue: table %q has the id of another", ErrCorrupt, e.Name)
		}
		ids[e.ID] = true
		added, err := c.reconcile(ctx, e, &shape, created)
		if err != nil {
			return nil, err
		}
		if created || added {
			if err := c.put(keys[i+1], e); err != nil {
				return nil, err
			}
		}
	}
	if c.grown {
		return entries, c.put(keys[0], c.head)
	}
	return entries, nil
}

func (c *catalog) put(key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.tx.Set(key, b)
}

// readHead sets c.head from its stored form, nil in a store that is new.
func (c *catalog) readHead(ctx context.Context, b []byte) error {
	if b == nil {
		c.head = catalogHead{Format: catalogFormat, NextTable: layout.CatalogTable + 1}
		return c.mustBeNew(ctx)
	}
	var version struct{ Format int } // the rest may be of a format that this program does not know
	if err := json.Unmarshal(b, &version); err != nil {
		return fmt.Errorf("%w: head of the catalogue: %w", ErrCorrupt, err)
	}
	if version.Format > catalogFormat {
		return fmt.Errorf("%w: the store's catalogue has format %d, this program knows %d; use the version of Tito that wrote it, or a newer one",
			ErrNewerFormat, version.Format, catalogFormat)
	}
	err := parseCatalog(b, &c.head)
	if err == nil && (c.head.Format != catalogFormat || c.head.NextTable <= layout.CatalogTable) {
		err = errImpossible
	}
	if err != nil {
		return fmt.Errorf("%w: head of the catalogue: %w", ErrCorrupt, err)
	}
	return nil
}

// mustBeNew fails if the catalogue has tables: without its head, which is
// missing, their ids would be given again.
func (c *catalog) mustBeNew(ctx context.Context) error {
	r := layout.PrefixRange(layout.TablePrefix(c.prefix, layout.DefaultNamespace, layout.CatalogTable, layout.KindCatalog))
	for _, err := range c.tx.Scan(ctx, r, &kv.ScanOptions{Limit: 1, KeysOnly: true}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: the catalogue has tables, but no head", ErrCorrupt)
	}
	return nil
}

// parseEntry reads what the catalogue has of the table with the name.
func (c *catalog) parseEntry(b []byte, e *catalogEntry, name string) error {
	err := parseCatalog(b, e)
	if err == nil && !e.valid(name, c.head.NextTable) {
		err = errImpossible
	}
	if err != nil {
		return fmt.Errorf("%w: catalogue, table %q: %w", ErrCorrupt, name, err)
	}
	return nil
}

// valid tells whether the ids are ones that were given, each once.
func (e *catalogEntry) valid(name string, nextTable uint64) bool {
	if e.Name != name || e.ID <= layout.CatalogTable || e.ID >= nextTable {
		return false
	}
	ids, names := map[uint64]bool{}, map[string]bool{}
	for _, ix := range e.Indexes {
		if ix.ID == 0 || ix.ID >= e.NextIndex || ids[ix.ID] || names[ix.Name] {
			return false
		}
		ids[ix.ID], names[ix.Name] = true, true
	}
	return true
}

var errImpossible = errors.New("impossible name or id")

func parseCatalog(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // what this program does not know it must not ignore
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// reconcile compares what the store has of a table with its definition, and
// adds the indexes that are new to it.
func (c *catalog) reconcile(ctx context.Context, e *catalogEntry, shape *tableShape, created bool) (added bool, err error) {
	if e.IDKind != shape.IDKind {
		return false, fmt.Errorf("%w: table %q: the program declares ids of kind %s, the store has %s; declare that kind, or use a new table",
			ErrSchema, e.Name, shape.IDKind, e.IDKind)
	}
	for _, have := range e.Indexes {
		if !slices.ContainsFunc(shape.Indexes, func(s indexShape) bool { return s.Name == have.Name }) {
			return false, fmt.Errorf("%w: table %q: the store has index %q, the program lacks it and would not maintain it; declare it",
				ErrSchema, e.Name, have.Name)
		}
	}
	for _, want := range shape.Indexes {
		at := slices.IndexFunc(e.Indexes, func(have catalogIndex) bool { return have.Name == want.Name })
		if at >= 0 {
			if err := e.Indexes[at].agree(&want); err != nil {
				return false, fmt.Errorf("%w: table %q: %w", ErrSchema, e.Name, err)
			}
			continue
		}
		if !created && !added {
			if err := c.mustBeEmpty(ctx, e, want.Name); err != nil {
				return false, err
			}
		}
		e.Indexes = append(e.Indexes, catalogIndex{ID: e.NextIndex, State: stateReadable, indexShape: want})
		e.NextIndex++
		c.grown = true // a second writer must conflict, see register
		added = true
	}
	return added, nil
}

// mustBeEmpty fails if the table has rows, which an index new to it would lack.
func (c *catalog) mustBeEmpty(ctx context.Context, e *catalogEntry, index string) error {
	rows := layout.PrefixRange(layout.TablePrefix(c.prefix, layout.DefaultNamespace, e.ID, layout.KindRow))
	for _, err := range c.tx.Scan(ctx, rows, &kv.ScanOptions{Limit: 1, KeysOnly: true}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: table %q has rows without an entry in index %q, which is new to it; this version of Tito cannot build it",
			ErrIndexNotReady, e.Name, index)
	}
	return nil
}

// agree says what of a definition contradicts the index that the store has.
func (have *catalogIndex) agree(want *indexShape) error {
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

// String names a field's shape in error messages.
func (f fieldShape) String() string {
	s := f.Kind
	for _, flag := range []struct {
		on   bool
		name string
	}{{f.Nullable, "nullable"}, {f.Multi, "multi-value"}, {f.Desc, "descending"}} {
		if flag.on {
			s = flag.name + " " + s
		}
	}
	return s
}

// bindTable resolves a table's names to ids and prefixes.
func bindTable(prefix []byte, t AnyTable, shape *tableShape, e *catalogEntry) *binding {
	entries := layout.TablePrefix(prefix, layout.DefaultNamespace, e.ID, layout.KindEntry)
	stored := slices.SortedFunc(slices.Values(e.Indexes), func(x, y catalogIndex) int { return cmp.Compare(x.ID, y.ID) })
	b := &binding{table: t, byPosition: make([]*record.Index, len(stored)), Layout: &record.Layout{
		Table:   e.Name,
		Rows:    layout.TablePrefix(prefix, layout.DefaultNamespace, e.ID, layout.KindRow),
		Entries: entries,
		Indexes: make([]record.Index, len(stored)),
	}}
	h := fnv.New64a()
	for i, have := range stored {
		position := slices.IndexFunc(shape.Indexes, func(s indexShape) bool { return s.Name == have.Name })
		b.Indexes[i] = record.Index{
			ID:       have.ID,
			Name:     have.Name,
			Prefix:   keyenc.AppendUint(slices.Clip(entries), have.ID),
			Fields:   len(have.Fields),
			Unique:   have.Unique,
			Nullable: slices.ContainsFunc(have.Fields, func(f fieldShape) bool { return f.Nullable }),
		}
		b.positions = append(b.positions, position)
		b.byPosition[position] = &b.Indexes[i]
		fmt.Fprintf(h, "%d/%d;", have.ID, shape.Indexes[position].Version)
	}
	b.Fingerprint = h.Sum64()
	return b
}

// checkRelations fails if a relation's target is not among the tables.
func checkRelations(tables []AnyTable, byName map[string]AnyTable) error {
	for _, t := range tables {
		for _, r := range t.relations() {
			target, ok := byName[r.target]
			switch {
			case !ok:
				return fmt.Errorf("%w: table %q, relation %q: its target %q was not given to Open", ErrSchema, t.Name(), r.name, r.target)
			case !r.accepts(target):
				return fmt.Errorf("%w: table %q, relation %q: table %q has other types", ErrSchema, t.Name(), r.name, r.target)
			}
		}
	}
	return nil
}
