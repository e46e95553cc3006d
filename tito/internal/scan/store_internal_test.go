package scan

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// The table of these tests: rows under "r", and entries of two indexes over one field.
var (
	testUnique = record.Index{ID: 1, Name: "unique", Prefix: []byte("x1"), Fields: 1, Unique: true} // immutable
	testTagged = record.Index{ID: 2, Name: "tagged", Prefix: []byte("x2"), Fields: 1}               // immutable
	testLayout = record.Layout{Table: "tests", Rows: []byte("r")}                                   // immutable
)

func testStore(t testing.TB) *kv.Store {
	t.Helper()
	s, err := memory.Open(nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// begin opens a transaction that sees the pairs. The walk of a faulty Stream may not
// end, but the context does.
func begin(t require.TestingT, s *kv.Store, pairs map[string]string) (context.Context, *kv.Txn, func()) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	require.NoError(t, s.Update(ctx, func(tx *kv.Txn) error {
		require.NoError(t, tx.DeleteRange(ctx, kv.Range{}))
		for k, v := range pairs {
			require.NoError(t, tx.Set([]byte(k), []byte(v)))
		}
		return nil
	}))
	tx, err := s.Begin(ctx, nil)
	require.NoError(t, err)
	return ctx, tx, func() { tx.Rollback(); cancel() }
}

// value is a string as a component of a key, and pk one as a primary key.
func value(s string) string { return string(keyenc.AppendString(nil, s)) }

// rowOf is the value of a row with entries in an index, whose values ascend.
func rowOf(ix *record.Index, values ...string) string {
	h := record.Header{Stamp: record.Stamp{Codec: 1}}
	h.Meta.Created, h.Meta.Updated = time.Unix(0, 0), time.Unix(0, 0)
	for _, v := range values {
		h.Entries = record.AppendEntry(h.Entries, &record.Entry{Index: ix.ID, Unique: ix.Unique, Values: []byte(value(v))})
	}
	return string(record.AppendRow(nil, &h)) + "{}"
}

// put adds a row and its entries to the pairs of a store.
func put(pairs map[string]string, ix *record.Index, pk string, values ...string) {
	pairs["r"+value(pk)] = rowOf(ix, values...)
	for _, v := range values {
		if ix.Unique {
			pairs[string(ix.Prefix)+value(v)] = value(pk)
		} else {
			pairs[string(ix.Prefix)+value(v)+value(pk)] = "\x00"
		}
	}
}

// text is the string that a component has.
func text(t require.TestingT, component []byte) string {
	s, _, err := keyenc.DecodeString(component)
	require.NoError(t, err)
	return s
}

// spans makes a set of pairs of bounds; "" is an open one.
func spans(bounds ...string) Spans {
	var s Spans
	for i := 0; i < len(bounds); i += 2 {
		var span Span
		if bounds[i] != "" {
			span.Start = []byte(bounds[i])
		}
		if bounds[i+1] != "" {
			span.End = []byte(bounds[i+1])
		}
		s.all = append(s.all, span)
	}
	s.sum = new(atomic.Pointer[spansSum])
	return s
}

func allOf(values ...string) Spans {
	prefixes := make([][]byte, len(values))
	for i, v := range values {
		prefixes[i] = []byte(value(v))
	}
	return PrefixSpans(prefixes)
}
