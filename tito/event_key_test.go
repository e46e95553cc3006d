package tito_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// testEventID writes a row with the id, and reads its events.
func testEventID[ID comparable](t *testing.T, kind string, idOf tito.IDOf[keyed[ID], ID], id ID, text string) {
	t.Run(kind, func(t *testing.T) {
		table := tito.Define(tito.Schema[keyed[ID], ID]{Table: "keyed", ID: idOf,
			Events: []tito.Event[keyed[ID]]{{Topic: "t", Before: true, After: true}}})
		db, err := tito.Open(t.Context(), memoryStore(t, nil), nil, table)
		require.NoError(t, err)
		rec := &keyed[ID]{id, "n"}
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := table.Create(ctx, tx, rec, nil)
			require.NoError(t, err)
			require.NoError(t, table.Delete(ctx, tx, id, nil))
		})
		all := published(t, db.Store(), "")
		require.Len(t, all, 2)
		for _, ev := range all {
			require.Equal(t, text[:min(len(text), queue.MaxKeySize)], ev.Key)
			e, err := tito.ParseEvent(ev)
			require.NoError(t, err)
			require.Equal(t, text, e.ID)
			c, err := table.ParseEvent(ev)
			require.NoError(t, err)
			require.Equal(t, id, c.ID)
			require.Equal(t, ev.Key, c.Key)
		}
		c, err := table.ParseEvent(all[1])
		require.NoError(t, err)
		require.Equal(t, rec, c.Before) // the id comes from the key
	})
}

// Events of a row have its id as their key, as text.
func TestEventKeyIsTheID(t *testing.T) {
	str := tito.StringID(func(k *keyed[orderID]) *orderID { return &k.ID })
	testEventID(t, "string", str, "a\x00é", "a\x00é")
	testEventID(t, "long", str, orderID(strings.Repeat("x", 1500)), strings.Repeat("x", 1500))
	testEventID(t, "longest key", str, orderID(strings.Repeat("x", queue.MaxKeySize)), strings.Repeat("x", queue.MaxKeySize))
	testEventID(t, "int", tito.IntID(func(k *keyed[int64]) *int64 { return &k.ID }), math.MinInt64, "-9223372036854775808")
	testEventID(t, "small int", tito.IntID(func(k *keyed[smallInt]) *smallInt { return &k.ID }), 100, "100")
	testEventID(t, "uint", tito.UintID(func(k *keyed[uint64]) *uint64 { return &k.ID }), math.MaxUint64, "18446744073709551615")
	id := uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff")
	testEventID(t, "uuid", tito.UUIDID(func(k *keyed[guid]) *guid { return &k.ID }), guid(id), id.String())
	testEventID(t, "custom", tito.CustomID(func(k *keyed[point]) *point { return &k.ID }, parsePoint), point{1, 0x200}, "\x00\x01\x02\x00")
}

// grouped is a model whose events are ordered by group.
func grouped() *tito.Table[ticket, string] {
	return tito.Define(tito.Schema[ticket, string]{
		Table: "tickets", ID: tito.StringID(func(t *ticket) *string { return &t.ID }),
		Events: []tito.Event[ticket]{{Topic: "t"}}, PartitionKey: func(t *ticket) string { return t.Owner },
	})
}

func TestEventPartitionKey(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		table := grouped()
		db, err := tito.Open(t.Context(), open(t, nil), nil, table)
		require.NoError(t, err)
		long := strings.Repeat("x", queue.MaxKeySize)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := table.CreateMany(ctx, tx, []*ticket{{ID: "a", Owner: "o"}, {ID: "b", Owner: "o"}, {ID: "c"}, {ID: "d", Owner: long}}, nil)
			require.NoError(t, err)
		})
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := table.Patch(ctx, tx, "a", func(r *ticket) error { r.Owner = "p"; return nil }, nil)
			require.NoError(t, err)
			require.NoError(t, table.Delete(ctx, tx, "a", nil))
			_, err = table.DeleteMany(ctx, tx, []string{"b"}, nil)
			require.NoError(t, err)
			_, err = table.PutMany(ctx, tx, []*ticket{{ID: "e"}, {ID: "f", Owner: long + "x"}}, nil)
			require.ErrorIs(t, err, queue.ErrMessage)
			require.ErrorContains(t, err, `table "tickets", row f: `)
		})
		var keys []string
		for _, ev := range published(t, db.Store(), "") {
			keys = append(keys, ev.Key)
		}
		require.Equal(t, []string{"o", "o", "", long, "p", "p", "o"}, keys)
	})
}

// A row that cannot be decoded has no partition key, and nothing that When could
// be given: it can be deleted without events only.
func TestEventOfUndecodableRow(t *testing.T) {
	for name, table := range map[string]*tito.Table[ticket, string]{"key": grouped(), "when": tickets} {
		t.Run(name, func(t *testing.T) {
			store := memoryStore(t, nil)
			db, err := tito.Open(t.Context(), store, nil, table, clerks)
			require.NoError(t, err)
			silent := &tito.WriteOptions{NoEvents: true}
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				_, err := table.Create(ctx, tx, &ticket{ID: "a"}, silent)
				require.NoError(t, err)
				row := []byte("t\x20\x21\x01rHa\x00\x01")
				value, err := tx.KV().Get(ctx, row)
				require.NoError(t, err)
				require.NoError(t, tx.KV().Set(row, value[:len(value)-1]))
				require.ErrorIs(t, table.Delete(ctx, tx, "a", nil), tito.ErrDecode)
				_, err = table.DeleteMany(ctx, tx, []string{"a"}, nil)
				require.ErrorIs(t, err, tito.ErrDecode)
				require.NoError(t, table.Delete(ctx, tx, "a", silent))
			})
			require.Empty(t, published(t, store, ""))
		})
	}
}
