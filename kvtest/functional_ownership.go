package kvtest

import (
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func ownershipCases() []testCase {
	return []testCase{
		{name: "inputs of writes are copied", run: writeInputs},
		{name: "inputs of reads are copied", run: readInputs},
		{name: "results of Get and BatchGet are the caller's", run: resultsOwned},
		{name: "results of scans may be overwritten", run: scanResults},
	}
}

func writeInputs(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	tx := f.begin()
	sets, values, deletes, locks := keys("a", "d"), [][]byte{val("11"), val("44")}, keys("b"), keys("c")
	for i, k := range sets {
		f.ok(tx.Set(k, values[i]))
	}
	f.ok(tx.Delete(deletes[0]))
	f.ok(tx.Lock(f.ctx, locks...))
	wipe(sets...)
	wipe(values...)
	wipe(deletes...)
	wipe(locks...)
	want := []string{"a=11", "c=3", "d=44"}
	require.Equal(f, want, f.scan(tx))
	f.put("c", "33") // the lock is on c still
	f.conflict(tx)

	tx = f.begin()
	k, v := key("a"), val("11")
	f.ok(tx.Set(k, v))
	f.commit(tx)
	wipe(k, v)
	require.Equal(f, []string{"a=11", "b=2", "c=33"}, f.contents())
}

func readInputs(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3", "d", "4", "e", "5")
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		if !tx.ReadOnly() {
			f.set(tx, "bb", "6")
		}
		for _, reverse := range []bool{false, true} {
			r := kv.Range{Start: key("b"), End: key("e")}
			c, err := tx.Cursor(f.ctx, r, &kv.ScanOptions{Reverse: reverse, PageSize: 1})
			f.ok(err)
			wipe(r.Start, r.End)
			var names []string
			for c.Next(f.ctx) {
				names = append(names, unmark(c.Key()))
			}
			f.ok(c.Err())
			want := []string{"b", "c", "d"}
			if !tx.ReadOnly() {
				want = []string{"b", "bb", "c", "d"}
			}
			require.ElementsMatch(f, want, names, "the cursor keeps its range")

			k := key("c")
			require.True(f, c.Seek(f.ctx, k))
			wipe(k)
			require.Equal(f, "c", unmark(c.Key()))
			c.Close()
		}
		k := key("c")
		_, err := tx.Get(f.ctx, k)
		f.ok(err)
		wipe(k)
		many := keys("a", "e")
		got, err := tx.BatchGet(f.ctx, many)
		f.ok(err)
		wipe(many...)
		require.Equal(f, [][]byte{val("1"), val("5")}, got)
		require.Equal(f, "3", f.get(tx, "c"))
	}
}

func resultsOwned(f *fixture) {
	f.put("a", "1", "b", "2")
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		if !tx.ReadOnly() {
			f.set(tx, "b", "22", "c", "33")
		}
		want := f.scan(tx)
		for _, name := range []string{"a", "b"} {
			v, err := tx.Get(f.ctx, key(name))
			f.ok(err)
			wipe(v)
			_ = append(v, "beyond"...) // capacity is no window to other bytes
		}
		got, err := tx.BatchGet(f.ctx, keys("a", "b", "a", "b"))
		f.ok(err)
		wipe(got[0], got[1])
		_ = append(got[0], "beyond"...)
		require.Equal(f, f.batch(tx, "a", "b"), []string{unmark(got[2]), unmark(got[3])}, "results share nothing")
		require.Equal(f, want, f.scan(tx))
		require.Equal(f, "1", f.get(tx, "a"))
	}
	require.Equal(f, []string{"a=1", "b=2"}, f.contents())
}

func scanResults(f *fixture) {
	f.put("a", "1", "b", "2", "c", "3")
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		if !tx.ReadOnly() {
			f.set(tx, "b", "22", "d", "44")
		}
		want := f.scan(tx)
		var got []string
		for p, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
			f.ok(err)
			got = append(got, unmark(p.Key)+"="+unmark(p.Value))
			wipe(p.Key, p.Value)
		}
		require.Equal(f, want, got)
		require.Equal(f, want, f.scan(tx))
	}
	require.Equal(f, []string{"a=1", "b=2", "c=3"}, f.contents())
}
