package catalog_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito/internal/catalog"
	"github.com/tito-db/tito-go/tito/internal/record"
)

func openStore(t *testing.T) *kv.Store {
	s, err := memory.Open(nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func register(t *testing.T, s *kv.Store, tables ...catalog.Table) (c *catalog.Snapshot, err error) {
	err = s.Update(t.Context(), func(tx *kv.Txn) error {
		c, err = catalog.Register(t.Context(), tx, []byte("p"), tables)
		return err
	})
	return c, err
}

func table(name string, indexes ...catalog.Index) catalog.Table {
	return catalog.Table{Name: name, IDKind: "string", Indexes: indexes}
}

func index(name string, kinds ...string) catalog.Index {
	ix := catalog.Index{Name: name}
	for _, k := range kinds {
		ix.Fields = append(ix.Fields, catalog.Field{Kind: k, Nullable: k == "time"})
	}
	return ix
}

// A snapshot has the layouts of the tables asked for. Ids are given once, and in the
// order of declaration; a layout's indexes ascend by them whatever the order is later.
func TestLayouts(t *testing.T) {
	s := openStore(t)
	unique := index("a", "int", "time")
	unique.Unique = true
	first, err := register(t, s, table("users", unique, index("b", "string")), table("teams"))
	require.NoError(t, err)
	again, err := register(t, s, table("teams"), table("users", index("c", "int"), index("b", "string"), unique))
	require.NoError(t, err)
	require.Nil(t, first.Layout("other"))
	require.Equal(t, first.Layout("teams"), again.Layout("teams"))

	old, users := first.Layout("users"), again.Layout("users")
	rows := layout.TablePrefix([]byte("p"), layout.DefaultNamespace, 1, layout.KindRow)
	require.Equal(t, rows, users.Rows)
	require.Equal(t, old.Indexes, users.Indexes[:2])
	require.NotEqual(t, old.Fingerprint, users.Fingerprint)
	var names []string
	for i, ix := range users.Indexes {
		require.Equal(t, uint64(i+1), ix.ID)
		require.Equal(t, ix.Prefix, slices.Concat(users.Entries, users.AppendEntryKey(nil, &record.Entry{Index: ix.ID, Unique: true}, nil)[len(users.Entries):]))
		names = append(names, ix.Name)
	}
	require.Equal(t, []string{"a", "b", "c"}, names)
	require.True(t, users.Indexes[0].Unique)
	require.True(t, users.Indexes[0].Nullable)
	require.Equal(t, 2, users.Indexes[0].Fields)
	require.False(t, users.Indexes[1].Nullable)
}

// What is refused leaves the catalogue as it was.
func TestRefusals(t *testing.T) {
	s := openStore(t)
	c, err := register(t, s, table("users", index("a", "int")))
	require.NoError(t, err)
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		return tx.Set(c.Layout("users").AppendRowKey(nil, []byte("1")), []byte("row"))
	}))
	before := dump(t, s)
	number := table("users", index("a", "int"))
	number.IDKind = "int"
	version := index("a", "int")
	version.Version = 1
	for name, c := range map[string]struct {
		table catalog.Table
		want  error
	}{
		"id kind":           {number, catalog.ErrSchema},
		"missing index":     {table("users"), catalog.ErrSchema},
		"other fields":      {table("users", index("a", "string")), catalog.ErrSchema},
		"other version":     {table("users", version), catalog.ErrSchema},
		"new index on rows": {table("users", index("a", "int"), index("b", "int")), catalog.ErrIndexNotReady},
	} {
		_, err := register(t, s, table("another"), c.table)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, before, dump(t, s), name)
	}
}

func dump(t *testing.T, s *kv.Store) map[string]string {
	all := map[string]string{}
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		for p, err := range tx.Scan(context.Background(), kv.Range{}, nil) {
			require.NoError(t, err)
			all[string(p.Key)] = string(p.Value)
		}
		return nil
	}))
	return all
}
