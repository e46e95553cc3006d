package tito_test

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

// A song has fields within fields.
type song struct {
	ID      string
	Artist  string
	Album   string
	Title   string
	Label   *string
	Credits *credits
	Writers []*string // nil for one whose name is not known
}

type credits struct{ Players []string }

var (
	songID      = tito.StringID(func(s *song) *string { return &s.ID })
	songArtist  = tito.String(func(s *song) string { return s.Artist })
	songAlbum   = tito.String(func(s *song) string { return s.Album })
	songTitle   = tito.String(func(s *song) string { return s.Title })
	songLabel   = func(s *song) *string { return s.Label }
	songPlayers = tito.Opt(func(s *song) *credits { return s.Credits }, tito.Strings(func(c *credits) []string { return c.Players }))
	songWriters = tito.Each(func(s *song) []*string { return s.Writers },
		tito.Opt(func(w **string) *string { return *w }, tito.String(tito.Self[string])))
)

// openSongs returns a table of songs with one index, in a database with the songs.
func openSongs(t *testing.T, by tito.AnyIndex[song], all ...*song) (*tito.Table[song, string], *tito.DB) {
	t.Helper()
	ctx := context.Background()
	table := tito.Define(tito.Schema[song, string]{Table: "songs", ID: songID, Indexes: tito.Indexes(by)})
	db, err := tito.Open(ctx, memoryStore(t, nil), &tito.Options{Strict: true}, table)
	require.NoError(t, err)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		_, err := table.CreateMany(ctx, tx, all, nil)
		return err
	}))
	return table, db
}

// A multi-value field in a value that may be missing: the record without it has a null
// entry, one with an empty list has none.
func TestOptOverEach(t *testing.T) {
	by := tito.Index("players", songPlayers, nil)
	table, db := openSongs(t, by,
		&song{ID: "1"},
		&song{ID: "2", Credits: &credits{}},
		&song{ID: "3", Credits: &credits{Players: []string{"max", "sonny"}}})
	ctx := context.Background()
	require.Equal(t, []string{"1"}, collect(t, table.Where(by.Null()).IDs(ctx, db)))
	require.Equal(t, []string{"1", "3"}, collect(t, table.Where(by).IDs(ctx, db)), "null comes first")
	require.Equal(t, []string{"3"}, collect(t, table.Where(by.Eq("sonny")).IDs(ctx, db)))
	require.Equal(t, []string{"3"}, collect(t, table.Where(by.Ge("")).IDs(ctx, db)), "null is in no range")
}

// Values that may be missing, of a list: each missing one gives a null entry, which
// does not collide in a unique index.
func TestEachOverOpt(t *testing.T) {
	by := tito.Index("writers", songWriters, &tito.IndexOptions[song]{Unique: true})
	table, db := openSongs(t, by,
		&song{ID: "1", Writers: []*string{nil, ptr("cole"), nil}},
		&song{ID: "2", Writers: []*string{nil, ptr("ira")}},
		&song{ID: "3"})
	ctx := context.Background()
	require.Equal(t, []string{"1", "2"}, collect(t, table.Where(by.Null()).IDs(ctx, db)))
	require.Equal(t, []string{"2"}, collect(t, table.Where(by.Eq("ira")).IDs(ctx, db)))
	err := db.Update(ctx, func(tx *tito.Tx) error {
		_, err := table.Create(ctx, tx, &song{ID: "4", Writers: []*string{ptr("ira")}}, nil)
		return err
	})
	require.ErrorIs(t, err, tito.ErrDuplicate)
}

// A null of a descending field comes last, wherever Desc stands.
func TestOptOfDescending(t *testing.T) {
	for name, field := range map[string]tito.Field[song, string]{
		"Opt over Desc":     tito.Opt(songLabel, tito.String(tito.Self[string]).Desc()),
		"Opt and then Desc": tito.Opt(songLabel, tito.String(tito.Self[string])).Desc(),
	} {
		t.Run(name, func(t *testing.T) {
			by := tito.Index("label", field, nil)
			table, db := openSongs(t, by, &song{ID: "1"}, &song{ID: "2", Label: ptr("blue")}, &song{ID: "3", Label: ptr("red")}, &song{ID: "4", Label: ptr("")})
			ctx := context.Background()
			require.Equal(t, []string{"3", "2", "4", "1"}, collect(t, table.Where(by).IDs(ctx, db)))
			require.Equal(t, []string{"1"}, collect(t, table.Where(by.Null()).IDs(ctx, db)))
			require.Equal(t, []string{"2", "4"}, collect(t, table.Where(by.Le("blue")).IDs(ctx, db)))
			require.Equal(t, []string{"4"}, collect(t, table.Where(by.Eq("")).IDs(ctx, db)))
		})
	}
}

// A null in any field keeps an entry of a unique index from colliding.
func TestNullInLaterFieldDoesNotCollide(t *testing.T) {
	label := tito.Opt(songLabel, tito.String(tito.Self[string]))
	for name, desc := range map[string]tito.Field[song, string]{"ascending": label, "descending": label.Desc()} {
		t.Run(name, func(t *testing.T) {
			by := tito.Index3("by", songArtist, songTitle, desc, &tito.IndexOptions[song]{Unique: true})
			table, db := openSongs(t, by,
				&song{ID: "1", Artist: "a", Title: "t"}, &song{ID: "2", Artist: "a", Title: "t"}, &song{ID: "3", Artist: "a", Title: "t", Label: ptr("")})
			ctx := context.Background()
			require.Equal(t, []string{"1", "2"}, collect(t, table.Where(by.At2("a", "t").Null()).IDs(ctx, db)))
			one, err := table.Where(by.Eq("a", "t", "")).One(ctx, db)
			require.NoError(t, err)
			require.Equal(t, "3", one.ID)
			err = db.Update(ctx, func(tx *tito.Tx) error {
				_, err := table.Create(ctx, tx, &song{ID: "4", Artist: "a", Title: "t", Label: ptr("")}, nil)
				return err
			})
			require.ErrorIs(t, err, tito.ErrDuplicate)
		})
	}
}

func TestHasPrefixInEachPosition(t *testing.T) {
	all := []*song{
		{ID: "1", Artist: "ella", Album: "live", Title: "summer"}, {ID: "2", Artist: "ella", Album: "live", Title: "summertime"},
		{ID: "3", Artist: "ella", Album: "live", Title: "sun"}, {ID: "4", Artist: "ella", Album: "lives", Title: "summer"},
		{ID: "5", Artist: "ellas", Album: "live", Title: "summer"},
	}
	ctx := context.Background()
	asc := tito.Index3("by", songArtist, songAlbum, songTitle, nil)
	desc := tito.Index3("by", songArtist.Desc(), songAlbum.Desc(), songTitle.Desc(), nil)
	for _, by := range []tito.By3[song, string, string, string]{asc, desc} {
		table, db := openSongs(t, by, all...)
		ids := func(c tito.Condition[song]) []string { return collect(t, table.Where(c).IDs(ctx, db)) }
		require.ElementsMatch(t, []string{"1", "2"}, ids(by.At2("ella", "live").HasPrefix("summ")))
		require.ElementsMatch(t, []string{"1", "2", "3"}, ids(by.At2("ella", "live").HasPrefix("")))
		require.ElementsMatch(t, []string{"1", "2", "3", "4"}, ids(by.At("ella").HasPrefix("live")))
		require.ElementsMatch(t, []string{"1", "2", "3", "4", "5"}, ids(by.HasPrefix("ella")))
		require.Empty(t, ids(by.At2("ella", "live").HasPrefix("t")))
	}
}

// A cursor whose position was altered to one that the query cannot have is refused.
func TestCursorOutsideOfRange(t *testing.T) {
	ctx := context.Background()
	db := openThings(t, memoryStore(t, nil), nil, 30)
	raw := func(q tito.Query[thing, text]) []byte {
		page, err := q.Limit(2).Page(ctx, db)
		require.NoError(t, err)
		b, err := base64.RawURLEncoding.DecodeString(page.Next)
		require.NoError(t, err)
		return b
	}
	const head = 10 // format, side and fingerprint
	all := raw(things.Where(thingByTagRank.At("b")))
	all9 := raw(things.Where(thingByTagRank.At("b").Eq(9)))
	for name, q := range map[string]tito.Query[thing, text]{
		"a range":         things.Where(thingByTagRank.At("b").Lt(5)), // the rank descends
		"a range reverse": things.Where(thingByTagRank.At("b").Lt(5)).Reverse(),
		"In":              things.Where(thingByTagRank.At("b").In(1, 3, 8)),
	} {
		own := raw(q)
		for _, other := range [][]byte{all, all9} {
			_, err := q.Cursor(base64.RawURLEncoding.EncodeToString(append(own[:head:head], other[head:]...))).Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrBadCursor, name)
			require.ErrorContains(t, err, "outside", name)
		}
		_, err := q.Cursor(base64.RawURLEncoding.EncodeToString(own)).Page(ctx, db)
		require.NoError(t, err)
	}
}
