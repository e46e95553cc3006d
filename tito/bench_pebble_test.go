package tito_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
	kvpebble "github.com/tito-db/tito-go/kv/pebble"
)

func benchPebble() benchEngine {
	return benchEngine{
		name: "pebble",
		open: func(b *testing.B) *kv.Store {
			s, err := kvpebble.Open(b.TempDir(), nil)
			benchMust(b, err)
			b.Cleanup(func() { benchMust(b, s.Close()) })
			return s
		},
		raw: func(b *testing.B, s *kv.Store) benchRaw {
			var db *pebble.DB
			if !s.As(&db) {
				b.Fatal("the store does not give its *pebble.DB")
			}
			return benchPebbleRaw{b, db}
		},
		settle: func(b *testing.B, s *kv.Store) {
			var db *pebble.DB
			if !s.As(&db) {
				b.Fatal("the store does not give its *pebble.DB")
			}
			benchMust(b, db.Compact(context.Background(), []byte{0x00}, []byte{0xFF}, true))
		},
	}
}

// benchPebbleRaw programs Pebble directly: writes are a batch, reads come from
// the newest state, without a snapshot.
type benchPebbleRaw struct {
	b  *testing.B
	db *pebble.DB
}

func (r benchPebbleRaw) update(fn func(tx benchRawTx)) {
	batch := r.db.NewBatch()
	fn(benchPebbleTx{r.b, r.db, batch})
	benchMust(r.b, batch.Commit(pebble.NoSync))
	benchMust(r.b, batch.Close())
}

func (r benchPebbleRaw) view(fn func(tx benchRawTx)) { fn(benchPebbleTx{r.b, r.db, nil}) }

type benchPebbleTx struct {
	b     *testing.B
	db    *pebble.DB
	batch *pebble.Batch
}

func (r benchPebbleTx) get(key []byte, use func([]byte)) {
	value, closer, err := r.db.Get(key)
	benchMust(r.b, err)
	use(value)
	benchMust(r.b, closer.Close())
}

func (r benchPebbleTx) has(key []byte) bool {
	_, closer, err := r.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false
	}
	benchMust(r.b, err)
	benchMust(r.b, closer.Close())
	return true
}

func (r benchPebbleTx) batchGet(keys [][]byte, use func(int, []byte)) {
	for i, k := range keys {
		r.get(k, func(value []byte) { use(i, value) })
	}
}

func (r benchPebbleTx) set(key, value []byte) { benchMust(r.b, r.batch.Set(key, value, nil)) }
func (r benchPebbleTx) delete(key []byte)     { benchMust(r.b, r.batch.Delete(key, nil)) }

func (r benchPebbleTx) scan(rg kv.Range, limit int, yield func([]byte)) {
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: rg.Start, UpperBound: rg.End})
	benchMust(r.b, err)
	for ok := it.First(); ok && limit > 0; ok = it.Next() {
		yield(it.Key())
		limit--
	}
	benchMust(r.b, it.Close())
}
