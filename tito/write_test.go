package tito_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// A function that changes the row behind Patch's back would leave entries that
// nobody owns.
func TestPatchNoticesWritesWithinIt(t *testing.T) {
	for name, interfere := range map[string]func(ctx context.Context, tx *tito.Tx) error{
		"put": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Put(ctx, tx, &Doc{ID: "a", Email: "3"}, nil)
			return err
		},
		"patch": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Patch(ctx, tx, "a", func(d *Doc) error { d.Tags = []string{"x"}; return nil }, nil)
			return err
		},
		"delete": func(ctx context.Context, tx *tito.Tx) error { return docs.Delete(ctx, tx, "a", nil) },
		"delete many": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.DeleteMany(ctx, tx, []string{"a"}, nil)
			return err
		},
		"another": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: "b", Email: "2"}, nil)
			return err
		},
		"one that failed": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: "a"}, nil)
			if !errors.Is(err, tito.ErrExists) {
				return err
			}
			return nil
		},
	} {
		for _, joined := range []bool{false, true} { // interfere through another DB of the prefix
			for _, written := range []bool{false, true} { // the transaction wrote the row before
				t.Run(fmt.Sprintf("%s, joined %t, written %t", name, joined, written), func(t *testing.T) {
					db := openDocs(t, memoryStore, nil)
					update(t, db, func(ctx context.Context, tx *tito.Tx) {
						_, err := docs.Create(ctx, tx, &Doc{ID: "a", Email: "1"}, nil)
						require.NoError(t, err)
					})
					update(t, db, func(ctx context.Context, tx *tito.Tx) {
						if written {
							_, err := docs.Update(ctx, tx, &Doc{ID: "a", Email: "5"}, nil)
							require.NoError(t, err)
						}
						other := tx
						if joined {
							second, err := tito.Open(ctx, db.Store(), nil, docs)
							require.NoError(t, err)
							other = second.Tx(tx.KV())
							require.NotSame(t, tx, other)
							require.Same(t, other, second.Tx(tx.KV()))
							require.Same(t, tx, db.Tx(tx.KV()))
						}
						_, err := docs.Patch(ctx, tx, "a", func(d *Doc) error {
							d.Email = "4"
							return interfere(ctx, other)
						}, nil)
						if name == "another" || name == "one that failed" {
							require.NoError(t, err)
						} else {
							require.ErrorIs(t, err, tito.ErrStale)
						}
					})
					checkStore(t, db.Store(), "", docCheck)
				})
			}
		}
	}
}

// Two databases of one store can have the same tables, and write through one
// transaction.
func TestPatchNoticesAnotherDB(t *testing.T) {
	for _, written := range []bool{false, true} { // the transaction wrote the row before
		for name, interfere := range map[string]func(ctx context.Context, tx *tito.Tx) error{
			"update": func(ctx context.Context, tx *tito.Tx) error {
				_, err := docs.Update(ctx, tx, &Doc{ID: "a", Email: "3"}, nil)
				return err
			},
			"delete": func(ctx context.Context, tx *tito.Tx) error { return docs.Delete(ctx, tx, "a", nil) },
		} {
			t.Run(fmt.Sprintf("%s, written %t", name, written), func(t *testing.T) {
				db := openDocs(t, memoryStore, nil)
				other, err := tito.Open(t.Context(), db.Store(), nil, docs)
				require.NoError(t, err)
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := docs.Create(ctx, tx, &Doc{ID: "a", Email: "1"}, nil)
					require.NoError(t, err)
				})
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					if written {
						_, err := docs.Update(ctx, tx, &Doc{ID: "a", Email: "5"}, nil)
						require.NoError(t, err)
					}
					_, err := docs.Patch(ctx, tx, "a", func(d *Doc) error {
						d.Email = "4"
						return interfere(ctx, other.Tx(tx.KV()))
					}, nil)
					require.ErrorIs(t, err, tito.ErrStale)
				})
				checkStore(t, db.Store(), "", docCheck)
			})
		}
	}
}

// strict is a record with a relation and a Validate hook.
type strict struct {
	ID     string
	Name   string
	DocID  string
	DocIDs []string
	Doc    *Doc   // stored by JSON if nobody clears them
	Docs   []*Doc //
}

var (
	strictDoc  = tito.One("doc", docT, func(s *strict) *string { return &s.DocID }, func(s *strict, d *Doc) { s.Doc = d })
	strictDocs = tito.Many("docs", docT, func(s *strict) []string { return s.DocIDs }, func(s *strict, d []*Doc) { s.Docs = d })
	errNoName  = errors.New("name is empty")
	stricts    = tito.Define(tito.Schema[strict, string]{
		Table:     "stricts",
		ID:        tito.StringID(func(s *strict) *string { return &s.ID }),
		Relations: tito.Relations(strictDoc, strictDocs),
		Validate: func(s *strict) error {
			if s.Name == "" {
				return errNoName
			}
			return nil
		},
	})
)

// Hydrated targets are neither stored nor returned, and stay in the argument.
func TestWritesLeaveTargetsOut(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		db, err := tito.Open(t.Context(), store, nil, docs, stricts)
		require.NoError(t, err)
		target := &Doc{ID: "target", Note: "do not store"}
		rec := &strict{ID: "1", Name: "n", DocID: "target", DocIDs: []string{"target"}, Doc: target, Docs: []*Doc{target}}
		bare := &strict{ID: "1", Name: "n", DocID: "target", DocIDs: []string{"target"}}
		check := func(got *strict, err error) {
			require.NoError(t, err)
			require.Equal(t, bare, got)
			require.Same(t, target, rec.Doc)
			require.Equal(t, []*Doc{target}, rec.Docs)
		}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			check(stricts.Create(ctx, tx, rec, nil))
			check(stricts.Update(ctx, tx, rec, nil))
			check(stricts.Put(ctx, tx, rec, nil))
			many, err := stricts.PutMany(ctx, tx, []*strict{rec}, nil)
			check(many[0], err)
			check(stricts.Patch(ctx, tx, "1", func(s *strict) error { s.Doc, s.Docs = target, rec.Docs; return nil }, nil))
			check(stricts.Get(ctx, tx, "1"))
		})
		for _, v := range dump(t, store, "") {
			require.NotContains(t, v, "do not store")
		}
	})
}

// What Validate refuses is not written, and its error is visible. A nil record
// is invalid as well.
func TestValidate(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		db, err := tito.Open(t.Context(), store, nil, docs, stricts)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := stricts.Create(ctx, tx, &strict{ID: "1", Name: "n"}, nil)
			require.NoError(t, err)
		})
		before := dump(t, store, "")
		nameless := &strict{ID: "1"}
		fine := &strict{ID: "2", Name: "n"}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			refused := func(err error) {
				t.Helper()
				require.ErrorIs(t, err, tito.ErrInvalid)
				require.ErrorIs(t, err, errNoName)
				var row *tito.RowError
				require.ErrorAs(t, err, &row)
				require.Equal(t, tito.RowError{Table: "stricts", ID: "1", Err: row.Err}, *row)
			}
			_, err := stricts.Create(ctx, tx, nameless, nil)
			refused(err)
			_, err = stricts.Put(ctx, tx, nameless, nil)
			refused(err)
			_, err = stricts.Update(ctx, tx, nameless, nil)
			refused(err)
			_, err = stricts.PutMany(ctx, tx, []*strict{fine, nameless}, nil)
			refused(err)
			_, err = stricts.Patch(ctx, tx, "1", func(s *strict) error { s.Name = ""; return nil }, nil)
			refused(err)
			_, err = stricts.Create(ctx, tx, nil, nil)
			require.ErrorIs(t, err, tito.ErrInvalid)
			_, err = stricts.PutMany(ctx, tx, []*strict{fine, nil}, nil)
			require.ErrorIs(t, err, tito.ErrInvalid)
		})
		require.Equal(t, before, dump(t, store, ""))
	})
}

// The Many forms take no revision, for it cannot be that of several rows, nor
// does Create, whose row has none.
func TestWritesThatTakeNoRevision(t *testing.T) {
	db := openDocs(t, memoryStore, nil)
	o := &tito.WriteOptions{Expect: 1}
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := docs.Create(ctx, tx, &Doc{ID: "a"}, o)
		require.ErrorIs(t, err, tito.ErrOptions)
		_, err = docs.CreateMany(ctx, tx, []*Doc{{ID: "a"}}, o)
		require.ErrorIs(t, err, tito.ErrOptions)
		_, err = docs.PutMany(ctx, tx, nil, o)
		require.ErrorIs(t, err, tito.ErrOptions)
		_, err = docs.UpdateMany(ctx, tx, nil, o)
		require.ErrorIs(t, err, tito.ErrOptions)
		_, err = docs.DeleteMany(ctx, tx, nil, o)
		require.ErrorIs(t, err, tito.ErrOptions)
	})
}

// A codec that the program lost, and a row of a newer schema: neither is read;
// what is newer is not overwritten either.
func TestRowsOfOtherPrograms(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		id := tito.IntID(func(f *fields) *int64 { return &f.ID })
		byInt := tito.Index("int", tito.Int(func(f *fields) smallInt { return f.Int }), nil)
		schema := tito.Schema[fields, int64]{Table: "fields", ID: id, Indexes: tito.Indexes(byInt), Codec: infCodec{}}
		old := tito.Define(schema)
		schema.Version = 1
		newer := tito.Define(schema)
		schema.Codec = nil
		other := tito.Define(schema)
		with := func(table *tito.Table[fields, int64], fn func(tx *tito.Tx) error) error {
			db, err := tito.Open(ctx, store, nil, table)
			require.NoError(t, err)
			return db.Update(ctx, fn)
		}
		require.NoError(t, with(newer, func(tx *tito.Tx) error {
			_, err := newer.Create(ctx, tx, &fields{ID: 1}, nil)
			return err
		}))
		before := dump(t, store, "")
		for name, write := range map[string]func(tx *tito.Tx) error{
			"get":         func(tx *tito.Tx) error { _, err := old.Get(ctx, tx, 1); return err },
			"get many":    func(tx *tito.Tx) error { _, err := old.GetMany(ctx, tx, []int64{1}); return err },
			"put":         func(tx *tito.Tx) error { _, err := old.Put(ctx, tx, &fields{ID: 1}, nil); return err },
			"update many": func(tx *tito.Tx) error { _, err := old.UpdateMany(ctx, tx, []*fields{{ID: 1}}, nil); return err },
			"patch": func(tx *tito.Tx) error {
				_, err := old.Patch(ctx, tx, 1, func(*fields) error { return nil }, nil)
				return err
			},
			"delete":      func(tx *tito.Tx) error { return old.Delete(ctx, tx, 1, nil) },
			"delete many": func(tx *tito.Tx) error { _, err := old.DeleteMany(ctx, tx, []int64{1}, nil); return err },
		} {
			err := with(old, write)
			require.ErrorIs(t, err, tito.ErrNewerSchema, name)
			require.ErrorContains(t, err, `table "fields", row 1`, name)
		}
		require.Equal(t, before, dump(t, store, ""))
		require.NoError(t, with(other, func(tx *tito.Tx) error {
			_, err := other.Get(ctx, tx, 1)
			require.ErrorIs(t, err, tito.ErrDecode)
			require.ErrorContains(t, err, "no codec with id 64")
			_, err = other.Put(ctx, tx, &fields{ID: 1, Int: 5}, nil) // it takes the old entries from the row
			require.NoError(t, err)
			got, err := other.Where(byInt.Eq(5)).One(ctx, tx)
			require.NoError(t, err)
			require.Equal(t, int64(1), got.ID)
			n, err := other.Where(byInt).Count(ctx, tx)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return nil
		}))
		require.NoError(t, with(newer, func(tx *tito.Tx) error { // whose fallback reads JSON
			got, err := newer.Get(ctx, tx, 1)
			require.NoError(t, err)
			require.Equal(t, smallInt(5), got.Int)
			return nil
		}))
	})
}

// Tito's writes and others of a transaction commit together.
func TestTx(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		store := open(t, nil)
		one, err := tito.Open(ctx, store, &tito.Options{Prefix: []byte("1")}, docs)
		require.NoError(t, err)
		two, err := tito.Open(ctx, store, &tito.Options{Prefix: []byte("2")}, docs)
		require.NoError(t, err)
		failure := errors.New("no")
		for _, want := range []error{failure, nil} {
			err := store.Update(ctx, func(tx *kv.Txn) error {
				require.NoError(t, tx.Set([]byte("own"), []byte("1")))
				for _, db := range []*tito.DB{one, two, one} {
					joined := db.Tx(tx)
					require.Same(t, tx, joined.KV())
					_, err := docs.Put(ctx, joined, &Doc{ID: "a"}, nil)
					require.NoError(t, err)
					require.ErrorIs(t, joined.Commit(ctx), kv.ErrManaged)
				}
				return want
			})
			require.Equal(t, want, err)
			n := 1
			if want != nil {
				n = 0
			}
			require.Equal(t, n, checkStore(t, store, "1", docCheck))
			require.Equal(t, n, checkStore(t, store, "2", docCheck))
			require.Len(t, dump(t, store, "own"), n)
		}
	})
}

// Writes need a read-write transaction that is open.
func TestWritesInEndedTransactions(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		db := openDocs(t, open, nil)
		require.Same(t, db.Store(), db.Store())
		require.ErrorIs(t, db.View(ctx, func(tx *tito.Tx) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: "a"}, nil)
			return err
		}), kv.ErrReadOnly)
		tx, err := db.Begin(ctx, nil)
		require.NoError(t, err)
		_, err = docs.Create(ctx, tx, &Doc{ID: "a"}, nil)
		require.NoError(t, err)
		require.NoError(t, tx.Commit(ctx))
		tx.Rollback()
		_, err = docs.Create(ctx, tx, &Doc{ID: "b"}, nil)
		require.ErrorIs(t, err, kv.ErrTxnDone)
		require.ErrorIs(t, docs.Delete(ctx, tx, "a", nil), kv.ErrTxnDone)
		_, err = docs.Get(ctx, tx, "a")
		require.ErrorIs(t, err, kv.ErrTxnDone)
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, db.Update(canceled, func(tx *tito.Tx) error { return nil }), context.Canceled)
		require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
			_, err := docs.PutMany(canceled, tx, []*Doc{{ID: "a"}, {ID: "c", Email: "c"}}, nil)
			require.ErrorIs(t, err, context.Canceled)
			return nil
		}))
		n, err := docs.Count(ctx, db)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}
