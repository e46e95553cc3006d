package memory_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/tidwall/btree"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest"
)

// BenchmarkDriver puts the driver beside a B-tree under a lock, which has no
// snapshots: its readers and writers wait for each other.
func BenchmarkDriver(b *testing.B) {
	h := harness()
	h.Raw = rawTree
	kvtest.Benchmark(b, h)
}

func rawTree(*testing.B) *kvtest.Raw {
	var mu sync.RWMutex
	tree := btree.NewBTreeGOptions(func(a, b kv.Pair) bool { return bytes.Compare(a.Key, b.Key) < 0 }, btree.Options{NoLocks: true})
	get := func(key []byte) []byte {
		p, _ := tree.Get(kv.Pair{Key: key})
		return bytes.Clone(p.Value)
	}
	return &kvtest.Raw{
		Load: func(pairs []kv.Pair) error {
			for _, p := range pairs {
				tree.Set(p)
			}
			return nil
		},
		Begin: func() error {
			mu.RLock()
			defer mu.RUnlock()
			return nil
		},
		Get: func(key []byte) error {
			mu.RLock()
			defer mu.RUnlock()
			get(key)
			return nil
		},
		BatchGet: func(keys [][]byte) error {
			mu.RLock()
			defer mu.RUnlock()
			values := make([][]byte, len(keys))
			for i, k := range keys {
				values[i] = get(k)
			}
			return nil
		},
		Scan: func(start []byte, limit int, reverse bool) error {
			mu.RLock()
			defer mu.RUnlock()
			n := 0
			visit := func(p kv.Pair) bool {
				if !reverse || n > 0 || !bytes.Equal(p.Key, start) {
					n += min(1, len(p.Value))
				}
				return n < limit
			}
			if reverse {
				tree.Descend(kv.Pair{Key: start}, visit)
			} else {
				tree.Ascend(kv.Pair{Key: start}, visit)
			}
			if n != limit {
				return fmt.Errorf("scanned %d pairs", n)
			}
			return nil
		},
		Update: func(read []byte, writes []kv.Write, _ bool) error {
			mu.Lock()
			defer mu.Unlock()
			get(read)
			for _, w := range writes {
				buf := make([]byte, 0, len(w.Key)+len(w.Value))
				buf = append(append(buf, w.Key...), w.Value...)
				tree.Set(kv.Pair{Key: buf[:len(w.Key):len(w.Key)], Value: buf[len(w.Key):]})
			}
			return nil
		},
	}
}
