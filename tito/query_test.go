package tito_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// openThings returns a database with n things: "000", "001", ..., named like
// their ids, of which number i has the rank i%10 and the tags "a", "b", "c".
func openThings(t testing.TB, store *kv.Store, o *tito.Options, n int) *tito.DB {
	t.Helper()
	ctx := context.Background()
	db, err := tito.Open(ctx, store, o, things)
	require.NoError(t, err)
	recs := make([]*thing, n)
	for i := range recs {
		id := text(fmt.Sprintf("%03d", i))
		recs[i] = &thing{ID: id, Name: id, Rank: int8(i % 10), Tags: []text{"c", "b", "a"}}
	}
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		_, err := things.CreateMany(ctx, tx, recs, nil)
		return err
	}))
	return db
}

// The loop around All may delete what it has not come to, and add rows: the
// former is left out, also in strict mode, the latter is not seen.
func TestAllWhileItsLoopWrites(t *testing.T) { stores(t, requireLoopMayWrite) }

func requireLoopMayWrite(t *testing.T, open openStore) {
	ctx := context.Background()
	const n = 600 // more than two chunks
	for _, q := range []tito.Query[thing, text]{
		things.Where(thingByTagRank.At("b")),
		things.Where(thingByName),
		things.Where(thingByNick.Null()).Reverse(),
		things.Where(thingByTagDesc), // each row three times
	} {
		db := openThings(t, open(t, nil), &tito.Options{Strict: true}, n)
		require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
			seen := map[text]bool{}
			deleted := map[text]bool{}
			order := collect(t, q.IDs(ctx, tx))
			for rec, err := range q.All(ctx, tx) {
				if err != nil {
					return err
				}
				require.False(t, seen[rec.ID])
				seen[rec.ID] = true
				// The row at the other end, while there is one.
				if other := order[n-len(seen)]; !seen[other] && !deleted[other] {
					if err := things.Delete(ctx, tx, other, nil); err != nil {
						return err
					}
					deleted[other] = true
				}
				if _, err := things.Put(ctx, tx, &thing{ID: rec.ID + "x", Name: rec.ID + "x", Tags: rec.Tags}, nil); err != nil {
					return err
				}
			}
			// What a chunk had read already still comes.
			require.GreaterOrEqual(t, len(seen)+len(deleted), n)
			require.Less(t, len(seen), n)
			return nil
		}))
		require.Zero(t, db.StaleEntries())
	}
}

func TestAllEndsAtItsFirstError(t *testing.T) { stores(t, requireOneError) }

func requireOneError(t *testing.T, open openStore) {
	db := openThings(t, open(t, nil), nil, 600)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	n, errs := 0, 0
	for rec, err := range things.Where(thingByTag).All(ctx, db) {
		_ = rec
		require.NoError(t, err, "no thing is on, so the index is empty")
	}
	for rec, err := range things.Where(thingByTagDesc.Eq("a")).All(ctx, db) {
		require.NoError(t, last, "nothing comes after an error")
		if n++; n == 10 {
			cancel()
		}
		if last = err; err != nil {
			require.Nil(t, rec)
			errs++
		}
	}
	require.Equal(t, 1, errs)
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, n, 600)

	n = 0
	for _, err := range things.Scan().IDs(ctx, db) {
		require.ErrorIs(t, err, context.Canceled)
		n++
	}
	require.Equal(t, 1, n)
	_, err := things.Scan().Page(ctx, db)
	require.ErrorIs(t, err, context.Canceled)
	_, err = things.Scan().Count(ctx, db)
	require.ErrorIs(t, err, context.Canceled)
}

// A loop that is left early releases the snapshot and its cursor, and a panic
// in it does so too.
func TestAllLeftEarly(t *testing.T) { stores(t, requireRelease) }

func requireRelease(t *testing.T, open openStore) {
	ctx := context.Background()
	store, calls := counted(t, open)
	db := openThings(t, store, nil, 10)
	for _, err := range things.Scan().All(ctx, db) {
		require.NoError(t, err)
		break
	}
	for _, err := range things.Where(thingByTagDesc).IDs(ctx, db) {
		require.NoError(t, err)
		break
	}
	require.Panics(t, func() {
		for _, err := range things.Where(thingByTagDesc).All(ctx, db) {
			require.NoError(t, err)
			panic("in the loop")
		}
	})
	require.Zero(t, calls.OpenCursors())
	require.Zero(t, calls.OpenTxns())
}

func TestQueryInEndedTransaction(t *testing.T) { stores(t, requireEnd) }

func requireEnd(t *testing.T, open openStore) {
	ctx := context.Background()
	db := openThings(t, open(t, nil), nil, 600)
	tx, err := db.Begin(ctx, &kv.TxnOptions{ReadOnly: true})
	require.NoError(t, err)
	n := 0
	for _, err = range things.Scan().All(ctx, tx) {
		if n++; n == 1 {
			tx.Rollback()
		}
	}
	require.ErrorIs(t, err, kv.ErrTxnDone)
	require.Less(t, n, 600)
	_, err = things.Where(thingByName.Eq("001")).One(ctx, tx)
	require.ErrorIs(t, err, kv.ErrTxnDone)
}

// Conditions are values: what is made of one does not change it.
func TestConditionsAreImmutable(t *testing.T) {
	ctx := context.Background()
	db := openThings(t, memoryStore(t, nil), nil, 100)
	ids := func(c tito.Condition[thing]) string {
		return fmt.Sprint(collect(t, things.Where(c).IDs(ctx, db)))
	}
	at := thingByTagRank.At("b")
	atWant := ids(at)
	ge := at.Ge(3)
	geWant := ids(ge)
	in := at.In(1, 5, 7)
	inWant := ids(in)
	query := things.Where(in).With().Limit(50)
	done := make(chan struct{})
	for i := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				_ = at.Eq(int8(i))
				_ = at.Lt(int8(i))
				_ = at.Null()
				_ = ge.Le(int8(i)).Gt(int8(-i))
				_ = thingByNickName.HasPrefix(text(fmt.Sprint(i)))
				page, err := query.Reverse().Limit(3).Page(ctx, db)
				if err != nil || len(page.Items) != 3 {
					panic(fmt.Sprint(err, page))
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	require.Equal(t, atWant, ids(at))
	require.Equal(t, geWant, ids(ge))
	require.Equal(t, inWant, ids(in))
}

func TestLimitBeyondInt(t *testing.T) {
	ctx := context.Background()
	db := openThings(t, memoryStore(t, nil), nil, 300)
	for _, q := range []tito.Query[thing, text]{things.Scan(), things.Where(thingByTagDesc)} {
		page, err := q.Limit(math.MaxInt).Page(ctx, db)
		require.NoError(t, err)
		require.Len(t, page.Items, 300)
		require.Empty(t, page.Next)
		require.Empty(t, page.Prev)
	}
}

// damage removes a row behind Tito's back, and returns a database where its
// entries are left over.
func damage(t *testing.T, o *tito.Options) *tito.DB {
	ctx := context.Background()
	store := memoryStore(t, nil)
	db := openThings(t, store, o, 30)
	before := map[string]string{}
	dump := func(into map[string]string) {
		require.NoError(t, store.View(ctx, func(tx *kv.Txn) error {
			for p, err := range tx.Scan(ctx, kv.Range{}, nil) {
				require.NoError(t, err)
				into[string(p.Key)] = string(p.Value)
			}
			return nil
		}))
	}
	dump(before)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		return things.Delete(ctx, tx, "007", nil)
	}))
	after := map[string]string{}
	dump(after)
	require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
		for k, v := range before {
			_, there := after[k]
			if isRow := len(v) > 1 && v != after[k] && len(v) > 40; !there && !isRow {
				if err := tx.Set([]byte(k), []byte(v)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	return db
}

func TestEntriesWithoutRows(t *testing.T) {
	ctx := context.Background()
	queries := map[string]tito.Query[thing, text]{
		"unique": things.Where(thingByName.Eq("007")),
		"null":   things.Where(thingByNick.Null()),
		"multi":  things.Where(thingByTagDesc.Eq("a")),
	}
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			db := damage(t, nil)
			for rec, err := range q.All(ctx, db) {
				require.NoError(t, err)
				require.NotEqual(t, text("007"), rec.ID)
			}
			require.EqualValues(t, 1, db.StaleEntries())
			page, err := q.Limit(7).Page(ctx, db) // one entry of those read does not count
			require.NoError(t, err)
			if name != "unique" {
				require.Len(t, page.Items, 7)
			}

			db = damage(t, &tito.Options{Strict: true})
			_, err = q.Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrCorrupt)
			var row *tito.RowError
			require.True(t, errors.As(err, &row))
			require.Equal(t, text("007"), row.ID)
			require.Zero(t, db.StaleEntries())
		})
	}
}
