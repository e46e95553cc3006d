package pebble_test

import (
	"io"
	"slices"
	"testing"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kvtest"
)

func Benchmark(b *testing.B) {
	h := kvtest.Files(openDir)
	h.Caps = kvtest.Caps{NoSync: true, PromptWatermark: true}
	h.Raw = openRaw
	kvtest.Benchmark(b, h)
}

// openRaw opens Pebble itself, with the driver's options.
func openRaw(b *testing.B) *kvtest.Raw {
	o := (&pebble.Options{}).Engine()
	o.Logger = quiet{}
	db, err := engine.Open(b.TempDir(), o)
	require.NoError(b, err)
	r := raw{db}
	return &kvtest.Raw{Load: r.load, Begin: r.begin, Get: r.get, BatchGet: r.batchGet, Scan: r.scan, Update: r.update, Close: db.Close}
}

// quiet is a logger for an engine whose failures the benchmark sees as errors.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, _ ...any) { panic(format) }

// raw does what the benchmark's shapes do as one would without kv.
type raw struct{ db *engine.DB }

func (r raw) load(pairs []kv.Pair) error {
	writes := make([]kv.Write, len(pairs))
	for i, p := range pairs {
		writes[i] = kv.Write(p)
	}
	return r.update(nil, writes, true)
}

func (r raw) begin() error { return r.db.NewSnapshot().Close() }

func (r raw) get(key []byte) error {
	s := r.db.NewSnapshot()
	if err := copyValue(s, key); err != nil {
		return err
	}
	return s.Close()
}

func copyValue(r engine.Reader, key []byte) error {
	v, done, err := r.Get(key)
	if err != nil {
		return err
	}
	if len(slices.Clone(v)) == 0 {
		return io.ErrUnexpectedEOF
	}
	return done.Close()
}

func (r raw) batchGet(keys [][]byte) error {
	s := r.db.NewSnapshot()
	for _, k := range keys {
		if err := copyValue(s, k); err != nil {
			return err
		}
	}
	return s.Close()
}

func (r raw) scan(start []byte, limit int, reverse bool) error {
	s := r.db.NewSnapshot()
	it, err := s.NewIter(nil)
	if err != nil {
		return err
	}
	move, ok := it.Next, false
	if reverse {
		move, ok = it.Prev, it.SeekLT(start)
	} else {
		ok = it.SeekGE(start)
	}
	for n := 1; ok && n < limit; n++ {
		if len(it.Value()) == 0 {
			return io.ErrUnexpectedEOF
		}
		ok = move()
	}
	if !ok {
		return io.ErrUnexpectedEOF
	}
	if err := it.Close(); err != nil {
		return err
	}
	return s.Close()
}

func (r raw) update(read []byte, writes []kv.Write, sync bool) error {
	if read != nil {
		if err := copyValue(r.db, read); err != nil {
			return err
		}
	}
	b := r.db.NewBatch()
	for _, w := range writes {
		if err := b.Set(w.Key, w.Value, nil); err != nil {
			return err
		}
	}
	if err := b.Commit(&engine.WriteOptions{Sync: sync}); err != nil {
		return err
	}
	return b.Close()
}
