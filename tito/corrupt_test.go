package tito_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// docAccess is every way to a row that exists.
func docAccess() map[string]func(ctx context.Context, tx *tito.Tx) error {
	return map[string]func(ctx context.Context, tx *tito.Tx) error{
		"get": func(ctx context.Context, tx *tito.Tx) error { _, err := docs.Get(ctx, tx, "a"); return err },
		"get many": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.GetMany(ctx, tx, []string{"b", "a"})
			return err
		},
		"meta": func(ctx context.Context, tx *tito.Tx) error { _, err := docs.Meta(ctx, tx, "a"); return err },
		"all": func(ctx context.Context, tx *tito.Tx) error {
			var last error
			for _, err := range docs.Scan().All(ctx, tx) {
				last = errors.Join(last, err)
			}
			return last
		},
		"index": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Where(docByEmail.Eq("1")).One(ctx, tx)
			return err
		},
		"put": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Put(ctx, tx, &Doc{ID: "a"}, nil)
			return err
		},
		"update": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Update(ctx, tx, &Doc{ID: "a"}, nil)
			return err
		},
		"update many": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.UpdateMany(ctx, tx, []*Doc{{ID: "b"}, {ID: "a", Email: "3"}}, nil)
			return err
		},
		"patch": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Patch(ctx, tx, "a", func(*Doc) error { return nil }, nil)
			return err
		},
		"delete": func(ctx context.Context, tx *tito.Tx) error { return docs.Delete(ctx, tx, "a", nil) },
		"delete many": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.DeleteMany(ctx, tx, []string{"b", "a"}, nil)
			return err
		},
	}
}

// A stored row that is cut at any byte, or has a byte changed, is an error that
// names table and id where it is noticed, changes nothing, and never a panic.
func TestDamagedRows(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	db, err := tito.Open(ctx, store, nil, docs)
	require.NoError(t, err)
	nick := "n"
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := docs.CreateMany(ctx, tx, []*Doc{{ID: "a", Email: "1", Nick: &nick, Tags: []string{"x", "y"}, Slots: []int64{7}}, {ID: "b", Email: "2"}}, nil)
		require.NoError(t, err)
	})
	key := []byte("t\x20\x21\x01r\x48a\x00\x01")
	good := []byte(dump(t, store, "")[string(key)])
	row, err := parseStored(good)
	require.NoError(t, err)
	header := len(good) - len(row.payload)

	// access damages the row and tries every way to it, without a commit.
	access := func(what string, value []byte, check func(name string, err error)) {
		for name, fn := range docAccess() {
			tx, err := db.Begin(ctx, nil)
			require.NoError(t, err)
			require.NoError(t, tx.KV().Set(key, value))
			size := tx.KV().Size()
			err = fn(ctx, tx)
			if name == "index" && errors.Is(err, tito.ErrNotFound) {
				err = nil // the row says that the entry is not its own, which is stale then
			}
			if err != nil {
				require.Equal(t, size, tx.KV().Size(), "%s of %s wrote in spite of its error", name, what)
				require.True(t, errors.Is(err, tito.ErrCorrupt) || errors.Is(err, tito.ErrDecode) || errors.Is(err, tito.ErrNewerSchema) || errors.Is(err, tito.ErrNewerFormat),
					"%s of %s: %v", name, what, err)
				var bad *tito.RowError
				require.ErrorAs(t, err, &bad, "%s of %s", name, what)
				require.Equal(t, "docs", bad.Table)
				require.Equal(t, any("a"), bad.ID)
			}
			check(name, err)
			tx.Rollback()
		}
	}
	headerOnly := func(name string) bool { // these do not decode the record
		switch name {
		case "meta", "put", "update", "update many", "delete", "delete many":
			return true
		}
		return false
	}
	for n := 1; n < len(good); n++ {
		what := fmt.Sprintf("a row cut to %d bytes", n)
		access(what, good[:n], func(name string, err error) {
			if n < header {
				require.ErrorIs(t, err, tito.ErrCorrupt, "%s of %s", name, what)
			} else if !headerOnly(name) {
				require.ErrorIs(t, err, tito.ErrDecode, "%s of %s", name, what)
			} else {
				require.NoError(t, err, "%s of %s", name, what)
			}
		})
	}
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			access(fmt.Sprintf("a row with byte %d flipped by %x", i, flip), bad, func(name string, err error) {
				switch {
				case i == 0 && bad[0] > 1:
					require.ErrorIs(t, err, tito.ErrNewerFormat)
				case i == 0:
					require.ErrorIs(t, err, tito.ErrCorrupt)
				default:
					require.NotErrorIs(t, err, tito.ErrNewerFormat)
				}
			})
		}
	}
	for _, garbage := range []string{"x", "\x01", "{}", "\x01\x01" + string(bytes.Repeat([]byte{0xff}, 40))} {
		access("garbage", []byte(garbage), func(_ string, err error) {
			want := tito.ErrCorrupt
			if garbage[0] > 1 { // it could be a later format
				want = tito.ErrNewerFormat
			}
			require.ErrorIs(t, err, want)
		})
	}
}

// Damage of the entry that tells a unique value's owner: a write that needs
// the owner says which index is corrupt.
func TestDamagedOwner(t *testing.T) {
	db := openDocs(t, memoryStore, nil)
	for _, owner := range []string{"\x00", "\x48a", "\x48a\x00\x01\x00", "\x21\x05"} {
		err := db.Update(t.Context(), func(tx *tito.Tx) error {
			require.NoError(t, tx.KV().Set([]byte("t\x20\x21\x01x\x21\x01\x481\x00\x01"), []byte(owner)))
			_, err := docs.Create(t.Context(), tx, &Doc{ID: "a", Email: "1"}, nil)
			return err
		})
		require.ErrorIs(t, err, tito.ErrCorrupt)
		require.ErrorContains(t, err, `table "docs", index "email"`)
	}
}

// A row's value is what its key says: a fault of the store that is noticed
// below Tito stays visible.
func TestErrorsOfTheStoreStayVisible(t *testing.T) {
	failure := fmt.Errorf("%w: disk", kv.ErrUnavailable)
	faults := &faultyReads{}
	db := openDocs(t, memoryStore, &kv.Options{Wrap: faults.wrap})
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := docs.CreateMany(ctx, tx, []*Doc{{ID: "a", Email: "1"}, {ID: "b", Email: "2"}}, nil)
		require.NoError(t, err)
	})
	for name, fn := range docAccess() {
		faults.err = failure
		err := db.Update(t.Context(), func(tx *tito.Tx) error { return fn(t.Context(), tx) })
		faults.err = nil
		require.ErrorIs(t, err, failure, name)
		require.NotErrorIs(t, err, tito.ErrCorrupt, name)
	}
}

// faultyReads fails the reads of a driver while err is set.
type faultyReads struct{ err error }

type faultyDriver struct {
	kv.Driver
	f *faultyReads
}

type faultyTxn struct {
	kv.DriverTxn
	f *faultyReads
}

func (f *faultyReads) wrap(d kv.Driver) kv.Driver { return faultyDriver{d, f} }

func (d faultyDriver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := d.Driver.Begin(ctx, o)
	return faultyTxn{t, d.f}, err
}

func (t faultyTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	if t.f.err != nil {
		return nil, t.f.err
	}
	return t.DriverTxn.Get(ctx, key)
}

func (t faultyTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if t.f.err != nil {
		return nil, t.f.err
	}
	return t.DriverTxn.BatchGet(ctx, keys)
}

func (t faultyTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	if t.f.err != nil {
		return nil, t.f.err
	}
	return t.DriverTxn.Cursor(ctx, r, o)
}
