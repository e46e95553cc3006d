package tito_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/tito"
)

// counted opens a store whose driver's calls are counted.
func counted(t testing.TB, open openStore) (*kv.Store, *kvfault.Counting) {
	calls := &kvfault.Counting{}
	return open(t, &kv.Options{Wrap: calls.Wrap}), calls
}

// What each query asks of the driver.
func TestCostOfQueries(t *testing.T) { stores(t, requireQueryCosts) }

func requireQueryCosts(t *testing.T, open openStore) {
	ctx := context.Background()
	store, calls := counted(t, open)
	db := openThings(t, store, nil, 200)
	byRank := things.Where(thingByTagRank.At("b"))
	page := func(q tito.Query[thing, text], want int) func() {
		return func() {
			p, err := q.Page(ctx, db)
			require.NoError(t, err)
			require.Len(t, p.Items, want)
		}
	}
	one := func(q tito.Query[thing, text]) func() {
		return func() {
			_, err := q.One(ctx, db)
			require.NoError(t, err)
			_, err = q.First(ctx, db)
			require.NoError(t, err)
		}
	}
	count := func(q tito.Query[thing, text], want int) func() {
		return func() {
			n, err := q.Count(ctx, db)
			require.NoError(t, err)
			require.Equal(t, want, n)
			require.Len(t, collect(t, q.IDs(ctx, db)), want)
		}
	}
	p, err := byRank.Limit(120).Page(ctx, db)
	require.NoError(t, err)
	last, err := byRank.Cursor(p.Next).Page(ctx, db)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		budget kvfault.Counts
		fn     func()
	}{
		{"One and First by unique index", kvfault.Counts{Gets: 4}, one(things.Where(thingByName.Eq("017")))},
		{"of a value that is not there", kvfault.Counts{Gets: 1}, func() {
			_, err := things.Where(thingByName.Eq("none")).One(ctx, db)
			require.ErrorIs(t, err, tito.ErrNotFound)
		}},
		{"page", kvfault.Counts{Cursors: 1, Entries: 51, Pages: 1, BatchGets: 1, BatchKeys: 51}, page(byRank, 50)},
		{"page in reverse", kvfault.Counts{Cursors: 1, Entries: 51, Pages: 1, BatchGets: 1, BatchKeys: 51}, page(byRank.Reverse(), 50)},
		{"next page", kvfault.Counts{Cursors: 1, Entries: 51, Pages: 1, BatchGets: 1}, page(byRank.Limit(50).Cursor(p.Next), 50)},
		{"page before", kvfault.Counts{Cursors: 1, Entries: 51, Pages: 1, BatchGets: 1}, page(byRank.Cursor(last.Prev), 50)},
		{"page of the table", kvfault.Counts{Cursors: 1, Entries: 11, Pages: 1}, page(things.Scan().Limit(10), 10)},
		{"In", kvfault.Counts{Cursors: 1, Entries: 62, Seeks: 2, BatchGets: 1, BatchKeys: 60}, page(things.Where(thingByTagRank.At("b").In(9, 2, 5)).Limit(70), 60)},
		{"In reversed", kvfault.Counts{Cursors: 1, Entries: 62, Seeks: 2, BatchGets: 1, BatchKeys: 60}, page(things.Where(thingByTagRank.At("b").In(9, 2, 5)).Reverse().Limit(70), 60)},
		{"In of neighbours", kvfault.Counts{Cursors: 1, Entries: 60, BatchGets: 1}, page(things.Where(thingByTagRank.At("b").In(3, 2, 1)).Limit(60), 60)},
		{"In of values that are not there", kvfault.Counts{Cursors: 2, Seeks: 2, Entries: 40}, count(things.Where(thingByTagRank.At("b").In(9, 10, 11, 12, 13, -1, -2)).Limit(20), 20)},
		{"empty In", kvfault.Counts{}, page(things.Where(thingByTagRank.At("b").In()), 0)},
		{"Count and IDs", kvfault.Counts{Cursors: 2, Entries: 400}, count(byRank, 200)},
		{"of a unique index", kvfault.Counts{Cursors: 2, Entries: 400}, count(things.Where(thingByName), 200)},
		{"of the table", kvfault.Counts{Cursors: 2, Entries: 400}, count(things.Scan(), 200)},
		{"In under a tag", kvfault.Counts{Cursors: 2}, count(things.Where(thingByTagRank.At("b").In(2, 5)), 40)},
		{"of rows that repeat", kvfault.Counts{Cursors: 2, Entries: 1200, BatchGets: 6, BatchKeys: 976}, count(things.Where(thingByTagDesc), 200)},
	} {
		t.Run(c.name, func(t *testing.T) { calls.Expect(t, c.budget, c.fn) })
	}
}
