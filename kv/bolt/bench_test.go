package bolt_test

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest"
)

func Benchmark(b *testing.B) {
	h := kvtest.Files(openKV)
	h.Caps = kvtest.Caps{PromptWatermark: true}
	h.Raw = openRaw
	kvtest.Benchmark(b, h)
}

// openRaw opens bbolt itself, as the driver does.
func openRaw(b *testing.B) *kvtest.Raw {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw"), 0o600, &bbolt.Options{
		InitialMmapSize: 1 << 30,
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true,
	})
	require.NoError(b, err)
	require.NoError(b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(rawBucket)
		return err
	}))
	r := raw{db}
	return &kvtest.Raw{Load: r.load, Begin: r.begin, Get: r.get, BatchGet: r.batchGet, Scan: r.scan, Update: r.update, Close: db.Close}
}

var rawBucket = []byte("data") // immutable

// raw does what the benchmark's shapes do as one would without kv.
type raw struct{ db *bbolt.DB }

func (r raw) load(pairs []kv.Pair) error {
	return r.db.Update(func(tx *bbolt.Tx) error {
		data := tx.Bucket(rawBucket)
		for _, p := range pairs {
			if err := data.Put(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r raw) begin() error {
	return r.db.View(func(*bbolt.Tx) error { return nil })
}

func (r raw) get(key []byte) error { return r.batchGet([][]byte{key}) }

func (r raw) batchGet(keys [][]byte) error {
	return r.db.View(func(tx *bbolt.Tx) error {
		data := tx.Bucket(rawBucket)
		for _, k := range keys {
			if len(bytes.Clone(data.Get(k))) == 0 {
				return io.ErrUnexpectedEOF
			}
		}
		return nil
	})
}

func (r raw) scan(start []byte, limit int, reverse bool) error {
	return r.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(rawBucket).Cursor()
		move := c.Next
		k, v := c.Seek(start)
		if reverse {
			move = c.Prev
			k, v = c.Prev()
		}
		for n := 1; k != nil && n < limit; n++ {
			if len(v) == 0 {
				return io.ErrUnexpectedEOF
			}
			k, v = move()
		}
		if k == nil {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
}

// update syncs always: the driver has no other way.
func (r raw) update(read []byte, writes []kv.Write, _ bool) error {
	return r.db.Update(func(tx *bbolt.Tx) error {
		data := tx.Bucket(rawBucket)
		if read != nil && len(bytes.Clone(data.Get(read))) == 0 {
			return io.ErrUnexpectedEOF
		}
		for _, w := range writes {
			if err := data.Put(w.Key, w.Value); err != nil {
				return err
			}
		}
		return nil
	})
}
