package tito_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
)

// The checker below knows the storage format from docs/format.md alone, and
// shares no code with the package.

// indexEntry is an entry as a test expects it: in which index, and the encoded
// fields. Unique says that the key ends there.
type indexEntry struct {
	index  string
	values string
	unique bool
}

// tableCheck is what checkStore must know of a table.
type tableCheck struct {
	name    string
	entries func(payload []byte) ([]indexEntry, error)
}

// checkTable is a tableCheck for a table of JSON records; entries computes, by
// means of its own, what a record should have.
func checkTable[T any](name string, entries func(*T) []indexEntry) tableCheck {
	return tableCheck{name, func(payload []byte) ([]indexEntry, error) {
		var rec T
		if err := json.Unmarshal(payload, &rec); err != nil {
			return nil, err
		}
		return entries(&rec), nil
	}}
}

// storedRow is a row's value taken apart.
type storedRow struct {
	codec            byte
	schema, revision uint64
	created, updated int64
	fingerprint      uint64
	entries          []storedEntry
	payload          []byte
}

type storedEntry struct {
	index  uint64
	unique bool
	values string
}

type storedCatalog struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"`
	Indexes []struct {
		ID   uint64 `json:"id"`
		Name string `json:"name"`
	} `json:"indexes"`
}

// dump returns all pairs of the store with the prefix, which it cuts off.
func dump(t require.TestingT, store *kv.Store, prefix string) map[string]string {
	ctx := context.Background()
	all := map[string]string{}
	require.NoError(t, store.View(ctx, func(tx *kv.Txn) error {
		r := kv.Range{Start: []byte(prefix), End: keyenc.PrefixEnd([]byte(prefix))}
		for p, err := range tx.Scan(ctx, r, nil) {
			if err != nil {
				return err
			}
			all[string(p.Key[len(prefix):])] = string(p.Value)
		}
		return nil
	}))
	return all
}

// checkStore fails t unless what the store has under prefix is a catalogue,
// rows of the tables, exactly the index entries that their records should
// have, and nothing else. Tables in the catalogue that are not given have to
// be empty. It returns how many rows there are.
func checkStore(t require.TestingT, store *kv.Store, prefix string, tables ...tableCheck) int {
	if h, ok := t.(testing.TB); ok {
		h.Helper()
	}
	all := dump(t, store, prefix)
	catalogPrefix := "t\x20\x20c"
	head, ok := all[catalogPrefix+"\x08"]
	require.True(t, ok, "no head of the catalogue")
	var next struct {
		Format    int    `json:"format"`
		NextTable uint64 `json:"next_table"`
	}
	require.NoError(t, json.Unmarshal([]byte(head), &next))
	require.Equal(t, 1, next.Format)
	delete(all, catalogPrefix+"\x08")
	rows := 0
	for i := uint64(1); i < next.NextTable; i++ {
		var c storedCatalog
		key, found := "", false
		for k, v := range all {
			if len(k) > len(catalogPrefix) && k[:len(catalogPrefix)] == catalogPrefix {
				c = storedCatalog{}
				require.NoError(t, json.Unmarshal([]byte(v), &c))
				if c.ID == i {
					key, found = k, true
					break
				}
			}
		}
		require.True(t, found, "no table has the id %d", i)
		require.Equal(t, catalogPrefix+string(keyenc.AppendString(nil, c.Name)), key)
		delete(all, key)
		at := slices.IndexFunc(tables, func(c2 tableCheck) bool { return c2.name == c.Name })
		if at >= 0 {
			rows += checkRows(t, all, &c, tables[at])
		}
	}
	require.Empty(t, all, "keys that belong to nothing")
	return rows
}

// checkRows takes the rows of a table and their entries out of all.
func checkRows(t require.TestingT, all map[string]string, c *storedCatalog, check tableCheck) int {
	table := "t\x20" + string(keyenc.AppendUint(nil, c.ID))
	ids := map[string]uint64{}
	for _, ix := range c.Indexes {
		ids[ix.Name] = ix.ID
	}
	rows := 0
	for k, v := range all {
		if len(k) < len(table)+1 || k[:len(table)+1] != table+"r" {
			continue
		}
		rows++
		delete(all, k)
		pk := k[len(table)+1:]
		row, err := parseStored([]byte(v))
		require.NoError(t, err)
		require.Positive(t, row.revision)
		require.LessOrEqual(t, row.created, row.updated)
		entries, err := check.entries(row.payload)
		require.NoError(t, err, "table %q: payload", c.Name)
		want := []storedEntry{}
		for _, e := range entries {
			id, ok := ids[e.index]
			require.True(t, ok, "index %q", e.index)
			want = append(want, storedEntry{id, e.unique, e.values})
		}
		slices.SortFunc(want, compareStored)
		want = slices.Compact(want)
		require.Equal(t, want, row.entries, "table %q: entries listed in the row of %s", c.Name, row.payload)
		for _, e := range want {
			key := table + "x" + string(keyenc.AppendUint(nil, e.index)) + e.values
			value := "\x00"
			if e.unique {
				value = pk
			} else {
				key += pk
			}
			got, ok := all[key]
			require.True(t, ok, "table %q: an entry of index %d is not in the store, of %s", c.Name, e.index, row.payload)
			require.Equal(t, value, got)
			delete(all, key)
		}
	}
	return rows
}

func compareStored(a, b storedEntry) int {
	if a.index != b.index {
		return int(a.index) - int(b.index)
	}
	return slices.Compare([]byte(a.values), []byte(b.values))
}

// parseStored takes a row's value apart, as docs/format.md describes it.
func parseStored(b []byte) (r storedRow, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("row is cut short: %v", p)
		}
	}()
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	if b[0] != 1 {
		return r, fmt.Errorf("row format %d", b[0])
	}
	r.codec, b = b[1], b[2:]
	r.schema, r.revision = uvarint(), uvarint()
	created, n := binary.Varint(b)
	b = b[n:]
	r.created = created
	r.updated = created + int64(uvarint())
	r.fingerprint, b = binary.LittleEndian.Uint64(b), b[8:]
	size := uvarint()
	r.payload = b[size:]
	b = b[:size:size]
	r.entries = []storedEntry{}
	for len(b) > 0 {
		tag := uvarint()
		n := uvarint()
		r.entries = append(r.entries, storedEntry{tag >> 1, tag&1 != 0, string(b[:n])})
		b = b[n:]
	}
	return r, nil
}
