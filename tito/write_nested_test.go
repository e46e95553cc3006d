package tito_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// nest is a record whose table's functions call back.
type nest struct {
	ID    string
	Email string
	Tags  []string
	call  func()
}

// calls runs what the record is to call, once.
func (n *nest) calls() {
	if n != nil && n.call != nil {
		call := n.call
		n.call = nil
		call()
	}
}

// nestCodec is JSON that calls back.
type nestCodec struct{ hook *string }

func (nestCodec) ID() uint8 { return 64 }

func (c nestCodec) Append(dst []byte, rec any) ([]byte, error) {
	if *c.hook == "Codec" {
		rec.(*nest).calls()
	}
	return tito.JSON().Append(dst, rec)
}

func (nestCodec) Decode(data []byte, rec any) error { return tito.JSON().Decode(data, rec) }

// A function of the program that writes through the transaction of the write that
// calls it neither disturbs that write nor is disturbed. If it changes the same row,
// the write either comes after it or fails with ErrStale.
func TestWritesWithinWrites(t *testing.T) {
	hooks := []string{"Validate", "Get", "When", "Codec", "PartitionKey", "Event.When", "Patch"}
	outers := map[string]func(ctx context.Context, nests *tito.Table[nest, string], tx *tito.Tx, n *nest) error{
		"create many": func(ctx context.Context, nests *tito.Table[nest, string], tx *tito.Tx, n *nest) error {
			_, err := nests.CreateMany(ctx, tx, []*nest{n, {ID: "c", Email: "c", Tags: []string{"x", "y"}}}, nil)
			return err
		},
		"put": func(ctx context.Context, nests *tito.Table[nest, string], tx *tito.Tx, n *nest) error {
			_, err := nests.Put(ctx, tx, n, nil)
			return err
		},
		"patch": func(ctx context.Context, nests *tito.Table[nest, string], tx *tito.Tx, n *nest) error {
			_, err := nests.Patch(ctx, tx, "z", func(stored *nest) error {
				stored.Email, stored.Tags, stored.call = "new", []string{"y"}, n.call
				return nil
			}, nil)
			return err
		},
	}
	for outer, write := range outers {
		for _, hook := range hooks {
			for _, same := range []bool{false, true} { // the inner call writes a row of the outer one
				for _, joined := range []bool{false, true} { // through another DB of the prefix
					if hook == "Patch" && outer != "patch" {
						continue
					}
					t.Run(fmt.Sprintf("%s in %s, same %t, joined %t", hook, outer, same, joined), func(t *testing.T) {
						testWriteWithinWrite(t, hook, outer, write, same, joined)
					})
				}
			}
		}
	}
}

func testWriteWithinWrite(t *testing.T, hook, outer string,
	write func(context.Context, *tito.Table[nest, string], *tito.Tx, *nest) error, same, joined bool,
) {
	now := "" // the hook that calls back
	at := func(name string, n *nest) {
		if now == name {
			n.calls()
		}
	}
	nests := tito.Define(tito.Schema[nest, string]{
		Table: "nests", ID: tito.StringID(func(n *nest) *string { return &n.ID }), Codec: nestCodec{&now},
		Indexes: tito.Indexes(
			tito.Index("email", tito.String(func(n *nest) string { at("Get", n); return n.Email }), &tito.IndexOptions[nest]{Unique: true}),
			tito.Index("tags", tito.Strings(func(n *nest) []string { return n.Tags }), &tito.IndexOptions[nest]{
				When: func(n *nest) bool { at("When", n); return true },
			}),
		),
		Validate:     func(n *nest) error { at("Validate", n); return nil },
		PartitionKey: func(n *nest) string { at("PartitionKey", n); return n.ID },
		Events: []tito.Event[nest]{{Topic: "nest", After: true, When: func(_, after *nest) bool {
			at("Event.When", after)
			return true
		}}},
	})
	store := memoryStore(t, nil)
	db, err := tito.Open(t.Context(), store, nil, nests)
	require.NoError(t, err)
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := nests.Create(ctx, tx, &nest{ID: "z", Email: "z", Tags: []string{"x", "y", "z"}}, nil)
		require.NoError(t, err)
	})
	now = hook
	called, events := false, 0
	ctx := t.Context()
	tx, err := db.Begin(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback()
	outerID := "z"
	if outer != "patch" {
		outerID = "a"
	}
	var inside int
	n := &nest{ID: outerID, Email: "new", Tags: []string{"y"}, call: func() {
		called = true
		in := tx
		if joined {
			second, err := tito.Open(context.Background(), db.Store(), nil, nests)
			require.NoError(t, err)
			in = second.Tx(tx.KV())
		}
		id := "inner"
		if same {
			id = outerID
		}
		_, err := nests.PutMany(ctx, in, []*nest{{ID: id, Email: "inner", Tags: []string{"v", "w"}}, {ID: "inner2", Email: "2", Tags: []string{"q"}}}, nil)
		require.NoError(t, err)
		inside = tx.KV().Size()
		events += 2
	}}
	if hook == "Patch" {
		_, err = nests.Patch(ctx, tx, "z", func(stored *nest) error {
			n.call()
			stored.Email, stored.Tags = "new", []string{"y"}
			return nil
		}, nil)
	} else {
		err = write(ctx, nests, tx, n)
	}
	require.True(t, called)
	early := hook == "Validate" || hook == "Get" || hook == "When" // before the row is read
	switch {
	case same && outer == "create many" && early:
		require.ErrorIs(t, err, tito.ErrExists)
	case same && (!early || outer == "patch"):
		require.ErrorIs(t, err, tito.ErrStale)
		var row *tito.RowError
		require.ErrorAs(t, err, &row)
		require.Equal(t, any(outerID), row.ID)
	default:
		require.NoError(t, err)
		events++
		if outer == "create many" {
			events++
		}
	}
	if err != nil {
		require.Equal(t, inside, tx.KV().Size(), "it wrote in spite of its error")
	}
	require.NoError(t, tx.Commit(ctx))
	now = ""
	require.Len(t, dump(t, store, "q"), events+1)
	consistent(t, store, db, nests)
}

// consistent requires that the store has the entries that the rows ask for, and no
// others: it writes all rows into an empty store and compares.
func consistent(t *testing.T, store *kv.Store, db *tito.DB, nests *tito.Table[nest, string]) {
	t.Helper()
	fresh := memoryStore(t, nil)
	other, err := tito.Open(t.Context(), fresh, nil, nests)
	require.NoError(t, err)
	update(t, other, func(ctx context.Context, tx *tito.Tx) {
		for rec, err := range nests.Scan().All(ctx, db) {
			require.NoError(t, err)
			_, err = nests.Create(ctx, tx, rec, nil)
			require.NoError(t, err)
		}
	})
	const entries = "t\x20\x21\x01x" // of the first table
	require.Equal(t, dump(t, fresh, entries), dump(t, store, entries))
}
