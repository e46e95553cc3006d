package tito

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv/memory"
)

// A transaction keeps to what the database knew of its tables when the Tx was made.
func TestTxPinsBindings(t *testing.T) {
	type rec struct{ ID string }
	table := Define(Schema[rec, string]{Table: "recs", ID: StringID(func(r *rec) *string { return &r.ID })})
	store, err := memory.Open(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	db, err := Open(t.Context(), store, nil, table)
	require.NoError(t, err)
	tx, err := db.Begin(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()

	db.bindings.Store(&bindings{}) // as if the table had been dropped
	_, err = table.Create(t.Context(), db.Tx(tx.KV()), &rec{ID: "a"}, nil)
	require.NoError(t, err)
	_, err = table.Get(t.Context(), tx, "a")
	require.NoError(t, err)
	_, err = table.Get(t.Context(), db, "a")
	require.ErrorIs(t, err, ErrNotRegistered)
}
