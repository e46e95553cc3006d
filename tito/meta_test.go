package tito_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

// A revision never comes back, so that whoever has read a row cannot take a
// later state for the one that it knows: not even if the row was deleted and
// created again, at a clock that stands still.
func TestRevisionIsNeverUsedTwice(t *testing.T) {
	stores(t, requireNewRevisions)
	embedded(t, func(t *testing.T, open openStore) { // and while no time passes
		synctest.Test(t, func(t *testing.T) { requireNewRevisions(t, open) })
	})
}

func requireNewRevisions(t *testing.T, open openStore) {
	db := openDocs(t, open, nil)
	seen := map[uint64]bool{}
	var last uint64
	for _, writes := range []int{5, 4, 3, 0, 1, 2} {
		var revision uint64
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.DeleteMany(ctx, tx, []string{"a"}, nil)
			require.NoError(t, err)
			d, err := docs.Create(ctx, tx, &Doc{ID: "a"}, nil)
			require.NoError(t, err)
			revision = d.Meta.Revision
			for range writes {
				d, err := docs.Put(ctx, tx, &Doc{ID: "a"}, nil)
				require.NoError(t, err)
				revision = d.Meta.Revision
			}
		})
		m, err := docs.Meta(t.Context(), db, "a")
		require.NoError(t, err)
		require.Equal(t, revision, m.Revision)
		require.False(t, seen[revision], "revision %d stands for two states", revision)
		require.Greater(t, revision, last)
		seen[revision], last = true, revision
	}
}

// Every transaction that writes a row gives it a new revision, and all its
// writes the same.
func TestRevisionIsOfTransaction(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		db := openDocs(t, open, nil)
		var first uint64
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			a, err := docs.Create(ctx, tx, &Doc{ID: "a"}, nil)
			require.NoError(t, err)
			first = a.Meta.Revision
			a, err = docs.Update(ctx, tx, a, &tito.WriteOptions{Expect: first})
			require.NoError(t, err)
			require.Equal(t, first, a.Meta.Revision)
			require.NoError(t, docs.Delete(ctx, tx, "a", &tito.WriteOptions{Expect: first}))
			_, err = docs.Create(ctx, tx, a, nil)
			require.NoError(t, err)
		})
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			a, err := docs.Put(ctx, tx, &Doc{ID: "a"}, &tito.WriteOptions{Expect: first})
			require.NoError(t, err)
			require.Greater(t, a.Meta.Revision, first)
		})
		ctx := context.Background()
		stale := &tito.WriteOptions{Expect: first}
		for name, write := range map[string]func(tx *tito.Tx) error{
			"put":    func(tx *tito.Tx) error { _, err := docs.Put(ctx, tx, &Doc{ID: "a"}, stale); return err },
			"update": func(tx *tito.Tx) error { _, err := docs.Update(ctx, tx, &Doc{ID: "a"}, stale); return err },
			"patch": func(tx *tito.Tx) error {
				_, err := docs.Patch(ctx, tx, "a", func(*Doc) error { return errors.New("called in vain") }, stale)
				return err
			},
			"delete": func(tx *tito.Tx) error { return docs.Delete(ctx, tx, "a", stale) },
		} {
			var row *tito.RowError
			err := db.Update(ctx, write)
			require.ErrorIs(t, err, tito.ErrStale, name)
			require.ErrorAs(t, err, &row, name)
			require.Equal(t, "a", row.ID, name)
			require.Equal(t, "docs", row.Table, name)
		}
		_, err := docs.Meta(ctx, db, "none")
		require.ErrorIs(t, err, tito.ErrNotFound)
	})
}

func TestTimesOfRow(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) { requireTimes(t, open, func() {}) })
	embedded(t, func(t *testing.T, open openStore) { // to the nanosecond
		synctest.Test(t, func(t *testing.T) {
			requireTimes(t, open, func() {
				time.Sleep(time.Hour + time.Nanosecond) //nolint:forbidigo // it moves the bubble's clock
			})
		})
	})
}

// requireTimes calls pass before each write.
func requireTimes(t *testing.T, open openStore, pass func()) {
	db := openDocs(t, open, nil)
	var before, after time.Time // of the latest write
	write := func(fn func(ctx context.Context, tx *tito.Tx) (*Doc, error)) tito.Meta {
		pass()
		before = time.Now().UTC().Round(0)
		var got *Doc
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			var err error
			got, err = fn(ctx, tx)
			require.NoError(t, err)
		})
		after = time.Now().UTC().Round(0)
		read, err := docs.Get(t.Context(), db, "a")
		require.NoError(t, err)
		require.Equal(t, got, read)
		m, err := docs.Meta(t.Context(), db, "a")
		require.NoError(t, err)
		require.Equal(t, m, got.Meta)
		return m
	}
	lie := tito.Meta{Revision: 77, Created: time.Unix(1, 0), Updated: time.Unix(2, 0)}
	m := write(func(ctx context.Context, tx *tito.Tx) (*Doc, error) {
		return docs.Create(ctx, tx, &Doc{ID: "a", Meta: lie}, nil)
	})
	start := m.Created
	require.WithinRange(t, start, before, after)
	require.Equal(t, start, m.Updated)
	for _, fn := range []func(ctx context.Context, tx *tito.Tx) (*Doc, error){
		func(ctx context.Context, tx *tito.Tx) (*Doc, error) {
			return docs.Update(ctx, tx, &Doc{ID: "a", Meta: lie}, nil)
		},
		func(ctx context.Context, tx *tito.Tx) (*Doc, error) { return docs.Put(ctx, tx, &Doc{ID: "a"}, nil) },
		func(ctx context.Context, tx *tito.Tx) (*Doc, error) {
			return docs.Patch(ctx, tx, "a", func(d *Doc) error { d.Meta = lie; return nil }, nil)
		},
	} {
		m = write(fn)
		require.Equal(t, start, m.Created, "it survives updates")
		require.WithinRange(t, m.Updated, before, after)
	}
	update(t, db, func(ctx context.Context, tx *tito.Tx) { require.NoError(t, docs.Delete(ctx, tx, "a", nil)) })
	m = write(func(ctx context.Context, tx *tito.Tx) (*Doc, error) { return docs.Create(ctx, tx, &Doc{ID: "a"}, nil) })
	require.WithinRange(t, m.Created, before, after, "it is another row")
}
