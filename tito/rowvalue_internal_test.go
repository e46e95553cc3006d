package tito

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParseRow: whatever the bytes, parseRow does not panic, and what it
// accepts means the same once it is written again.
func FuzzParseRow(f *testing.F) {
	for _, h := range []rowHeader{
		{codec: 1, meta: Meta{Revision: 1}},
		{codec: 64, schema: 300, meta: Meta{Revision: 1 << 60, Created: time.Unix(0, -1), Updated: time.Unix(1, 0)}, fingerprint: 1 << 63,
			entries: appendEntry(appendEntry(nil, &entry{index: 1, unique: true, values: []byte("v")}), &entry{index: 1 << 20})},
	} {
		row := append(appendRow(nil, &h), `{"ID":"a"}`...)
		f.Add(row)
		for n := range row {
			f.Add(row[:n])
		}
	}
	f.Add([]byte{rowFormat, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		h, payload, err := parseRow(value)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		size := 0
		var entries []byte
		list := entryList(h.entries)
		for e, ok := list.next(); ok; e, ok = list.next() {
			size += len(e.values)
			entries = appendEntry(entries, &e)
		}
		require.LessOrEqual(t, size, len(value))
		h.entries = entries
		again := append(appendRow(nil, &h), payload...)
		require.LessOrEqual(t, len(again), len(value), "the shortest form is written")
		h2, payload2, err := parseRow(again)
		require.NoError(t, err)
		h2.entries = append([]byte(nil), h2.entries...)
		require.Equal(t, h, h2)
		require.Equal(t, payload, payload2)
		require.Equal(t, again, append(appendRow(nil, &h2), payload2...))
	})
}

// FuzzSplitEntry: index entries of any content are split or refused.
func FuzzSplitEntry(f *testing.F) {
	f.Add([]byte("\x48a\x00\x01\x48b\x00\x01"), []byte{noValue}, true, uint8(1))
	f.Add([]byte("\x48a\x00\x01"), []byte("\x48b\x00\x01"), true, uint8(1))
	f.Add([]byte("\xde\xfa\x08\x21\x05"), []byte{noValue}, false, uint8(2))
	f.Add([]byte("\x48a"), []byte{}, false, uint8(3))
	f.Fuzz(func(t *testing.T, key, value []byte, unique bool, fields uint8) {
		values, pk, err := splitEntry(key, value, unique, int(fields%4))
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		if unique && !isNoValue(value) {
			require.Equal(t, key, values)
			require.Equal(t, value, pk)
		} else {
			require.Equal(t, key, append(append([]byte(nil), values...), pk...))
			require.NotEmpty(t, pk)
		}
	})
}
