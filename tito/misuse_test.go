package tito_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// release is text that sorts by a rule of its own.
type release string

func (r release) AppendKey(dst []byte) []byte { return append(dst, r...) }

type build struct {
	ID      string
	Release release
	Prev    *string
	Before  *build `json:"-"`
}

const buildT tito.Name[build, string] = "builds"

var (
	buildByRelease = tito.Index("by_release", tito.Custom(func(b *build) release { return b.Release }), nil)
	buildByText    = tito.Index("by_text", tito.String(func(b *build) release { return b.Release }), nil)
	buildStranger  = tito.Index("by_text", tito.String(func(b *build) release { return b.Release }), nil)
	buildBefore    = tito.One("before", buildT, func(b *build) *string { return b.Prev },
		func(b, before *build) { b.Before = before })
	builds = tito.Define(buildSchema())
)

func buildSchema() tito.Schema[build, string] {
	return tito.Schema[build, string]{
		Table: buildT, ID: tito.StringID(func(b *build) *string { return &b.ID }),
		Indexes:   tito.Indexes(buildByRelease, buildByText),
		Relations: tito.Relations(buildBefore),
	}
}

func openBuilds(t *testing.T, ids ...string) *tito.DB {
	ctx := context.Background()
	db, err := tito.Open(ctx, memoryStore(t, nil), nil, builds)
	require.NoError(t, err)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		for _, id := range ids {
			if _, err := builds.Create(ctx, tx, &build{ID: id, Release: release(id)}, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	return db
}

// What was not made from an index must not turn into a scan of the table.
func TestQueryRefusesWhatNoIndexServes(t *testing.T) {
	ctx := context.Background()
	db := openBuilds(t, "1", "2")
	var (
		noBy1      tito.By1[build, string]
		noBy2      tito.By2[build, string, int]
		noBy3      tito.By3[build, string, int, bool]
		noColumn   tito.Column[build, string]
		noInterval tito.Interval[build, string]
	)
	for name, c := range map[string]tito.Condition[build]{
		"nil":                  nil,
		"By1":                  noBy1,
		"By1 Eq":               noBy1.Eq("a"),
		"By1 Null":             noBy1.Null(),
		"By2":                  noBy2,
		"By2 Eq":               noBy2.Eq("a", 1),
		"By2 At":               noBy2.At("a"),
		"By3 Eq":               noBy3.Eq("a", 1, true),
		"By3 At2":              noBy3.At2("a", 1).In(true),
		"Column":               noColumn,
		"Column In":            noColumn.In(),
		"Column Ge":            noColumn.Ge("a"),
		"Interval":             noInterval,
		"Interval Lt":          noInterval.Lt("a"),
		"Entries":              tito.Entries[build]{},
		"HasPrefix":            noColumn.HasPrefix("a"),
		"of an index not here": buildStranger.Eq("1"),
		"prefix of non-text":   buildByRelease.HasPrefix("1"),
		"null of non-null":     buildByText.Null(),
	} {
		t.Run(name, func(t *testing.T) {
			q := builds.Where(c)
			_, err := q.Limit(3).Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery)
			_, err = q.Count(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery)
			_, err = q.Reverse().First(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery)
			n := 0
			for rec, err := range q.All(ctx, db) {
				require.Nil(t, rec)
				require.ErrorIs(t, err, tito.ErrQuery)
				n++
			}
			for _, err := range q.IDs(ctx, db) {
				require.ErrorIs(t, err, tito.ErrQuery)
				n++
			}
			require.Equal(t, 2, n)
		})
	}
	t.Run("query", func(t *testing.T) {
		var q tito.Query[build, string]
		_, err := q.Limit(1).Page(ctx, db)
		require.ErrorIs(t, err, tito.ErrQuery)
		_, err = q.One(ctx, db)
		require.ErrorIs(t, err, tito.ErrQuery)
	})
	t.Run("limit", func(t *testing.T) {
		for _, n := range []int{0, -1} {
			_, err := builds.Scan().Limit(n).Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery)
			_, err = builds.Scan().Limit(n).Limit(5).Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery, "a mistake stays one")
		}
	})
	t.Run("table of another database", func(t *testing.T) {
		_, err := tito.Define(buildSchema()).Scan().Count(ctx, db)
		require.ErrorIs(t, err, tito.ErrNotRegistered)
	})
}

func TestOpenRefusesBrokenDefinitions(t *testing.T) {
	for name, change := range map[string]func(s *tito.Schema[build, string]){
		"codec with an id of Tito's": func(s *tito.Schema[build, string]) { s.Codec = struct{ tito.Codec }{tito.JSON()} },
		"nil index":                  func(s *tito.Schema[build, string]) { s.Indexes = tito.Indexes[build](nil) },
		"zero index":                 func(s *tito.Schema[build, string]) { s.Indexes = tito.Indexes[build](tito.By1[build, int]{}) },
		"unnamed index":              func(s *tito.Schema[build, string]) { s.Indexes = tito.Indexes[build](tito.Index("", idField(), nil)) },
		"zero field":                 func(s *tito.Schema[build, string]) { s.Indexes = indexOver(tito.Field[build, int]{}) },
		"desc of zero":               func(s *tito.Schema[build, string]) { s.Indexes = indexOver(tito.Field[build, int]{}.Desc()) },
		"without getter":             func(s *tito.Schema[build, string]) { s.Indexes = indexOver(tito.String[build, string](nil)) },
		"Opt of zero": func(s *tito.Schema[build, string]) {
			s.Indexes = indexOver(tito.Opt(func(b *build) *string { return b.Prev }, tito.Field[string, string]{}))
		},
		"Opt without getter": func(s *tito.Schema[build, string]) {
			s.Indexes = indexOver(tito.Opt[build](nil, tito.String(tito.Self[string])))
		},
		"Each of zero": func(s *tito.Schema[build, string]) {
			s.Indexes = indexOver(tito.Each(func(*build) []string { return nil }, tito.Field[string, string]{}))
		},
		"Each without getter": func(s *tito.Schema[build, string]) { s.Indexes = indexOver(tito.Strings[build, string](nil)) },
		"nil relation":        func(s *tito.Schema[build, string]) { s.Relations = tito.Relations[build](nil) },
		"zero relation": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations[build](tito.RelationTo[build, build, string]{})
		},
		"unnamed relation": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations(tito.One("", buildT, func(b *build) *string { return b.Prev }, func(b, before *build) { b.Before = before }))
		},
		"One without id": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations(tito.One("before", buildT, nil, func(b, before *build) { b.Before = before }))
		},
		"One without set": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations(tito.One("before", buildT, func(b *build) *string { return b.Prev }, nil))
		},
		"Many without ids": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations(tito.Many("before", buildT, nil, func(*build, []*build) {}))
		},
		"Many without set": func(s *tito.Schema[build, string]) {
			s.Relations = tito.Relations(tito.Many("before", buildT, func(*build) []string { return nil }, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := buildSchema()
			change(&s)
			_, err := tito.Open(context.Background(), memoryStore(t, nil), nil, tito.Define(s))
			require.ErrorIs(t, err, tito.ErrSchema)
		})
	}
}

func idField() tito.Field[build, string] {
	return tito.String(func(b *build) string { return b.ID })
}

func indexOver[V any](f tito.Field[build, V]) []tito.AnyIndex[build] {
	return tito.Indexes[build](tito.Index("by_it", f, nil))
}

func TestRangesFromNaNAreEmpty(t *testing.T) {
	type reading struct {
		ID    int
		Value float64
	}
	id := tito.IntID(func(r *reading) *int { return &r.ID })
	value := tito.Float(func(r *reading) float64 { return r.Value })
	for name, byValue := range map[string]tito.By1[reading, float64]{
		"ascending":  tito.Index("by_value", value, nil),
		"descending": tito.Index("by_value", value.Desc(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, err := memory.Open(nil)
			require.NoError(t, err)
			defer func() { require.NoError(t, store.Close()) }()
			table := tito.Define(tito.Schema[reading, int]{Table: "readings", ID: id, Indexes: tito.Indexes(byValue)})
			db, err := tito.Open(ctx, store, nil, table)
			require.NoError(t, err)
			require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
				_, err := table.Create(ctx, tx, &reading{1, -1}, nil)
				return err
			}))
			for _, c := range []tito.Condition[reading]{
				byValue.Ge(math.NaN()), byValue.Gt(math.NaN()), byValue.Le(math.NaN()), byValue.Lt(math.NaN()),
				byValue.Ge(-5).Le(math.NaN()), byValue.Le(math.NaN()).Ge(-5),
			} {
				n, err := table.Where(c).Count(ctx, db)
				require.NoError(t, err)
				require.Zero(t, n)
			}
		})
	}
}
