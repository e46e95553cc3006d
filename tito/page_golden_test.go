package tito_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

// Cursors are in users' hands: each version of the library gives out and takes the
// same ones.
func TestCursorsOfUsersStayValid(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	plain := openThings(t, store, nil, 30)
	signed, err := tito.Open(ctx, store, &tito.Options{CursorKey: []byte("a key of the test")}, things)
	require.NoError(t, err)
	for _, c := range []struct {
		name       string
		db         *tito.DB
		q          tito.Query[thing, text]
		next, prev string // of the second page of three
	}{
		{"the table", plain, things.Scan(), "AQCd7K9krtCk3kgwMDUAAQ", "AQGd7K9krtCk3kgwMDMAAQ"},
		{"the table in reverse", plain, things.Scan().Reverse(), "AQCD6KKhRXiPUEgwMjQAAQ", "AQGD6KKhRXiPUEgwMjYAAQ"},
		{"a unique index", plain, things.Where(thingByName), "AQAVnwtETn8mgEgwMDUAAQ", "AQEVnwtETn8mgEgwMDMAAQ"},
		{"a range", plain, things.Where(thingByTagRank.At("b").Ge(2)), "AQAd2Ya5_HffY0hiAAHe90gwMjgAAQ", "AQEd2Ya5_HffY0hiAAHe90gwMDgAAQ"},
		{"In", plain, things.Where(thingByTagRank.At("b").In(7, 2, 5, 2)), "AQAoKKpbOS2voEhiAAHe-kgwMjUAAQ", "AQEoKKpbOS2voEhiAAHe-kgwMDUAAQ"},
		{"In in reverse", plain, things.Where(thingByTagRank.At("b").In(7, 2, 5)).Reverse(), "AQA-UrAOWcYMVkhiAAHe-kgwMDUAAQ", "AQE-UrAOWcYMVkhiAAHe-kgwMjUAAQ"},
		{"null", plain, things.Where(thingByNick.Null()), "AQA256d3qGDaiwhIMDA1AAE", "AQE256d3qGDaiwhIMDAzAAE"},
		{"rows that repeat", plain, things.Where(thingByTagDesc), "AQDbMG8AIhkQi7ec__5IMDA1AAE", "AQHbMG8AIhkQi7ec__5IMDAzAAE"},
		{"signed", signed, things.Where(thingByTagRank.At("b").In(7, 2, 5)), "AgAoKKpbOS2voEhiAAHe-kgwMjUAAZbwi2GiwOhTJCJ_xgfWHBc", "AgEoKKpbOS2voEhiAAHe-kgwMDUAAQbevKsgxMsul4ro2JenlT4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, err := c.q.Limit(3).Page(ctx, c.db)
			require.NoError(t, err)
			second, err := c.q.Limit(3).Cursor(first.Next).Page(ctx, c.db)
			require.NoError(t, err)
			require.Equal(t, c.next, second.Next)
			require.Equal(t, c.prev, second.Prev)
		})
	}
}
