package tito_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// Each size limit is kept to the byte, and passing it by one writes nothing.
func TestLimitsOfRows(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		db, err := tito.Open(ctx, store, nil, docs)
		require.NoError(t, err)
		limits := store.Info().Limits
		text := func(n int) string { return strings.Repeat("x", n) }
		// The prefix of the rows has 5 bytes, that of an index 7; text has 3 more.
		const component = 3
		idRoom := limits.MaxKeySize - 5 - component
		// Of all entries the longest is that of the index kind: two fields and the id.
		size := func(id, kind int) *Doc { return &Doc{ID: text(id), Kind: text(kind), Email: fmt.Sprint(id, kind)} }
		cases := []struct {
			name       string
			fits, over *Doc
			err        error
			message    string
		}{
			{"id", nil, size(idRoom+1, 0), kv.ErrKeyTooLarge, "primary key"},
			{"id in an entry", size(idRoom-2-component-1, 0), size(idRoom-2-component, 0), kv.ErrKeyTooLarge, `index "kind"`},
			{"indexed value", size(1, limits.MaxKeySize-7-2*component-1-1), size(1, limits.MaxKeySize-7-2*component-1), kv.ErrKeyTooLarge, `index "kind"`},
			{"unique value", &Doc{ID: "u", Email: text(limits.MaxKeySize - 7 - component)}, &Doc{ID: "u", Email: text(limits.MaxKeySize - 7 - component + 1)},
				kv.ErrKeyTooLarge, `index "email"`},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				before := dump(t, store, "")
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := docs.CreateMany(ctx, tx, []*Doc{{ID: "fine", Email: "fine"}, c.over}, nil)
					require.ErrorIs(t, err, c.err)
					require.ErrorContains(t, err, c.message)
					_, err = docs.Put(ctx, tx, c.over, nil)
					require.ErrorIs(t, err, c.err)
				})
				require.Equal(t, before, dump(t, store, ""))
				if c.fits == nil {
					return
				}
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := docs.Create(ctx, tx, c.fits, nil)
					require.NoError(t, err)
				})
				got, err := docs.Get(ctx, db, c.fits.ID)
				require.NoError(t, err)
				require.Equal(t, c.fits.Kind, got.Kind)
			})
		}
		// An id that no row can have is not found, whatever asks.
		long := text(limits.MaxKeySize)
		_, err = docs.Get(ctx, db, long)
		require.ErrorIs(t, err, tito.ErrNotFound)
		many, err := docs.GetMany(ctx, db, []string{long})
		require.NoError(t, err)
		require.Equal(t, []*Doc{nil}, many)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			require.ErrorIs(t, docs.Delete(ctx, tx, long, nil), tito.ErrNotFound)
		})
		checkStore(t, store, "", docCheck)
	})
}

func TestLimitOfValue(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		db, err := tito.Open(ctx, store, nil, docs)
		require.NoError(t, err)
		create := func(note int) error {
			return db.Update(ctx, func(tx *tito.Tx) error {
				_, err := docs.Put(ctx, tx, &Doc{ID: "a", Note: strings.Repeat("x", note)}, nil)
				return err
			})
		}
		require.NoError(t, create(1000))
		overhead := len(dump(t, store, "")["t\x20\x21\x01r\x48a\x00\x01"]) - 1000
		room := store.Info().Limits.MaxValueSize - overhead
		err = create(room + 100) // for updated - created grows by some bytes
		require.ErrorIs(t, err, kv.ErrValueTooLarge)
		var row *tito.RowError
		require.ErrorAs(t, err, &row)
		require.NoError(t, create(room-100))
		checkStore(t, store, "", docCheck)
	})
}

// A transaction that grew too large cannot commit a part of a record.
func TestLimitOfTransaction(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		const limit = 20_000
		store := open(t, &kv.Options{MaxTxnSize: limit})
		db, err := tito.Open(ctx, store, nil, docs)
		require.NoError(t, err)
		before, errFits := dump(t, store, ""), errors.New("it fits")
		fits, over := 0, 0
		for size := limit - 3000; size < limit-len("filler"); size += 13 { // every place in a record's writes
			err := db.Update(ctx, func(tx *tito.Tx) error {
				require.NoError(t, tx.KV().Set([]byte("filler"), make([]byte, size)))
				d := &Doc{ID: "a", Email: "1", Tags: []string{"x", "y", "z"}, Slots: []int64{1, 2, 3}, Note: strings.Repeat("n", 100)}
				_, err := docs.Create(ctx, tx, d, nil)
				if err == nil {
					fits++
					return errFits
				}
				over++
				require.ErrorIs(t, err, kv.ErrTxnTooLarge)
				return nil // the caller overlooks it
			})
			if !errors.Is(err, errFits) {
				require.ErrorIs(t, err, kv.ErrTxnTooLarge)
			}
			require.Equal(t, before, dump(t, store, ""))
		}
		require.Positive(t, fits)
		require.Greater(t, over, 20)
	})
}

func TestLimitOfEntries(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		db, err := tito.Open(ctx, store, nil, docs)
		require.NoError(t, err)
		before := dump(t, store, "")
		tags := func(n int) []string {
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprint(i)
			}
			return all
		}
		slots := func(n int) []int64 {
			all := make([]int64, n)
			for i := range all {
				all[i] = int64(i)
			}
			return all
		}
		for index, d := range map[string]*Doc{
			"tag": {ID: "a", Tags: tags(tito.MaxEntries + 1)},
			"all": {ID: "a", Tags: tags(tito.MaxEntries / 8), Slots: slots(9)},
		} {
			err := db.Update(ctx, func(tx *tito.Tx) error { _, err := docs.Create(ctx, tx, d, nil); return err })
			require.ErrorIs(t, err, tito.ErrTooManyEntries, index)
			require.ErrorContains(t, err, fmt.Sprintf(`table "docs", row a: %v: index %q, more than 4096`, tito.ErrTooManyEntries, index))
			require.Equal(t, before, dump(t, store, ""))
		}
		huge := make([]string, 1<<20) // whose product with itself nobody waits for
		err = db.Update(ctx, func(tx *tito.Tx) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: "a", Tags: huge, Slots: make([]int64, 1<<20)}, nil)
			return err
		})
		require.ErrorIs(t, err, tito.ErrTooManyEntries)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.Create(ctx, tx, &Doc{ID: "a", Tags: tags(tito.MaxEntries / 8), Slots: slots(8)}, nil)
			require.NoError(t, err)
		})
		checkStore(t, store, "", docCheck)
	})
}
