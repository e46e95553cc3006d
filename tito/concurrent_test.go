package tito_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// Of many goroutines that create the same unique value exactly one wins, and
// the others are told who has it.
func TestOneOwnerOfUniqueValue(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		db := openDocs(t, open, nil)
		ctx := context.Background()
		for round := range 5 {
			var (
				wg     sync.WaitGroup
				winner atomic.Pointer[string]
				owners [16]string
				slots  = []int64{int64(round)}
			)
			for i := range owners {
				wg.Go(func() {
					id := fmt.Sprintf("%d/%d", round, i)
					err := db.Update(ctx, func(tx *tito.Tx) error {
						d := &Doc{ID: id, Email: id, Slots: slots}
						if i%2 == 0 {
							_, err := docs.Create(ctx, tx, d, nil)
							return err
						}
						_, err := docs.PutMany(ctx, tx, []*Doc{{ID: id + "b", Email: id + "b"}, d}, nil)
						return err
					})
					var dup *tito.DuplicateError
					switch {
					case err == nil:
						if !winner.CompareAndSwap(nil, &id) {
							t.Errorf("both %s and %s have the value", *winner.Load(), id)
						}
						owners[i] = id
					case errors.As(err, &dup) && dup.Index == "slot":
						owners[i] = dup.Owner.(string)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.NotNil(t, winner.Load())
			for _, owner := range owners {
				require.Equal(t, *winner.Load(), owner)
			}
		}
	})
}

// Rows exchange unique values in one call. Two transactions that do it at the
// same time conflict, whichever commits first.
func TestSwapOfUniqueValues(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		db := openDocs(t, open, nil)
		a, b, c := &Doc{ID: "a", Email: "1"}, &Doc{ID: "b", Email: "2"}, &Doc{ID: "c", Email: "3"}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.CreateMany(ctx, tx, []*Doc{a, b, c}, nil)
			require.NoError(t, err)
		})
		owner := func(r tito.Reader, email string) string {
			d, err := docs.Where(docByEmail.Eq(email)).One(ctx, r)
			require.NoError(t, err)
			return d.ID
		}
		rotate := func(tx *tito.Tx) error {
			_, err := docs.UpdateMany(ctx, tx, []*Doc{{ID: "a", Email: emailOf(t, tx, "b")}, {ID: "b", Email: emailOf(t, tx, "c")}, {ID: "c", Email: emailOf(t, tx, "a")}}, nil)
			return err
		}
		for range 3 {
			one, err := db.Begin(ctx, nil)
			require.NoError(t, err)
			two, err := db.Begin(ctx, nil)
			require.NoError(t, err)
			require.NoError(t, rotate(one))
			require.NoError(t, rotate(two))
			require.NoError(t, two.Commit(ctx))
			require.ErrorIs(t, one.Commit(ctx), kv.ErrConflict)
		}
		require.Equal(t, "a", owner(db, "1"), "three rotations")

		var wg sync.WaitGroup // and with retries all of them happen
		for range 6 {
			wg.Go(func() {
				if err := db.Update(ctx, rotate); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, []string{"a", "b", "c"}, []string{owner(db, "1"), owner(db, "2"), owner(db, "3")})
	})
}

func emailOf(t *testing.T, tx *tito.Tx, id string) string {
	d, err := docs.Get(context.Background(), tx, id)
	require.NoError(t, err)
	return d.Email
}

// A row gives up a value while another row takes it: in both orders of the two
// commits there is one owner.
func TestTakingWhatAnotherGivesUp(t *testing.T) {
	give := map[string]func(ctx context.Context, tx *tito.Tx) error{
		"update": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Update(ctx, tx, &Doc{ID: "a", Email: "new"}, nil)
			return err
		},
		"patch": func(ctx context.Context, tx *tito.Tx) error {
			_, err := docs.Patch(ctx, tx, "a", func(d *Doc) error { d.Email = "new"; return nil }, nil)
			return err
		},
		"delete": func(ctx context.Context, tx *tito.Tx) error { return docs.Delete(ctx, tx, "a", nil) },
	}
	stores(t, func(t *testing.T, open openStore) {
		for name, give := range give {
			t.Run(name, func(t *testing.T) {
				ctx := context.Background()
				db := openDocs(t, open, nil)
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := docs.Create(ctx, tx, &Doc{ID: "a", Email: "x"}, nil)
					require.NoError(t, err)
				})
				giver, err := db.Begin(ctx, nil)
				require.NoError(t, err)
				taker, err := db.Begin(ctx, nil)
				require.NoError(t, err)
				defer taker.Rollback()
				require.NoError(t, give(ctx, giver))
				_, err = docs.Create(ctx, taker, &Doc{ID: "b", Email: "x"}, nil)
				require.ErrorIs(t, err, tito.ErrDuplicate, "its snapshot still has the owner")
				// In the transaction that gives it up the value is free at once.
				_, err = docs.Create(ctx, giver, &Doc{ID: "c", Email: "x"}, nil)
				require.NoError(t, err)
				require.NoError(t, giver.Commit(ctx))
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := docs.Create(ctx, tx, &Doc{ID: "b", Email: "x"}, nil)
					var dup *tito.DuplicateError
					require.ErrorAs(t, err, &dup)
					require.Equal(t, tito.DuplicateError{Table: "docs", Index: "email", Owner: "c"}, *dup)
					require.EqualError(t, err, `tito: duplicate value in unique index: table "docs", index "email"`)
				})
			})
		}
	})
}

// Two transactions that write one row, or one value, in both orders: the later
// one to commit conflicts, even if it was the first to write.
func TestConflictingWrites(t *testing.T) {
	writes := map[string]func(ctx context.Context, tx *tito.Tx, who string) error{
		"create one id": func(ctx context.Context, tx *tito.Tx, who string) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: "new", Email: who}, nil)
			return err
		},
		"create one value": func(ctx context.Context, tx *tito.Tx, who string) error {
			_, err := docs.Create(ctx, tx, &Doc{ID: who, Email: "same"}, nil)
			return err
		},
		"update one row": func(ctx context.Context, tx *tito.Tx, who string) error {
			_, err := docs.Update(ctx, tx, &Doc{ID: "old", Email: "old", Note: who}, nil)
			return err
		},
		"patch and delete": func(ctx context.Context, tx *tito.Tx, who string) error {
			if who == "one" {
				return docs.Delete(ctx, tx, "old", nil)
			}
			_, err := docs.Patch(ctx, tx, "old", func(d *Doc) error { d.Note = who; return nil }, nil)
			return err
		},
		"nullable value": func(ctx context.Context, tx *tito.Tx, who string) error {
			nick := "same"
			_, err := docs.Put(ctx, tx, &Doc{ID: who, Email: who, Nick: &nick}, nil)
			return err
		},
	}
	stores(t, func(t *testing.T, open openStore) {
		for name, write := range writes {
			for _, first := range []string{"one", "two"} {
				t.Run(name+", first "+first, func(t *testing.T) {
					ctx := context.Background()
					db := openDocs(t, open, nil)
					update(t, db, func(ctx context.Context, tx *tito.Tx) {
						_, err := docs.Create(ctx, tx, &Doc{ID: "old", Email: "old"}, nil)
						require.NoError(t, err)
					})
					txns := map[string]*tito.Tx{}
					for _, who := range []string{"one", "two"} {
						tx, err := db.Begin(ctx, nil)
						require.NoError(t, err)
						require.NoError(t, write(ctx, tx, who))
						txns[who] = tx
					}
					require.NoError(t, txns[first].Commit(ctx))
					delete(txns, first)
					for _, tx := range txns {
						require.ErrorIs(t, tx.Commit(ctx), kv.ErrConflict)
					}
				})
			}
		}
	})
}

// Two transactions each read a row, lock it, and write the one that the other
// has read: whichever commits first, the other conflicts, also if the row is
// not there yet. Without the lock both commit, which is write skew.
func TestLockPreventsWriteSkew(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		for _, there := range []bool{false, true} {
			for _, lock := range []bool{false, true} {
				for first := range 2 {
					db := openDocs(t, open, nil)
					ids := []string{"a", "b"}
					if there {
						update(t, db, func(ctx context.Context, tx *tito.Tx) {
							_, err := docs.CreateMany(ctx, tx, []*Doc{{ID: "a", Email: "a"}, {ID: "b", Email: "b"}}, nil)
							require.NoError(t, err)
						})
					}
					var txns [2]*tito.Tx
					for i := range txns {
						tx, err := db.Begin(ctx, nil)
						require.NoError(t, err)
						_, err = docs.GetMany(ctx, tx, ids)
						require.NoError(t, err)
						if lock {
							require.NoError(t, docs.Lock(ctx, tx, ids[1-i]))
						}
						_, err = docs.Put(ctx, tx, &Doc{ID: ids[i], Email: ids[i], Note: "written"}, nil)
						require.NoError(t, err)
						txns[i] = tx
					}
					require.NoError(t, txns[first].Commit(ctx))
					if err := txns[1-first].Commit(ctx); lock {
						require.ErrorIs(t, err, kv.ErrConflict)
					} else {
						require.NoError(t, err)
					}
				}
			}
		}
		db := openDocs(t, open, nil)
		require.ErrorIs(t, db.View(ctx, func(tx *tito.Tx) error { return docs.Lock(ctx, tx, "a") }), kv.ErrReadOnly)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			require.ErrorIs(t, people.Lock(ctx, tx, "a"), tito.ErrNotRegistered)
			require.ErrorIs(t, docs.Lock(ctx, tx, strings.Repeat("a", 3000)), kv.ErrKeyTooLarge)
		})
	})
}

// One handle serves many databases and goroutines at once.
func TestHandlesAreShared(t *testing.T) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 4 {
		db := openDocs(t, memoryStore, nil)
		for w := range 4 {
			wg.Go(func() {
				for i := range 20 {
					id := fmt.Sprintf("%d/%d", w, i)
					if err := db.Update(ctx, func(tx *tito.Tx) error {
						_, err := docs.Create(ctx, tx, &Doc{ID: id, Email: id, Tags: []string{"x", id}}, nil)
						return err
					}); err != nil {
						t.Error(err)
					}
					if _, err := docs.Get(ctx, db, id); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}
