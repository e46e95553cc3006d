package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that lost the answer sends the prewrite again.
func TestRepeatedPrewriteGetsTheFirstAnswer(t *testing.T) {
	t.Run("committed in one phase", func(t *testing.T) {
		x := openNew(t)
		tx := txn{start: x.pd.now(), primary: "a", onePC: true, async: []string{"b"}}
		first := x.mustPrewrite(tx, put("a", "1"), put("b", "1"))
		again := x.mustPrewrite(tx, put("a", "1"), put("b", "1"))
		require.NotZero(t, first.OnePcCommitTs)
		require.Equal(t, first.OnePcCommitTs, again.OnePcCommitTs)

		// Also when others have written since.
		x.mustPrewrite(txn{start: x.pd.now(), primary: "a", onePC: true}, put("a", "2"), put("b", "2"))
		require.Equal(t, first.OnePcCommitTs, x.mustPrewrite(tx, put("a", "1"), put("b", "1")).OnePcCommitTs)
		require.Equal(t, "2", x.get("a"))
	})
	t.Run("locked for an asynchronous commit", func(t *testing.T) {
		x := openNew(t)
		tx := txn{start: x.pd.now(), primary: "a", async: []string{"b"}}
		first := x.mustPrewrite(tx, put("a", "1"), put("b", "1"))
		require.NotZero(t, first.MinCommitTs)
		require.Equal(t, first.MinCommitTs, x.mustPrewrite(tx, put("a", "1"), put("b", "1")).MinCommitTs)
	})
	t.Run("committed asynchronously", func(t *testing.T) {
		x := openNew(t)
		tx := txn{start: x.pd.now(), primary: "a", async: []string{"b"}}
		x.mustPrewrite(tx, put("a", "1"), put("b", "1"))
		at := x.commit(tx, "a", "b")
		require.Equal(t, at, x.mustPrewrite(tx, put("a", "1"), put("b", "1")).MinCommitTs)
	})
	t.Run("another transaction's", func(t *testing.T) {
		x := openNew(t)
		tx := txn{start: x.pd.now(), primary: "a", onePC: true}
		x.mustPrewrite(txn{start: x.pd.now(), primary: "a", onePC: true}, put("a", "2"))
		resp := x.prewrite(tx, put("a", "1"))
		require.Len(t, resp.Errors, 1)
		require.NotNil(t, resp.Errors[0].Conflict)
	})
}
