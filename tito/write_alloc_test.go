//go:build !race

package tito_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// TestAllocationsOfWrites bounds what each write allocates in a transaction on the
// memory store, with Begin and Rollback. The race detector changes the figures.
func TestAllocationsOfWrites(t *testing.T) {
	ctx := context.Background()
	table := func(name tito.Name[benchUser, string], events ...tito.Event[benchUser]) *tito.Table[benchUser, string] {
		return tito.Define(tito.Schema[benchUser, string]{
			Table: name, ID: tito.StringID(func(u *benchUser) *string { return &u.ID }),
			Indexes: tito.Indexes(benchByEmail, benchByRole, benchBySize), Events: events,
		})
	}
	quiet := table("quiet")
	loud := table("loud", tito.Event[benchUser]{Topic: "user", Before: true, After: true,
		When: func(before, after *benchUser) bool { return before != after }})
	db, err := tito.Open(ctx, memoryStore(t, nil), nil, quiet, loud)
	require.NoError(t, err)
	stored, fresh := benchUsersAt(0, 10), benchUsersAt(10, 10)
	ids := make([]string, len(stored))
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		for _, users := range []*tito.Table[benchUser, string]{quiet, loud} {
			_, err := users.CreateMany(ctx, tx, stored, nil)
			require.NoError(t, err)
		}
	})
	indexed := make([]*benchUser, len(stored))
	for i, u := range stored {
		c := *u
		c.Size, c.Email = c.Size+1, "new-"+c.Email
		indexed[i], ids[i] = &c, u.ID
	}
	type users = *tito.Table[benchUser, string]
	one := func(write func(users, context.Context, *tito.Tx, *benchUser, *tito.WriteOptions) (*benchUser, error), u *benchUser) func(users, *tito.Tx) error {
		return func(t users, tx *tito.Tx) error { _, err := write(t, ctx, tx, u, nil); return err }
	}
	many := func(write func(users, context.Context, *tito.Tx, []*benchUser, *tito.WriteOptions) ([]*benchUser, error), us []*benchUser) func(users, *tito.Tx) error {
		return func(t users, tx *tito.Tx) error { _, err := write(t, ctx, tx, us, nil); return err }
	}
	patch := func(change func(u *benchUser)) func(users, *tito.Tx) error {
		return func(t users, tx *tito.Tx) error {
			_, err := t.Patch(ctx, tx, stored[0].ID, func(u *benchUser) error { change(u); return nil }, nil)
			return err
		}
	}
	for _, c := range []struct {
		name        string
		quiet, loud float64 // without and with an event with both images
		write       func(users, *tito.Tx) error
	}{
		{"create", 32, 52, one(users.Create, fresh[0])},
		{"put", 29, 61, one(users.Put, stored[0])},
		{"update", 29, 61, one(users.Update, stored[0])},
		{"update indexed", 37, 69, one(users.Update, indexed[0])},
		{"patch", 39, 71, patch(func(u *benchUser) { u.Name = "changed" })},
		{"patch unique", 46, 78, patch(func(u *benchUser) { u.Email = "changed" })},
		{"delete", 18, 50, func(t users, tx *tito.Tx) error { return t.Delete(ctx, tx, ids[0], nil) }},
		{"create many", 176, 240, many(users.CreateMany, fresh)},
		{"update many", 205, 397, many(users.UpdateMany, indexed)},
		{"delete many", 124, 309, func(t users, tx *tito.Tx) error { _, err := t.DeleteMany(ctx, tx, ids, nil); return err }},
		{"nothing", 4, 4, func(users, *tito.Tx) error { return nil }},
		{"get", 20, 20, func(t users, tx *tito.Tx) error { _, err := t.Get(ctx, tx, ids[0]); return err }},
	} {
		for users, limit := range map[users]float64{quiet: c.quiet, loud: c.loud} {
			t.Run(fmt.Sprintf("%s/%s", users.Name(), c.name), func(t *testing.T) {
				allocs := testing.AllocsPerRun(200, func() {
					tx, err := db.Begin(ctx, &kv.TxnOptions{})
					if err == nil {
						err = c.write(users, tx)
						tx.Rollback()
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				require.LessOrEqual(t, allocs, limit)
			})
		}
	}
}
