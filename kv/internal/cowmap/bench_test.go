package cowmap_test

import (
	"encoding/binary"
	"testing"

	"github.com/tito-db/tito-go/kv/internal/cowmap"
)

func large() (m cowmap.Map[[]byte], keys [][]byte) {
	keys = make([][]byte, 100_000)
	for i := range keys {
		keys[i] = binary.BigEndian.AppendUint64(nil, uint64(i)*0x9E3779B97F4A7C15) // spread, the same each time
		m.Set(keys[i], keys[i])
	}
	return m, keys
}

func BenchmarkGet(b *testing.B) {
	m, keys := large()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Get(keys[i%len(keys)])
		i++
	}
}

// BenchmarkCloneSet is a commit of one key.
func BenchmarkCloneSet(b *testing.B) {
	m, keys := large()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m = m.Clone()
		m.Set(keys[i%len(keys)], keys[i%len(keys)])
		i++
	}
}

func BenchmarkNext(b *testing.B) {
	m, _ := large()
	b.ReportAllocs()
	c := m.Cursor(nil, nil, false)
	for b.Loop() {
		if !c.Next() {
			c = m.Cursor(nil, nil, false)
		}
	}
}
