package tito_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// plan is a small record for tables that differ in their definition.
type plan struct {
	ID   string
	A, B string
	N    int64
}

var (
	planID = tito.StringID(func(p *plan) *string { return &p.ID })
	planA  = tito.String(func(p *plan) string { return p.A })
	planB  = tito.String(func(p *plan) string { return p.B })
	planN  = tito.Int(func(p *plan) int64 { return p.N })
)

func planTable(name string, indexes ...tito.AnyIndex[plan]) *tito.Table[plan, string] {
	return tito.Define(tito.Schema[plan, string]{Table: tito.Name[plan, string](name), ID: planID, Indexes: indexes})
}

// Each definition that contradicts the store's is refused with a message that
// says what to do, and leaves the store as it was.
func TestOpenRefusesContradictions(t *testing.T) {
	opts := func(o tito.IndexOptions[plan]) *tito.IndexOptions[plan] { return &o }
	always := func(*plan) bool { return true }
	uuidID := tito.UUIDID(func(p *struct{ ID [16]byte }) *[16]byte { return &p.ID })
	cases := map[string]struct {
		table   tito.AnyTable
		message string
	}{
		"id kind": {tito.Define(tito.Schema[struct{ ID [16]byte }, [16]byte]{Table: "plans", ID: uuidID}),
			`table "plans": the program declares ids of kind uuid, the store has string; declare that kind, or use a new table`},
		"index left out": {planTable("plans"), `the store has index "a", the program lacks it and would not maintain it; declare it`},
		"field kind": {planTable("plans", tito.Index("a", planN, nil)),
			`index "a": the program declares fields [int], the store has [string]; restore the declaration, or give the index a new name`},
		"direction":   {planTable("plans", tito.Index("a", planA.Desc(), nil)), "declares fields [descending string], the store has [string]"},
		"more fields": {planTable("plans", tito.Index2("a", planA, planB, nil)), "declares fields [string string], the store has [string]"},
		"nullable": {planTable("plans", tito.Index("a", tito.Opt(func(p *plan) *string { return &p.A }, tito.String(tito.Self[string])), nil)),
			"declares fields [nullable string], the store has [string]"},
		"multi-value": {planTable("plans", tito.Index("a", tito.Strings(func(p *plan) []string { return []string{p.A} }), nil)),
			"declares fields [multi-value string], the store has [string]"},
		"unique":       {planTable("plans", tito.Index("a", planA, opts(tito.IndexOptions[plan]{Unique: true}))), "declares unique true, the store has false"},
		"conditional":  {planTable("plans", tito.Index("a", planA, opts(tito.IndexOptions[plan]{When: always}))), "declares conditional true, the store has false"},
		"version":      {planTable("plans", tito.Index("a", planA, opts(tito.IndexOptions[plan]{Version: 2}))), "declares version 2, the store has 0"},
		"second index": {planTable("plans", tito.Index("a", planA, nil), tito.Index("a", planB, nil)), `index "a" is defined twice`},
	}
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		a := tito.Index("a", planA, nil)
		plans := planTable("plans", a)
		db, err := tito.Open(ctx, store, nil, plans)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := plans.Create(ctx, tx, &plan{ID: "1", A: "x"}, nil)
			require.NoError(t, err)
		})
		before := dump(t, store, "")
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				_, err := tito.Open(ctx, store, nil, planTable("another"), c.table)
				require.ErrorIs(t, err, tito.ErrSchema)
				require.ErrorContains(t, err, c.message)
				require.ErrorContains(t, err, "plans")
				require.Equal(t, before, dump(t, store, ""), "a refused Open changed the store")
			})
		}
		t.Run("new index on rows", func(t *testing.T) {
			_, err := tito.Open(ctx, store, nil, planTable("another"), planTable("plans", a, tito.Index("b", planB, nil)))
			require.ErrorIs(t, err, tito.ErrIndexNotReady)
			require.ErrorContains(t, err, `table "plans" has rows without an entry in index "b"`)
			require.Equal(t, before, dump(t, store, ""))
		})
		t.Run("new index without rows", func(t *testing.T) {
			update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, plans.Delete(ctx, tx, "1", nil)) })
			grown := planTable("plans", tito.Index("b", planB, nil), a) // order does not matter
			db, err := tito.Open(ctx, store, nil, grown)
			require.NoError(t, err)
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				_, err := grown.Create(ctx, tx, &plan{ID: "1", A: "x", B: "y"}, nil)
				require.NoError(t, err)
			})
			checkStore(t, store, "", checkTable("plans", func(p *plan) []indexEntry {
				return []indexEntry{
					{"a", string(keyenc.AppendString(nil, p.A)), false},
					{"b", string(keyenc.AppendString(nil, p.B)), false},
				}
			}))
			_, err = tito.Open(ctx, store, nil, plans)
			require.ErrorContains(t, err, `the store has index "b", the program lacks it`)
		})
	})
}

// What a definition lacks is found by Open, before it looks at the store.
func TestOpenRefusesDefinition(t *testing.T) {
	long := strings.Repeat("n", 201)
	long1 := tito.Index(long, planA, nil)
	var many []tito.AnyIndex[plan]
	for i := range 1025 {
		many = append(many, tito.Index(fmt.Sprint(i), planA, nil))
	}
	cases := map[string]struct {
		tables  []tito.AnyTable
		options *tito.Options
		message string
	}{
		"no name":         {[]tito.AnyTable{planTable("")}, nil, "table without a name"},
		"long name":       {[]tito.AnyTable{planTable(long)}, nil, "table name of more than 200 bytes"},
		"no id":           {[]tito.AnyTable{tito.Define(tito.Schema[plan, string]{Table: "plans"})}, nil, "no ID"},
		"no index name":   {[]tito.AnyTable{planTable("plans", tito.Index("", planA, nil))}, nil, "index without a name"},
		"long index name": {[]tito.AnyTable{planTable("plans", long1)}, nil, "index name of more than 200 bytes"},
		"many indexes":    {[]tito.AnyTable{planTable("plans", many...)}, nil, "more than 1024 indexes"},
		"given twice":     {[]tito.AnyTable{planTable("plans"), planTable("plans")}, nil, "is given twice"},
		"long prefix":     {[]tito.AnyTable{planTable("plans")}, &tito.Options{Prefix: make([]byte, 257)}, "Prefix of more than 256 bytes"},
	}
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				_, err := tito.Open(t.Context(), store, c.options, c.tables...)
				want := tito.ErrSchema
				if c.options != nil {
					want = tito.ErrOptions
				}
				require.ErrorIs(t, err, want)
				require.ErrorContains(t, err, c.message)
				require.Empty(t, dump(t, store, ""))
			})
		}
		t.Run("at the limits", func(t *testing.T) {
			name := long[1:]
			index := tito.Index(name, planA, &tito.IndexOptions[plan]{Unique: true})
			table := planTable(name, append(many[:1023:1023], index)...)
			o := &tito.Options{Prefix: []byte(strings.Repeat("p", 256))}
			db, err := tito.Open(t.Context(), store, o, table)
			require.NoError(t, err)
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				_, err := table.Create(ctx, tx, &plan{ID: "1", A: "x"}, nil)
				require.NoError(t, err)
			})
			got, err := table.Where(index.Eq("x")).One(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, &plan{ID: "1", A: "x"}, got)
		})
	})
}

// A catalogue that this program cannot have written is refused, and never
// taken for an empty one: its ids would be given again.
func TestOpenRefusesGarbageInCatalogue(t *testing.T) {
	const (
		head  = "t\x20\x20c\x08"
		table = "t\x20\x20c\x48plans\x00\x01"
	)
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		set := func(t *testing.T, store *kv.Store, key string, value []byte) {
			require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
				if value == nil {
					return tx.Delete([]byte(key))
				}
				return tx.Set([]byte(key), value)
			}))
		}
		store := open(t, nil)
		plans := planTable("plans", tito.Index("a", planA, nil))
		_, err := tito.Open(ctx, store, nil, plans, planTable("others"))
		require.NoError(t, err)
		good := dump(t, store, "")
		refused := func(name string, key string, value []byte, want error) {
			t.Run(name, func(t *testing.T) {
				set(t, store, key, value)
				before := dump(t, store, "")
				// A table that the catalogue lacks needs the next id.
				_, err := tito.Open(ctx, store, nil, plans, planTable("others"), planTable("third"))
				require.ErrorIs(t, err, want)
				require.Equal(t, before, dump(t, store, ""))
				set(t, store, key, []byte(good[key]))
			})
		}
		for _, key := range []string{head, table} {
			require.Contains(t, good, key)
			for n := range len(good[key]) {
				value := []byte(good[key][:n])
				if n == 0 {
					value = []byte(" ")
				}
				refused(fmt.Sprintf("%q cut to %d", key[4:], n), key, value, tito.ErrCorrupt)
			}
			for _, text := range []string{"{}", "null", "7", "[]", good[key] + "}", good[key] + good[key], "\x00"} {
				refused(fmt.Sprintf("%q is %.20q", key[4:], text), key, []byte(text), tito.ErrCorrupt)
			}
			for field, values := range map[string][]any{
				"format": {nil, 0, -1, "1"}, "next_table": {nil, 0, 1, -1}, "id": {nil, 0, 2, 3, -1},
				"next_index": {nil, 0, 1}, "name": {nil, "", "others"}, "unknown": {1},
			} {
				var m map[string]any
				require.NoError(t, json.Unmarshal([]byte(good[key]), &m))
				if _, ok := m[field]; !ok && field != "unknown" {
					continue
				}
				for _, v := range values {
					m[field] = v
					b, err := json.Marshal(m)
					require.NoError(t, err)
					refused(fmt.Sprintf("%q with %s %v", key[4:], field, v), key, b, tito.ErrCorrupt)
				}
			}
		}
		refused("no head", head, nil, tito.ErrCorrupt)
		refused("newer format", head, []byte(`{"format":2,"tables":{"next":9}}`), tito.ErrNewerFormat)
		refused("index state", table, []byte(strings.Replace(good[table], "readable", "backfilling", 1)), tito.ErrIndexNotReady)
		_, err = tito.Open(ctx, store, nil, plans)
		require.NoError(t, err)
	})
}

// Programs that open one store at the same time agree on one catalogue, in
// which no id is given twice.
func TestOpenConcurrently(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		shared := planTable("shared", tito.Index("a", planA, nil))
		dbs := make([]*tito.DB, 8)
		own := make([]*tito.Table[plan, string], len(dbs))
		var wg sync.WaitGroup
		for i := range dbs {
			own[i] = planTable(fmt.Sprint("own", i/2), tito.Index("b", planB, &tito.IndexOptions[plan]{Unique: true}))
			wg.Go(func() {
				tables := []tito.AnyTable{shared, own[i]}
				if i%2 == 1 {
					tables[0], tables[1] = tables[1], tables[0]
				}
				var err error
				dbs[i], err = tito.Open(context.Background(), store, nil, tables...)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		for i, db := range dbs {
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				for _, table := range []*tito.Table[plan, string]{shared, own[i]} {
					_, err := table.Create(ctx, tx, &plan{ID: fmt.Sprint(i), A: "x", B: fmt.Sprint(i)}, nil)
					require.NoError(t, err)
				}
			})
		}
		a := func(p *plan) []indexEntry { return []indexEntry{{"a", string(keyenc.AppendString(nil, p.A)), false}} }
		b := func(p *plan) []indexEntry { return []indexEntry{{"b", string(keyenc.AppendString(nil, p.B)), true}} }
		rows := checkStore(t, store, "", checkTable("shared", a),
			checkTable("own0", b), checkTable("own1", b), checkTable("own2", b), checkTable("own3", b))
		require.Equal(t, 2*len(dbs), rows)
		for i, db := range dbs { // each sees what the others wrote
			n, err := shared.Count(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, len(dbs), n)
			n, err = own[i].Count(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, 2, n)
		}
	})
}

// Databases under different prefixes share a store, and table handles, and
// nothing else; keys of others are left alone.
func TestPrefixes(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
			return tx.Set([]byte("other"), []byte("1"))
		}))
		prefixes := []string{"a", "b", "c\x00", "\xff", "t"}
		dbs := make([]*tito.DB, len(prefixes))
		for i, p := range prefixes {
			o := &tito.Options{Prefix: []byte(p)}
			var err error
			dbs[i], err = tito.Open(ctx, store, o, docs)
			require.NoError(t, err)
			clear(o.Prefix) // it was copied
		}
		var wg sync.WaitGroup
		for i, db := range dbs {
			wg.Go(func() {
				for n := range i + 1 {
					if err := db.Update(ctx, func(tx *tito.Tx) error {
						_, err := docs.Create(ctx, tx, &Doc{ID: fmt.Sprint(n), Email: fmt.Sprint(n)}, nil)
						return err
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i, p := range prefixes {
			require.Equal(t, i+1, checkStore(t, store, p, docCheck))
			n, err := docs.Count(ctx, dbs[i])
			require.NoError(t, err)
			require.Equal(t, i+1, n)
		}
		require.Equal(t, map[string]string{"": "1"}, dump(t, store, "other"))
	})
}

func TestOpenNeedsTargetsOfRelations(t *testing.T) {
	type child struct{ ID, Parent string }
	const parents tito.Name[plan, string] = "parents"
	children := tito.Define(tito.Schema[child, string]{
		Table: "children",
		ID:    tito.StringID(func(c *child) *string { return &c.ID }),
		Relations: tito.Relations(tito.One("parent", parents, func(c *child) *string { return &c.Parent },
			func(*child, *plan) {})),
	})
	wrong := tito.Define(tito.Schema[child, string]{Table: "parents", ID: tito.StringID(func(c *child) *string { return &c.ID })})
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		_, err := tito.Open(t.Context(), store, nil, children)
		require.ErrorIs(t, err, tito.ErrSchema)
		require.ErrorContains(t, err, `table "children", relation "parent": its target "parents" was not given to Open`)
		_, err = tito.Open(t.Context(), store, nil, children, wrong)
		require.ErrorIs(t, err, tito.ErrSchema)
		require.ErrorContains(t, err, "has other types")
		require.Empty(t, dump(t, store, ""))
		_, err = tito.Open(t.Context(), store, nil, children, planTable("parents"))
		require.NoError(t, err)
	})
}

func TestTableOfAnotherDatabase(t *testing.T) {
	ctx := context.Background()
	other := planTable("plans")
	db := openDocs(t, memoryStore, nil)
	calls := map[string]func(tx *tito.Tx) error{
		"create":      func(tx *tito.Tx) error { _, err := other.Create(ctx, tx, &plan{ID: "1"}, nil); return err },
		"create many": func(tx *tito.Tx) error { _, err := other.CreateMany(ctx, tx, []*plan{{ID: "1"}}, nil); return err },
		"patch": func(tx *tito.Tx) error {
			_, err := other.Patch(ctx, tx, "1", func(*plan) error { return nil }, nil)
			return err
		},
		"delete":      func(tx *tito.Tx) error { return other.Delete(ctx, tx, "1", nil) },
		"delete many": func(tx *tito.Tx) error { _, err := other.DeleteMany(ctx, tx, []string{"1"}, nil); return err },
		"get":         func(tx *tito.Tx) error { _, err := other.Get(ctx, tx, "1"); return err },
		"get many":    func(tx *tito.Tx) error { _, err := other.GetMany(ctx, tx, []string{"1"}); return err },
		"exists":      func(tx *tito.Tx) error { _, err := other.Exists(ctx, tx, "1"); return err },
		"meta":        func(tx *tito.Tx) error { _, err := other.Meta(ctx, tx, "1"); return err },
		"count":       func(tx *tito.Tx) error { _, err := other.Count(ctx, tx); return err },
	}
	for name, call := range calls {
		require.ErrorIs(t, db.Update(ctx, call), tito.ErrNotRegistered, name)
	}
}
