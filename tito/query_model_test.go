package tito_test

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/tito"
)

// world is a database beside what it should hold.
type world struct {
	db   *tito.DB
	tx   *tito.Tx // of a dirty transaction, or nil
	rows map[text]*thing
}

// newWorlds returns a function that opens an empty database of its own for each
// run of a property, all in one store.
func newWorlds(t *testing.T, open openStore) func(t require.TestingT) *world {
	store := open(t, nil)
	var n uint64
	return func(t require.TestingT) *world {
		n++
		prefix := binary.BigEndian.AppendUint64(nil, n)
		db, err := tito.Open(context.Background(), store, &tito.Options{Prefix: prefix, Strict: true}, things)
		require.NoError(t, err)
		return &world{db: db, rows: map[text]*thing{}}
	}
}

func (w *world) reader() tito.Reader {
	if w.tx != nil {
		return w.tx
	}
	return w.db
}

func (w *world) update(fn func(tx *tito.Tx) error) error {
	if w.tx != nil {
		return fn(w.tx)
	}
	return w.db.Update(context.Background(), fn)
}

// change writes or deletes up to n random rows.
func (w *world) change(t *rapid.T, n int) {
	ctx := context.Background()
	for range rapid.IntRange(0, n).Draw(t, "changes") {
		id := rapid.SampledFrom(ids).Draw(t, "id")
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			err := w.update(func(tx *tito.Tx) error { return things.Delete(ctx, tx, id, nil) })
			if w.rows[id] == nil {
				require.ErrorIs(t, err, tito.ErrNotFound)
			} else {
				require.NoError(t, err)
			}
			delete(w.rows, id)
			continue
		}
		rec := drawThing(t, id)
		err := w.update(func(tx *tito.Tx) error {
			_, err := things.Put(ctx, tx, rec, nil)
			return err
		})
		if errors.Is(err, tito.ErrDuplicate) {
			continue
		}
		require.NoError(t, err)
		w.rows[id] = rec
	}
}

// question is a query beside what it means.
type question struct {
	tito.Query[thing, text]
	index   *thingIndex
	reverse bool
	answer  func() []found // the records in order
}

func (w *world) draw(t *rapid.T) question {
	all := append(thingIndexes(), &thingIndex{name: "scan", values: func(*thing) [][]any { return nil }})
	q := question{index: rapid.SampledFrom(all).Draw(t, "index")}
	matches := anyEntry
	if q.index.draw == nil {
		q.Query = things.Scan()
	} else {
		var c tito.Condition[thing]
		c, matches = q.index.draw(t)
		q.Query = things.Where(c)
	}
	if q.reverse = rapid.Bool().Draw(t, "reverse"); q.reverse {
		q.Query = q.Reverse()
	}
	q.answer = func() []found { return q.index.find(w.rows, matches, q.reverse) }
	return q
}

func (ix *thingIndex) String() string { return ix.name }

func rowsFound(all []found) []string {
	s := make([]string, len(all))
	for i, f := range all {
		s[i] = f.rec.String()
	}
	return s
}

func rowsRead(recs []*thing) []string {
	s := make([]string, len(recs))
	for i, rec := range recs {
		s[i] = rec.String()
	}
	return s
}

func collect[V any](t require.TestingT, seq iter.Seq2[V, error]) []V {
	all := []V{}
	for v, err := range seq {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// check compares all forms of one random query with the reference.
func (w *world) check(t *rapid.T) {
	ctx, r := context.Background(), w.reader()
	question := w.draw(t)
	q, want := question.Query, question.answer()
	if limit := rapid.IntRange(0, 5).Draw(t, "limit"); limit > 0 {
		q = q.Limit(limit)
		want = want[:min(limit, len(want))]
	}
	require.Equal(t, rowsFound(want), rowsRead(collect(t, q.All(ctx, r))), "All")
	wantIDs := []text{}
	for _, f := range want {
		wantIDs = append(wantIDs, f.rec.ID)
	}
	require.Equal(t, wantIDs, collect(t, q.IDs(ctx, r)), "IDs")
	n, err := q.Count(ctx, r)
	require.NoError(t, err)
	require.Equal(t, len(want), n, "Count")

	first, err := q.First(ctx, r)
	if len(want) == 0 {
		require.ErrorIs(t, err, tito.ErrNotFound)
	} else {
		require.NoError(t, err)
		require.Equal(t, want[0].rec.String(), first.String(), "First")
	}
	one, err := q.One(ctx, r)
	switch len(want) {
	case 0:
		require.ErrorIs(t, err, tito.ErrNotFound)
	case 1:
		require.NoError(t, err)
		require.Equal(t, want[0].rec.String(), one.String(), "One")
	default:
		require.ErrorIs(t, err, tito.ErrMultiple)
	}
}

// place is where a page ended.
type place struct {
	found
	back      bool // the next page is that before it
	inclusive bool // which may have the record itself
}

// beside returns which of all, in the query's order, lie beyond the place.
func (p *place) beside(all []found, ix *thingIndex, reverse bool) []found {
	return slices.DeleteFunc(slices.Clone(all), func(f found) bool {
		c := ix.comparePlaces(f, p.found)
		if reverse != p.back {
			c = -c
		}
		return c < 0 || c == 0 && !p.inclusive
	})
}

// browse turns pages forwards and backwards, while rows come, go and change,
// and compares each with what lies beside the last one's end.
func (w *world) browse(t *rapid.T, changes int) {
	ctx := context.Background()
	q := w.draw(t)
	cursor, from := "", place{}
	for range rapid.IntRange(1, 12).Draw(t, "pages") {
		size := rapid.IntRange(1, 4).Draw(t, "size")
		page, err := q.Limit(size).Cursor(cursor).Page(ctx, w.reader())
		require.NoError(t, err)
		ahead := q.answer()
		if cursor != "" {
			ahead = from.beside(ahead, q.index, q.reverse)
		}
		want, more := ahead, len(ahead) > size
		switch {
		case more && from.back:
			want = ahead[len(ahead)-size:]
		case more:
			want = ahead[:size]
		}
		require.Equal(t, rowsFound(want), rowsRead(page.Items))
		require.Equal(t, more || from.back, page.Next != "", "Next")
		require.Equal(t, cursor != "" && (more || !from.back), page.Prev != "", "Prev")

		back := page.Prev != "" && (page.Next == "" || rapid.Bool().Draw(t, "back"))
		to := place{back: back}
		switch {
		case len(want) == 0: // the other way from the same place
			to.found, to.inclusive = from.found, !from.inclusive
		case back:
			to.found = want[0]
		default:
			to.found = want[len(want)-1]
		}
		cursor, from = page.Next, to
		if back {
			cursor = page.Prev
		}
		w.change(t, changes)
	}
}

// The same questions are put to committed rows, to a transaction that has
// changed them, and after that has ended.
func TestQueriesAgreeWithModel(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		newWorld := newWorlds(t, open)
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			w.phases(t, func() {
				for range 3 {
					w.check(t)
				}
			})
		})
	})
}

func TestPagesAgreeWithModel(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		newWorld := newWorlds(t, open)
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			changes := rapid.IntRange(0, 3).Draw(t, "changes between pages")
			w.phases(t, func() { w.browse(t, changes) })
		})
	})
}

// phases calls fn in each state that rows can be read in.
func (w *world) phases(t *rapid.T, fn func()) {
	ctx := context.Background()
	w.change(t, 12)
	fn()
	before := maps.Clone(w.rows)
	tx, err := w.db.Begin(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback()
	w.tx = tx
	w.change(t, 12)
	fn()
	w.tx = nil
	if rapid.Bool().Draw(t, "commit") {
		require.NoError(t, tx.Commit(ctx))
	} else {
		tx.Rollback()
		w.rows = before
	}
	fn()
	require.Zero(t, w.db.StaleEntries())
}
