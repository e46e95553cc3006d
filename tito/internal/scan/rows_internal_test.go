package scan

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// find returns the rows of p, as "values pk", and how many stale entries it skipped.
func find(ctx context.Context, tx *kv.Txn, strict bool, p *Plan) (found []string, stale uint64, err error) {
	var n atomic.Uint64
	var r Rows
	r.Start(Source{Txn: tx, Strict: strict, Stale: &n}, p)
	defer r.Close()
	for {
		entries, err := r.Next(ctx)
		if err != nil || len(entries) == 0 {
			return found, n.Load(), err
		}
		for _, e := range entries {
			if _, _, err := record.ParseRow(e.Row); err != nil {
				return nil, 0, err
			}
			found = append(found, strings.TrimSpace(decoded(e.Values)+" "+decoded(e.PK)))
		}
	}
}

func decoded(component []byte) string {
	return strings.TrimSuffix(strings.TrimPrefix(string(component), "H"), "\x00\x01")
}

// keysOf returns what Keys gives of p.
func keysOf(ctx context.Context, tx *kv.Txn, p *Plan) (found []string, err error) {
	var k Keys
	k.Start(Source{Txn: tx, Strict: true}, p)
	defer k.Close()
	for {
		pk, ok, err := k.Next(ctx)
		if err != nil || !ok {
			return found, err
		}
		found = append(found, decoded(pk))
	}
}

func TestStaleEntries(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	put(pairs, &testTagged, "1", "a", "b")
	put(pairs, &testTagged, "2", "a")
	put(pairs, &testTagged, "3", "a")
	pairs["r"+value("2")] = rowOf(&testTagged, "b") // has another entry than the store
	pairs["r"+value("4")] = rowOf(&testUnique, "a") // has the values in another index
	pairs["x2"+value("a")+value("4")] = "\x00"
	pairs["x2"+value("a")+value("5")] = "\x00" // has no row
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	p := &Plan{Layout: &testLayout, Index: &testTagged, Spans: allOf("a"), Fixed: 1}
	found, stale, err := find(ctx, tx, false, p)
	require.NoError(t, err)
	require.Equal(t, []string{"a 1", "a 3"}, found)
	require.EqualValues(t, 3, stale)

	_, stale, err = find(ctx, tx, true, p)
	require.ErrorIs(t, err, record.ErrCorrupt)
	require.ErrorContains(t, err, `index "tagged"`)
	var row *RowError
	require.ErrorAs(t, err, &row)
	require.Equal(t, value("2"), string(row.PK))
	require.Zero(t, stale)

	// What is not looked at is not stale, and keys alone are not looked at.
	p.Limit = 1
	found, stale, err = find(ctx, tx, true, p)
	require.NoError(t, err)
	require.Equal(t, []string{"a 1"}, found)
	require.Zero(t, stale)
	p.Limit = 0
	found, err = keysOf(ctx, tx, p)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, found)
}

func TestRowThatCannotBeRead(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	put(pairs, &testTagged, "1", "a")
	put(pairs, &testTagged, "2", "a")
	pairs["r"+value("2")] = "\x01nonsense"
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	_, _, err := find(ctx, tx, false, &Plan{Layout: &testLayout, Index: &testTagged, Spans: allOf("a"), Fixed: 1})
	var row *RowError
	require.ErrorAs(t, err, &row)
	require.Equal(t, value("2"), string(row.PK))
	require.ErrorIs(t, err, record.ErrCorrupt)
}

// What the walk's caller does to rows that are ahead leaves no stale entries: an entry
// that was deleted is gone, and one of a unique value that another row has got is not
// the old row's.
func TestWritesAheadOfWalkAreNotStale(t *testing.T) {
	for _, ix := range []*record.Index{&testUnique, &testTagged} {
		t.Run(ix.Name, func(t *testing.T) {
			store := testStore(t)
			pairs := map[string]string{}
			for i := range chunkSize + 10 {
				put(pairs, ix, fmt.Sprint(i), fmt.Sprintf("%03d", i))
			}
			ctx, tx, end := begin(t, store, pairs)
			defer end()
			var stale atomic.Uint64
			var r Rows
			r.Start(Source{Txn: tx, Strict: true, Stale: &stale}, &Plan{Layout: &testLayout, Index: ix, Spans: spans("", "")})
			defer r.Close()
			found, err := r.Next(ctx)
			require.NoError(t, err)
			require.Len(t, found, chunkSize)

			write := map[string]string{}
			moved, gone := fmt.Sprint(chunkSize+3), fmt.Sprint(chunkSize+5)
			put(write, ix, moved, "other")
			put(write, ix, "new", fmt.Sprintf("%03d", chunkSize+3)) // the value of the row that moved
			for k, v := range write {
				require.NoError(t, tx.Set([]byte(k), []byte(v)))
			}
			if !ix.Unique {
				require.NoError(t, tx.Delete([]byte(string(ix.Prefix)+value(moved)+value(moved))))
			}
			for k := range pairs {
				if k == "r"+value(gone) || k == string(ix.Prefix)+value(gone) || k == string(ix.Prefix)+value(gone)+value(gone) {
					require.NoError(t, tx.Delete([]byte(k)))
				}
			}
			found, err = r.Next(ctx)
			require.NoError(t, err)
			require.Len(t, found, 8)
			require.Zero(t, stale.Load())
		})
	}
}

func TestRowsComeAtFirstMatch(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	put(pairs, &testTagged, "1", "a", "c", "e")
	put(pairs, &testTagged, "2", "b", "c", "d")
	put(pairs, &testTagged, "3", "c")
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	after := func(v, pk string) *Position { return &Position{Key: []byte(value(v) + value(pk))} }
	before := func(v, pk string) *Position {
		return &Position{Key: []byte(value(v) + value(pk)), Back: true}
	}
	for _, c := range []struct {
		name    string
		spans   Spans
		reverse bool
		from    *Position
		limit   int
		want    []string
	}{
		{"all", spans("", ""), false, nil, 0, []string{"a 1", "b 2", "c 3"}},
		{"all in reverse", spans("", ""), true, nil, 0, []string{"e 1", "d 2", "c 3"}},
		{"limited", spans("", ""), false, nil, 2, []string{"a 1", "b 2"}},
		{"limited below what chunks hold", spans("", ""), true, nil, 3, []string{"e 1", "d 2", "c 3"}},
		{"a part", allOf("c", "d", "e"), false, nil, 0, []string{"c 1", "c 2", "c 3"}},
		{"a part with gaps", allOf("d", "a"), false, nil, 0, []string{"a 1", "d 2"}},
		{"in reverse with gaps", allOf("b", "c"), true, nil, 0, []string{"c 3", "c 2", "c 1"}},
		{"after a position", spans("", ""), false, after("a", "1"), 0, []string{"b 2", "c 3"}},
		{"before a position", spans("", ""), false, before("c", "3"), 0, []string{"b 2", "a 1"}},
		{"before a position in reverse", spans("", ""), true, before("d", "2"), 0, []string{"e 1"}},
		{"after a position in reverse", spans("", ""), true, after("e", "1"), 0, []string{"d 2", "c 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Plan{Layout: &testLayout, Index: &testTagged, Spans: c.spans, Repeats: true, Reverse: c.reverse, From: c.from, Limit: c.limit}
			found, _, err := find(ctx, tx, true, p)
			require.NoError(t, err)
			require.Equal(t, c.want, found)
			pks, err := keysOf(ctx, tx, p)
			require.NoError(t, err)
			require.Len(t, pks, len(found))
			for i, pk := range pks {
				require.True(t, strings.HasSuffix(found[i], " "+pk))
			}
		})
	}
}

// A value of a unique index is looked up, but not if a position says on which side of
// it the rows are to be.
func TestOneValueOfUniqueIndex(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	put(pairs, &testUnique, "1", "a")
	put(pairs, &testUnique, "2", "b")
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	for _, c := range []struct {
		name string
		from *Position
		want []string
	}{
		{"without a position", nil, []string{"b 2"}},
		{"after it", &Position{}, nil},
		{"before it", &Position{Back: true}, nil},
		{"from it", &Position{Inclusive: true}, []string{"b 2"}},
		{"back from it", &Position{Inclusive: true, Back: true}, []string{"b 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, reverse := range []bool{false, true} {
				p := &Plan{Layout: &testLayout, Index: &testUnique, Spans: allOf("b"), Fixed: 1, From: c.from, Reverse: reverse}
				if c.from != nil {
					p.From.Key = []byte(value("b"))
				}
				found, _, err := find(ctx, tx, true, p)
				require.NoError(t, err)
				require.Equal(t, c.want, found)
			}
		})
	}
	found, _, err := find(ctx, tx, true, &Plan{Layout: &testLayout, Index: &testUnique, Spans: allOf("c"), Fixed: 1})
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestBatchAsksForEachRowOnce(t *testing.T) {
	store := testStore(t)
	ctx, tx, end := begin(t, store, map[string]string{"ra": "1", "rb": "2"})
	defer end()
	var b Batch
	require.NoError(t, b.Read(ctx, tx))
	require.Equal(t, []int{0, 1, 0, 2}, []int{b.Add([]byte("ra")), b.Add([]byte("rc")), b.Add([]byte("ra")), b.Add([]byte("rb"))})
	require.NoError(t, b.Read(ctx, tx))
	require.Equal(t, 3, b.Len())
	require.Equal(t, "1", string(b.Value(0)))
	require.Nil(t, b.Value(1))
	require.Equal(t, "2", string(b.Value(2)))
	require.Equal(t, "rb", string(b.Key(2)))
}
