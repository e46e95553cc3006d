package kvtest

import (
	"bytes"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func keyCases() []testCase {
	return []testCase{
		{name: "empty keys", run: emptyKeys},
		{name: "empty values", run: emptyValues},
		{name: "binary keys", run: binaryKeys},
		{name: "binary values", run: binaryValues},
		{name: "keys that are prefixes of others", run: prefixKeys},
	}
}

func emptyKeys(f *fixture) {
	tx := f.begin()
	for _, empty := range [][]byte{nil, {}} {
		_, err := tx.Get(f.ctx, empty)
		f.fails(err, kv.ErrEmptyKey)
		_, err = tx.Has(f.ctx, empty)
		f.fails(err, kv.ErrEmptyKey)
		_, err = tx.BatchGet(f.ctx, [][]byte{key("a"), empty})
		f.fails(err, kv.ErrEmptyKey)
		f.fails(tx.Set(empty, val("v")), kv.ErrEmptyKey)
		f.fails(tx.Delete(empty), kv.ErrEmptyKey)
		f.fails(tx.Lock(f.ctx, key("a"), empty), kv.ErrEmptyKey)
	}
	require.Zero(f, tx.Size(), "a refused call leaves nothing behind")
	f.set(tx, "a", "v")
	f.commit(tx)
	require.Equal(f, []string{"a=v"}, f.contents())
}

func emptyValues(f *fixture) {
	f.put("a", "v")
	tx := f.begin()
	for _, empty := range [][]byte{nil, {}} {
		f.fails(tx.Set(key("a"), empty), kv.ErrEmptyValue)
		f.fails(tx.Set(key("b"), empty), kv.ErrEmptyValue)
	}
	require.Zero(f, tx.Size(), "a refused call leaves nothing behind")
	f.set(tx, "b", "w")
	f.commit(tx)
	require.Equal(f, []string{"a=v", "b=w"}, f.contents())
}

func binaryKeys(f *fixture) {
	var all [][]byte
	for b := range 256 {
		all = append(all, []byte{byte(b)})
	}
	for _, n := range []int{2, 3, 8, 9, 100} { // engines pad keys to groups of eight
		all = append(all, bytes.Repeat([]byte{0}, n), bytes.Repeat([]byte{0xFF}, n))
	}
	all = append(all, []byte{0, 0xFF}, []byte{0xFF, 0}, []byte("a\x00"), []byte("a\xFF"), []byte("a\x00b"))
	slices.SortFunc(all, bytes.Compare)
	tx := f.begin()
	for i := len(all) - 1; i >= 0; i-- {
		f.ok(tx.Set(all[i], val(string(all[i]))))
	}
	check := func(tx *kv.Txn) {
		for _, reverse := range []bool{false, true} {
			want := slices.Clone(all)
			if reverse {
				slices.Reverse(want)
			}
			i := 0
			for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse}) {
				f.ok(err)
				require.Less(f, i, len(want))
				require.Equal(f, want[i], p.Key)
				require.Equal(f, val(string(want[i])), p.Value)
				i++
			}
			require.Equal(f, len(want), i)
		}
		got, err := tx.BatchGet(f.ctx, all)
		f.ok(err)
		for i, k := range all {
			require.Equal(f, val(string(k)), got[i])
		}
	}
	check(tx)
	f.commit(tx)
	check(f.view())

	tx = f.begin()
	for _, k := range all {
		f.ok(tx.Delete(k))
	}
	f.commit(tx)
	require.Empty(f, f.contents())
}

func binaryValues(f *fixture) {
	values := [][]byte{{0}, {0xFF}, bytes.Repeat([]byte{0}, 1000), bytes.Repeat([]byte{0xFF}, 1000), []byte("\x00a\x00"), []byte("\n\xFF\xFE")}
	tx := f.begin()
	for i, v := range values {
		f.ok(tx.Set([]byte{byte(i + 1)}, v))
	}
	f.commit(tx)
	tx = f.view()
	for i, v := range values {
		got, err := tx.Get(f.ctx, []byte{byte(i + 1)})
		f.ok(err)
		require.Equal(f, v, got)
	}
}

func prefixKeys(f *fixture) {
	f.put("a", "1", "aa", "2", "aaa", "3")
	f.remove("aa")
	require.Equal(f, []string{"a=1", "aaa=3"}, f.contents())
	require.Empty(f, f.now("aa"))
	require.Empty(f, f.now("aaaa"))
	require.Equal(f, "3", f.now("aaa"))
}
