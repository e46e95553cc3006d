package tito_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

func TestPageCursorIsOfOneQuery(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	db := openThings(t, store, nil, 30)
	q := things.Where(thingByTagRank.At("b").Ge(2)).Limit(2)
	page, err := q.Page(ctx, db)
	require.NoError(t, err)
	cursor := page.Next

	for name, same := range map[string]tito.Query[thing, text]{
		"itself":        q,
		"again":         things.Where(thingByTagRank.At("b").Ge(2)),
		"another limit": q.Limit(7),
		"twice turned":  q.Reverse().Reverse(),
		"the same keys": things.Where(thingByTagRank.At("b").Gt(1)),
	} {
		p, err := same.Cursor(cursor).Page(ctx, db)
		require.NoError(t, err, name)
		require.Equal(t, text("029"), p.Items[0].ID, name) // after 009 and 019
	}
	for name, other := range map[string]tito.Query[thing, text]{
		"another order": q.Reverse(),
		"another value": things.Where(thingByTagRank.At("a").Ge(2)),
		"another bound": things.Where(thingByTagRank.At("b").Ge(3)),
		"all":           things.Where(thingByTagRank),
		"In":            things.Where(thingByTagRank.At("b").In(2, 9)),
		"In none":       things.Where(thingByTagRank.At("b").In()),
		"another index": things.Where(thingByTagDesc.Eq("b")),
		"the table":     things.Scan(),
	} {
		_, err := other.Cursor(cursor).Page(ctx, db)
		require.ErrorIs(t, err, tito.ErrBadCursor, name)
		_, err = other.Cursor(cursor).Count(ctx, db)
		require.ErrorIs(t, err, tito.ErrBadCursor, name)
	}
	// The same keys elsewhere: another table, and another version of the index.
	_, err = people.Scan().Cursor(cursor).Page(ctx, openPeople(t, store))
	require.ErrorIs(t, err, tito.ErrBadCursor)
	versioned := func(version uint32) string {
		by := tito.Index("release", tito.Custom(func(b *build) release { return b.Release }), &tito.IndexOptions[build]{Version: version})
		s := buildSchema()
		s.Indexes = tito.Indexes(by)
		table := tito.Define(s)
		db, err := tito.Open(ctx, memoryStore(t, nil), nil, table)
		require.NoError(t, err)
		require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
			_, err := table.CreateMany(ctx, tx, []*build{{ID: "1"}, {ID: "2"}}, nil)
			return err
		}))
		p, err := table.Where(by).Limit(1).Page(ctx, db)
		require.NoError(t, err)
		return p.Next
	}
	require.Equal(t, versioned(1), versioned(1))
	require.NotEqual(t, versioned(1), versioned(2))
}

func TestPageCursorAltered(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	plain := openThings(t, store, nil, 30)
	key := []byte(strings.Repeat("k", 32))
	signed, err := tito.Open(ctx, store, &tito.Options{CursorKey: key}, things)
	require.NoError(t, err)
	otherKey, err := tito.Open(ctx, store, &tito.Options{CursorKey: []byte("another")}, things)
	require.NoError(t, err)
	q := things.Where(thingByTagRank.At("b").In(2, 3, 5)).Limit(2)
	next := func(db *tito.DB) string {
		page, err := q.Page(ctx, db)
		require.NoError(t, err)
		return page.Next
	}
	refused := func(db *tito.DB, cursor string) {
		t.Helper()
		_, err := q.Cursor(cursor).Page(ctx, db)
		require.ErrorIs(t, err, tito.ErrBadCursor)
		require.NotContains(t, err.Error(), cursor)
	}
	for _, db := range []*tito.DB{plain, signed} {
		c := next(db)
		_, err := q.Cursor(c).Page(ctx, db)
		require.NoError(t, err)
		refused(db, c+"=")
		refused(db, " "+c)
		refused(db, strings.Repeat("A", 1<<24))
		raw, err := base64.RawURLEncoding.DecodeString(c)
		require.NoError(t, err)
		for n := range 9 {
			refused(db, base64.RawURLEncoding.EncodeToString(raw[:n+1]))
		}
		for i := range 10 { // format, side and fingerprint
			altered := append([]byte(nil), raw...)
			altered[i] ^= 0x80
			refused(db, base64.RawURLEncoding.EncodeToString(altered))
		}
	}
	refused(signed, next(plain))
	refused(plain, next(signed))
	refused(otherKey, next(signed))

	raw, err := base64.RawURLEncoding.DecodeString(next(signed))
	require.NoError(t, err)
	for i := range raw { // every byte is signed
		altered := append([]byte(nil), raw...)
		altered[i]++
		refused(signed, base64.RawURLEncoding.EncodeToString(altered))
		if i > 0 { // an empty cursor is the beginning
			refused(signed, base64.RawURLEncoding.EncodeToString(raw[:i]))
		}
	}
}

// A cursor is a position for all reads, not only for pages.
func TestReadsAfterCursor(t *testing.T) {
	ctx := context.Background()
	db := openThings(t, memoryStore(t, nil), nil, 10)
	q := things.Where(thingByName)
	page, err := q.Limit(4).Page(ctx, db)
	require.NoError(t, err)
	rest := q.Cursor(page.Next)
	require.Equal(t, []text{"004", "005", "006", "007", "008", "009"}, collect(t, rest.IDs(ctx, db)))
	n, err := rest.Count(ctx, db)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	first, err := rest.First(ctx, db)
	require.NoError(t, err)
	require.Equal(t, text("004"), first.ID)

	page, err = rest.Limit(4).Page(ctx, db)
	require.NoError(t, err)
	before := q.Cursor(page.Prev)
	require.Equal(t, []text{"003", "002", "001", "000"}, collect(t, before.IDs(ctx, db)), "away from the position")
	first, err = before.First(ctx, db)
	require.NoError(t, err)
	require.Equal(t, text("003"), first.ID)
}

// Whatever a cursor says, a page of it is an error or has what the query
// could have given.
func FuzzPageCursor(f *testing.F) {
	ctx := context.Background()
	db := openThings(f, memoryStore(f, nil), nil, 30)
	queries := []tito.Query[thing, text]{
		things.Where(thingByTagRank.At("b").In(2, 3, 5)).Limit(2),
		things.Where(thingByTagRank.At("b").In(2, 3, 5)).Reverse().Limit(2),
		things.Where(thingByName.Gt("010").Lt("020")).Limit(3),
		things.Where(thingByNick.Null()).Limit(3),
		things.Scan().Limit(3),
	}
	allowed := make([]map[text]bool, len(queries))
	for i, q := range queries {
		for range 2 {
			page, err := q.Page(ctx, db)
			require.NoError(f, err)
			for _, c := range []string{page.Next, page.Prev} {
				raw, err := base64.RawURLEncoding.DecodeString(c)
				require.NoError(f, err)
				f.Add(i, raw)
				f.Add(i, append(raw, 0xFF))
				if c != "" {
					f.Add(i, raw[:len(raw)-1])
					f.Add(i, raw[:10])
				}
			}
			q = q.Cursor(page.Next)
		}
		allowed[i] = map[text]bool{}
		for _, id := range collect(f, queries[i].Limit(1000).IDs(ctx, db)) {
			allowed[i][id] = true
		}
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		if i < 0 || i >= len(queries) {
			return
		}
		if cursor := base64.RawURLEncoding.EncodeToString(raw); cursor != "" {
			page, err := queries[i].Cursor(cursor).Page(ctx, db)
			if err != nil {
				require.ErrorIs(t, err, tito.ErrBadCursor)
				return
			}
			for _, rec := range page.Items {
				require.True(t, allowed[i][rec.ID])
			}
			for _, c := range []string{page.Next, page.Prev} {
				_, err := queries[i].Cursor(c).Page(ctx, db)
				require.NoError(t, err)
			}
		}
	})
}
