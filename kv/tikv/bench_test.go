package tikv_test

import (
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest"
)

// Benchmark measures each shape beside the client library doing the same.
func Benchmark(b *testing.B) {
	c := servers.Cluster(b)
	h := harness(func(t testing.TB) place { return place{c, c.Prefix(t)} })
	h.Raw = func(b *testing.B) *kvtest.Raw {
		prefix := c.Prefix(b)
		store, err := c.OpenAt(b.Context(), prefix, nil)
		if err != nil {
			b.Fatal(err)
		}
		by := newByHand(b, store, prefix+"\x01")
		ctx := b.Context()
		return &kvtest.Raw{
			Load:     func(pairs []kv.Pair) error { return by.load(ctx, pairs) },
			Begin:    by.begin,
			Get:      func(key []byte) error { return by.get(ctx, key) },
			BatchGet: func(keys [][]byte) error { return by.batchGet(ctx, keys) },
			Scan:     by.scan,
			Update:   func(read []byte, writes []kv.Write, _ bool) error { return by.update(ctx, read, writes) },
			Close:    store.Close,
		}
	}
	kvtest.Benchmark(b, h)
}
