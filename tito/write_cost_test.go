package tito_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/tito"
)

// What each write and read by id asks of the driver.
func TestCostOfWrites(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		var calls kvfault.Counting
		db := openDocs(t, open, &kv.Options{Wrap: calls.Wrap})
		full := func(id string) *Doc {
			return &Doc{ID: id, Email: id, Nick: &id, Tags: []string{"x", "y"}, Slots: []int64{int64(id[0])}, Kind: "k", Code: id, Active: true}
		}
		expect := func(name string, budget kvfault.Counts, fn func(tx *tito.Tx) error) {
			t.Helper()
			t.Run(name, func(t *testing.T) {
				t.Helper()
				calls.Expect(t, budget, func() { require.NoError(t, db.Update(ctx, fn)) })
			})
		}
		one := kvfault.Counts{BatchGets: 1, Commits: 1, Begins: 1}
		get := kvfault.Counts{Gets: 1, Commits: 1, Begins: 1}
		// A row, and entries: email, nick, 2 tags, slot, kind, score, active, code, 2 of all.
		create := one
		create.BatchKeys, create.Writes = 5, 12
		expect("create", create, func(tx *tito.Tx) error { _, err := docs.Create(ctx, tx, full("a"), nil); return err })
		expect("put new", create, func(tx *tito.Tx) error { _, err := docs.Put(ctx, tx, full("b"), nil); return err })
		unchanged := one
		unchanged.Writes = 1
		expect("put the same", unchanged, func(tx *tito.Tx) error { _, err := docs.Put(ctx, tx, full("b"), nil); return err })
		expect("update what is not indexed", unchanged, func(tx *tito.Tx) error {
			d := full("a")
			d.Note = "changed"
			_, err := docs.Update(ctx, tx, d, nil)
			return err
		})
		two := one
		two.Writes = 3 // the row, one entry less, one more
		expect("update a unique value", two, func(tx *tito.Tx) error {
			d := full("a")
			d.Email = "changed"
			_, err := docs.Update(ctx, tx, d, nil)
			return err
		})
		many := one
		many.Writes = 3 * 12
		expect("create many", many, func(tx *tito.Tx) error {
			_, err := docs.CreateMany(ctx, tx, []*Doc{full("c"), full("d"), full("e")}, nil)
			return err
		})
		expect("put many", one, func(tx *tito.Tx) error {
			_, err := docs.PutMany(ctx, tx, []*Doc{full("c"), full("d"), full("f")}, nil)
			return err
		})
		expect("update many", one, func(tx *tito.Tx) error {
			c, d := full("c"), full("d")
			c.Email, d.Email = d.Email, c.Email
			_, err := docs.UpdateMany(ctx, tx, []*Doc{c, d}, nil)
			return err
		})
		patch := func(change func(d *Doc)) func(tx *tito.Tx) error {
			return func(tx *tito.Tx) error {
				_, err := docs.Patch(ctx, tx, "a", func(d *Doc) error { change(d); return nil }, nil)
				return err
			}
		}
		row := get
		row.Writes = 1
		expect("patch what is not indexed", row, patch(func(d *Doc) { d.Note = "patched" }))
		row.Writes = 3
		expect("patch what is not unique", row, patch(func(d *Doc) { d.Score = new(float64) }))
		row.Writes = 2
		expect("patch out of a conditional index", row, patch(func(d *Doc) { d.Active = false }))
		both := kvfault.Counts{Gets: 1, BatchGets: 1, BatchKeys: 1, Commits: 1, Begins: 1}
		expect("patch a unique value", both, patch(func(d *Doc) { d.Email = "patched" }))
		expect("patch a unique value away", get, patch(func(d *Doc) { d.Nick = nil }))
		all := get
		all.Writes = 12
		expect("delete", all, func(tx *tito.Tx) error { return docs.Delete(ctx, tx, "b", nil) })
		expect("delete many", one, func(tx *tito.Tx) error {
			n, err := docs.DeleteMany(ctx, tx, []string{"c", "none", "d", "c"}, nil)
			require.Equal(t, 2, n)
			return err
		})
		expect("nothing", kvfault.Counts{Begins: 1}, func(tx *tito.Tx) error {
			_, err := docs.PutMany(ctx, tx, nil, nil)
			return err
		})
		read := func(name string, budget kvfault.Counts, fn func() error) {
			t.Run(name, func(t *testing.T) {
				calls.Expect(t, budget, func() { require.NoError(t, fn()) })
			})
		}
		read("get", kvfault.Counts{Gets: 1, ViewBegins: 1}, func() error { _, err := docs.Get(ctx, db, "a"); return err })
		read("exists", kvfault.Counts{Gets: 1, ViewBegins: 1}, func() error { _, err := docs.Exists(ctx, db, "a"); return err })
		read("meta", kvfault.Counts{Gets: 1, ViewBegins: 1}, func() error { _, err := docs.Meta(ctx, db, "a"); return err })
		read("get many", kvfault.Counts{BatchGets: 1, ViewBegins: 1}, func() error {
			_, err := docs.GetMany(ctx, db, []string{"a", "none", "e"})
			return err
		})
		read("get none", kvfault.Counts{ViewBegins: 1}, func() error { _, err := docs.GetMany(ctx, db, nil); return err })
		require.Zero(t, calls.OpenTxns())
	})
}

// Open reads the catalogue with one call, and one more in an empty store.
func TestCostOfOpen(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		var calls kvfault.Counting
		store := open(t, &kv.Options{Wrap: calls.Wrap})
		for _, budget := range []kvfault.Counts{
			{BatchGets: 1, Cursors: 1, Commits: 1, Writes: 2},
			{BatchGets: 1},
		} {
			calls.Expect(t, budget, func() {
				_, err := tito.Open(t.Context(), store, nil, docs)
				require.NoError(t, err)
			})
		}
	})
}
