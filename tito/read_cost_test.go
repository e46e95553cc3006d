//go:build !race

// The race detector makes encoding/json allocate more often.

package tito_test

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// How often each read allocates, of which decoding a row takes about 29 times. A read
// that takes more than it did is a fault; one that takes less lowers its number here.
func TestAllocationsOfReads(t *testing.T) {
	ctx := context.Background()
	db := openThings(t, memoryStore(t, nil), nil, 200)
	fifty := collect(t, things.Scan().Limit(50).IDs(ctx, db))
	byRank := things.Where(thingByTagRank.At("b"))
	first, err := byRank.Page(ctx, db)
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		most float64
		fn   func() error
	}{
		{"Get", 36, func() error { _, err := things.Get(ctx, db, "017"); return err }},
		{"Exists", 7, func() error { _, err := things.Exists(ctx, db, "017"); return err }},
		{"Meta", 7, func() error { _, err := things.Meta(ctx, db, "017"); return err }},
		{"GetMany", 1509, func() error { _, err := things.GetMany(ctx, db, fifty); return err }},
		{"page", 1555, func() error { _, err := byRank.Page(ctx, db); return err }},
		{"next page", 1560, func() error { _, err := byRank.Cursor(first.Next).Page(ctx, db); return err }},
		{"page of the table", 1507, func() error { _, err := things.Scan().Page(ctx, db); return err }},
		{"page of In", 1569, func() error { _, err := things.Where(thingByTagRank.At("b").In(1, 5, 7)).Page(ctx, db); return err }},
		{"page of rows that repeat", 1612, func() error { _, err := things.Where(thingByTagDesc).Page(ctx, db); return err }},
		{"Count", 16, func() error { _, err := byRank.Count(ctx, db); return err }},
		{"Count of the table", 17, func() error { _, err := things.Count(ctx, db); return err }},
		{"Count of rows that repeat", 1027, func() error { _, err := things.Where(thingByTagDesc).Count(ctx, db); return err }},
		{"IDs", 219, func() error { return drain(byRank.IDs(ctx, db)) }},
		{"All", 6033, func() error { return drain(byRank.All(ctx, db)) }},
		{"First", 53, func() error { _, err := byRank.First(ctx, db); return err }},
		{"One by unique index", 50, func() error { _, err := things.Where(thingByName.Eq("017")).One(ctx, db); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, c.fn())
			n := testing.AllocsPerRun(20, func() { err = c.fn() })
			require.NoError(t, err)
			require.LessOrEqual(t, n, c.most)
		})
	}
}

// drain walks seq to its end or its first error.
func drain[V any](seq iter.Seq2[V, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}
