package kvtest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func readCases() []testCase {
	return []testCase{
		{name: "Get and Has", run: getAndHas},
		{name: "own writes", run: ownWrites},
		{name: "BatchGet", run: batchGet},
		{name: "BatchGet with own writes", run: batchGetOwnWrites},
		{name: "BatchGet of many keys", run: batchGetMany},
		{name: "DeleteRange", run: deleteRange},
		{name: "an empty store", run: emptyStore},
	}
}

func getAndHas(f *fixture) {
	f.put("a", "1", "c", "3")
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		for name, want := range map[string]string{"a": "1", "c": "3", "b": "", "d": "", "": ""} {
			require.Equal(f, want, f.get(tx, name))
			has, err := tx.Has(f.ctx, key(name))
			f.ok(err)
			require.Equal(f, want != "", has)
		}
		_, err := tx.Get(f.ctx, key("b"))
		f.fails(err, kv.ErrNotFound)
	}
}

func ownWrites(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	tx := f.begin()
	f.set(tx, "a", "11", "d", "14")
	f.del(tx, "b", "e")
	f.lock(tx, "c", "f")
	require.Equal(f, []string{"11", "", "3", "14", "", ""},
		[]string{f.get(tx, "a"), f.get(tx, "b"), f.get(tx, "c"), f.get(tx, "d"), f.get(tx, "e"), f.get(tx, "f")})
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": false, "f": false} {
		has, err := tx.Has(f.ctx, key(name))
		f.ok(err)
		require.Equal(f, want, has, name)
	}
	require.Equal(f, []string{"a=11", "c=3", "d=14"}, f.scan(tx))
	require.Equal(f, []string{"a=1", "b=2", "c=3"}, f.contents(), "nobody else sees them")
	f.set(tx, "b", "22") // set again after delete
	f.del(tx, "d")       // delete again after set
	require.Equal(f, []string{"a=11", "b=22", "c=3"}, f.scan(tx))
	f.commit(tx)
	require.Equal(f, []string{"a=11", "b=22", "c=3"}, f.contents())
}

// batch reads names and returns their values, "" for a missing name.
func (f *fixture) batch(tx *kv.Txn, names ...string) []string {
	f.Helper()
	got, err := tx.BatchGet(f.ctx, keys(names...))
	f.ok(err)
	require.Len(f, got, len(names))
	values := make([]string, len(got))
	for i, v := range got {
		if v != nil {
			require.NotEmpty(f, v)
			values[i] = unmark(v)
		}
	}
	return values
}

func batchGet(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3", "d", "4")
	tooLong := make([]byte, f.store.Info().Limits.MaxKeySize+1)
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		require.Equal(f, []string{"1", "2", "3", "4"}, f.batch(tx, "a", "b", "c", "d"))
		require.Equal(f, []string{"4", "1", "3"}, f.batch(tx, "d", "a", "c"), "in the order asked for")
		require.Equal(f, []string{"2", "2", "1", "2"}, f.batch(tx, "b", "b", "a", "b"), "repeated keys")
		require.Equal(f, []string{"", "1", "", "", "4"}, f.batch(tx, "0", "a", "bb", "bb", "d"), "missing keys")
		require.Equal(f, []string{"3"}, f.batch(tx, "c"))
		require.Equal(f, []string{""}, f.batch(tx, "x"))
		require.Empty(f, f.batch(tx))
		got, err := tx.BatchGet(f.ctx, [][]byte{key("b"), tooLong, key("a")})
		f.ok(err)
		require.Equal(f, [][]byte{val("2"), nil, val("1")}, got)
	}
}

func batchGetOwnWrites(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	tx := f.begin()
	f.set(tx, "b", "22", "d", "44")
	f.del(tx, "c", "e")
	f.lock(tx, "a", "x")
	require.Equal(f, []string{"", "1", "44", "", "22", "1", "22", "", ""},
		f.batch(tx, "e", "a", "d", "c", "b", "a", "b", "x", "y"))
	require.Equal(f, []string{"22", "", "44"}, f.batch(tx, "b", "c", "d"), "all from the write set")
	require.Equal(f, []string{"1"}, f.batch(tx, "a"), "none from the write set")
	require.Empty(f, f.batch(tx))
	got, err := tx.BatchGet(f.ctx, [][]byte{make([]byte, f.store.Info().Limits.MaxKeySize+1), key("d"), key("a")})
	f.ok(err)
	require.Equal(f, [][]byte{nil, val("44"), val("1")}, got)
}

func batchGetMany(f *fixture) {
	const n = 1000
	tx := f.begin()
	var names, want []string
	for i := range n {
		name := fmt.Sprintf("%04d", i*7919%n) // a permutation
		names, want = append(names, name), append(want, "")
		if i%3 > 0 {
			f.set(tx, name, name)
			want[i] = name
		}
	}
	f.commit(tx)
	require.Equal(f, want, f.batch(f.view(), names...))
}

func deleteRange(f *fixture) {
	seed := func() {
		tx := f.begin()
		f.ok(tx.DeleteRange(f.ctx, kv.Range{}))
		f.set(tx, "a", "1", "b", "2", "c", "3", "d", "4")
		f.commit(tx)
	}
	for _, c := range []struct {
		r    kv.Range
		want []string
	}{
		{kv.Range{Start: key("b"), End: key("d")}, []string{"a=1", "d=4"}},
		{kv.Range{Start: key("b")}, []string{"a=1"}},
		{kv.Range{End: key("b")}, []string{"b=2", "c=3", "d=4"}},
		{kv.Range{}, []string{}},
		{kv.Range{Start: key("b"), End: key("b")}, []string{"a=1", "b=2", "c=3", "d=4"}},
		{kv.Range{Start: key("d"), End: key("a")}, []string{"a=1", "b=2", "c=3", "d=4"}},
		{kv.Range{Start: key("e")}, []string{"a=1", "b=2", "c=3", "d=4"}},
	} {
		seed()
		tx := f.begin()
		f.ok(tx.DeleteRange(f.ctx, c.r))
		require.Equal(f, c.want, f.scan(tx))
		f.commit(tx)
		require.Equal(f, c.want, f.contents())
	}
	seed()
	tx := f.begin() // own writes are in the range too
	f.set(tx, "bb", "5", "cc", "6")
	f.del(tx, "c")
	f.ok(tx.DeleteRange(f.ctx, kv.Range{Start: key("b"), End: key("cc")}))
	f.set(tx, "c", "7")
	f.commit(tx)
	require.Equal(f, []string{"a=1", "c=7", "cc=6", "d=4"}, f.contents())
}

func emptyStore(f *fixture) {
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		require.Empty(f, f.scan(tx))
		require.Empty(f, f.get(tx, "a"))
		require.Equal(f, []string{"", ""}, f.batch(tx, "a", "b"))
		c, err := tx.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: true})
		f.ok(err)
		require.False(f, c.Next(f.ctx))
		require.False(f, c.Seek(f.ctx, key("a")))
		f.ok(c.Err())
	}
}
