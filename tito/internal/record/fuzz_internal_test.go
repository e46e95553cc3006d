package record

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParseRow: whatever the bytes, ParseRow does not panic, and what it
// accepts means the same once it is written again.
func FuzzParseRow(f *testing.F) {
	for _, h := range []Header{
		{Stamp: Stamp{Codec: 1, Meta: Meta{Revision: 1}}},
		{Stamp: Stamp{Codec: 64, Schema: 300, Meta: Meta{Revision: 1 << 60, Created: time.Unix(0, -1), Updated: time.Unix(1, 0)}}, Fingerprint: 1 << 63,
			Entries: AppendEntry(AppendEntry(nil, &Entry{Index: 1, Unique: true, Values: []byte("v")}), &Entry{Index: 1 << 20})},
	} {
		row := append(AppendRow(nil, &h), `{"ID":"a"}`...)
		f.Add(row)
		for n := range row {
			f.Add(row[:n])
		}
	}
	f.Add([]byte{RowFormat, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		h, payload, err := ParseRow(value)
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewerFormat), err)
			return
		}
		size := 0
		var entries EntryList
		list := h.Entries
		for e, ok := list.Next(); ok; e, ok = list.Next() {
			size += len(e.Values)
			entries = AppendEntry(entries, &e)
		}
		require.LessOrEqual(t, size, len(value))
		h.Entries = entries
		again := append(AppendRow(nil, &h), payload...)
		require.LessOrEqual(t, len(again), len(value), "the shortest form is written")
		h2, payload2, err := ParseRow(again)
		require.NoError(t, err)
		h2.Entries = append(EntryList(nil), h2.Entries...)
		require.Equal(t, h, h2)
		require.Equal(t, payload, payload2)
		require.Equal(t, again, append(AppendRow(nil, &h2), payload2...))
	})
}

// FuzzSplitEntry: index entries of any content are split or refused.
func FuzzSplitEntry(f *testing.F) {
	f.Add([]byte("\x48a\x00\x01\x48b\x00\x01"), []byte{NoValue}, true, uint8(1))
	f.Add([]byte("\x48a\x00\x01"), []byte("\x48b\x00\x01"), true, uint8(1))
	f.Add([]byte("\xde\xfa\x08\x21\x05"), []byte{NoValue}, false, uint8(2))
	f.Add([]byte("\x48a"), []byte{}, false, uint8(3))
	f.Fuzz(func(t *testing.T, key, value []byte, unique bool, fields uint8) {
		values, pk, err := SplitEntry(key, value, unique, int(fields%4))
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		if unique && !IsNoValue(value) {
			require.Equal(t, key, values)
			require.Equal(t, value, pk)
		} else {
			require.Equal(t, key, append(append([]byte(nil), values...), pk...))
			require.NotEmpty(t, pk)
		}
	})
}
