package kvtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Raw is an engine without kv, as a program would use it that needs nothing of what
// kv adds: conflict checks, versions, limits, lifetimes. Each function does once
// what its shape of Benchmark does through kv; a nil function leaves its shapes
// without comparison. Benchmark calls the functions from many goroutines at once.
type Raw struct {
	// Load stores pairs before anything is measured. It must not be nil.
	Load func(pairs []kv.Pair) error

	// Begin takes a snapshot and releases it.
	Begin func() error

	// Get reads one key from a new snapshot, and copies its value.
	Get func(key []byte) error

	// BatchGet reads keys from a new snapshot, and copies their values.
	BatchGet func(keys [][]byte) error

	// Scan visits limit pairs of a new snapshot, from start up or, in reverse,
	// from the last key below it down, keys and values.
	Scan func(start []byte, limit int, reverse bool) error

	// Update reads the key read, unless it is nil, and applies writes
	// atomically; sync says that it returns when they are durable.
	Update func(read []byte, writes []kv.Write, sync bool) error

	// Close releases the engine; nil if there is nothing to release.
	Close func() error
}

const (
	benchPairs = 10_000
	benchValue = 100
	benchFan   = 64 // goroutines of the concurrent shape
	benchBulk  = 1000
)

// Benchmark measures fixed shapes of work on the driver that h opens, each
// beside the raw engine, if h.Raw gives one. Rounds of kv and of the raw engine
// alternate within one run, so that a noisy machine hits both alike. Reported
// are the medians of the rounds, "ns/op" for kv and "raw-ns/op", and the ratio
// of the two.
//
// The store holds 10,000 pairs with values of 100 bytes. Shapes that commit
// without syncing need Caps.NoSync.
func Benchmark(b *testing.B, h Harness) {
	w := newWorkload(b, h)
	for _, s := range w.shapes() {
		if s.noSync && !h.Caps.NoSync {
			continue
		}
		b.Run(s.name, func(b *testing.B) { s.measure(b) })
	}
}

// shape is one kind of work, done through kv and raw. Operations are numbered,
// so that they can use different keys.
type shape struct {
	name    string
	kv, raw func(i int) error // raw is nil without comparison
	fan     int               // how many goroutines share the work; 0 is one
	noSync  bool
}

// measure runs b.N operations of each kind in alternating rounds. Rounds are
// many and short, so that most of them escape what else the machine does.
func (s shape) measure(b *testing.B) {
	const maxRounds, fanWork = 301, 16
	rounds := min(b.N, maxRounds)
	if s.fan > 0 { // enough work for all goroutines in each round
		rounds = min(rounds, max(1, b.N/(s.fan*fanWork)))
	}
	var kvTimes, rawTimes []float64
	for round, first := 0, 0; round < rounds; round++ {
		n := (b.N - first) / (rounds - round)
		sides := []func(){
			func() { kvTimes = append(kvTimes, s.round(b, s.kv, first, n)) },
			func() {
				if s.raw != nil {
					rawTimes = append(rawTimes, s.round(b, s.raw, first, n))
				}
			},
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			side()
		}
		first += n
	}
	b.ReportMetric(median(kvTimes), "ns/op")
	if rawTimes != nil {
		b.ReportMetric(median(rawTimes), "raw-ns/op")
		b.ReportMetric(median(kvTimes)/median(rawTimes), "ratio")
	}
}

// round does operations first to first+n, and returns nanoseconds for each.
func (s shape) round(b *testing.B, do func(int) error, first, n int) float64 {
	began := time.Now()
	if s.fan == 0 {
		for i := first; i < first+n; i++ {
			if err := do(i); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(began)) / float64(n)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(s.fan, n) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := do(first + int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(time.Since(began)) / float64(n)
}

func median(times []float64) float64 {
	slices.Sort(times)
	n := len(times)
	return (times[(n-1)/2] + times[n/2]) / 2
}

// workload is the data that all shapes share.
type workload struct {
	ctx   context.Context
	store *kv.Store
	raw   *Raw // empty if the harness has no Raw
	keys  [][]byte
	value []byte
}

func newWorkload(b *testing.B, h Harness) *workload {
	w := &workload{ctx: b.Context(), store: h.Open(b, &kv.Options{}), raw: &Raw{}, value: make([]byte, benchValue)}
	b.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range benchValue {
		w.value[i] = byte(i)
	}
	var pairs []kv.Pair
	for i := range benchPairs {
		w.keys = append(w.keys, fmt.Appendf(nil, "bench/%08d", i))
		pairs = append(pairs, kv.Pair{Key: w.keys[i], Value: w.value})
	}
	for part := range slices.Chunk(pairs, 1000) {
		err := w.store.Update(w.ctx, func(tx *kv.Txn) error {
			for _, p := range part {
				if err := tx.Set(p.Key, p.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if h.Raw == nil {
		return w
	}
	w.raw = h.Raw(b)
	if w.raw.Close != nil {
		b.Cleanup(func() {
			if err := w.raw.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	if err := w.raw.Load(pairs); err != nil {
		b.Fatal(err)
	}
	return w
}

// key returns the i-th key of a walk that visits all of them, far apart.
func (w *workload) key(i int) []byte { return w.keys[i*7919%benchPairs] }

func (w *workload) shapes() []shape {
	return []shape{
		{name: "begin and rollback", kv: w.begin, raw: rawShape(w.raw.Begin != nil, func(int) error { return w.raw.Begin() })},
		{name: "get", kv: w.get, raw: rawShape(w.raw.Get != nil, func(i int) error { return w.raw.Get(w.key(i)) })},
		{name: "batch get 50", kv: w.batchGet, raw: rawShape(w.raw.BatchGet != nil, func(i int) error { return w.raw.BatchGet(w.batch(i)) })},
		w.scan("scan 100", 100, false),
		w.scan("scan 1000", 1000, false),
		w.scan("reverse scan 100", 100, true),
		w.update("update nosync", 3, kv.NoSync, 0),
		w.update("update sync", 3, kv.Sync, 0),
		w.update("update sync x64", 3, kv.Sync, benchFan),
		w.update("bulk 1000 nosync", benchBulk, kv.NoSync, 0),
		w.update("bulk 1000 sync", benchBulk, kv.Sync, 0),
	}
}

// rawShape returns do if the engine offers it.
func rawShape(offered bool, do func(i int) error) func(i int) error {
	if !offered {
		return nil
	}
	return do
}

func (w *workload) begin(int) error {
	tx, err := w.store.Begin(w.ctx, nil)
	if err != nil {
		return err
	}
	tx.Rollback()
	return nil
}

func (w *workload) get(i int) error {
	return w.store.View(w.ctx, func(tx *kv.Txn) error {
		_, err := tx.Get(w.ctx, w.key(i))
		return err
	})
}

// batch returns 50 keys from all over the store.
func (w *workload) batch(i int) [][]byte {
	keys := make([][]byte, 50)
	for j := range keys {
		keys[j] = w.key(i*len(keys) + j)
	}
	return keys
}

func (w *workload) batchGet(i int) error {
	return w.store.View(w.ctx, func(tx *kv.Txn) error {
		_, err := tx.BatchGet(w.ctx, w.batch(i))
		return err
	})
}

func (w *workload) scan(name string, limit int, reverse bool) shape {
	// Starts leave room for limit pairs in either direction.
	start := func(i int) []byte { return w.keys[limit+i*7919%(benchPairs-2*limit)] }
	return shape{
		name: name,
		kv: func(i int) error {
			r := kv.Range{Start: start(i)}
			if reverse {
				r = kv.Range{End: start(i)}
			}
			return w.store.View(w.ctx, func(tx *kv.Txn) error {
				n := 0
				for p, err := range tx.Scan(w.ctx, r, &kv.ScanOptions{Reverse: reverse, Limit: limit}) {
					if err != nil {
						return err
					}
					n += min(1, len(p.Value))
				}
				if n != limit {
					return fmt.Errorf("scanned %d pairs, not %d", n, limit)
				}
				return nil
			})
		},
		raw: rawShape(w.raw.Scan != nil, func(i int) error { return w.raw.Scan(start(i), limit, reverse) }),
	}
}

// update reads one key and writes n others, which no concurrent operation does.
func (w *workload) update(name string, n int, d kv.Durability, fan int) shape {
	o := &kv.TxnOptions{Durability: d}
	return shape{
		name:   name,
		fan:    fan,
		noSync: d == kv.NoSync,
		kv: func(i int) error {
			return w.store.Run(w.ctx, o, func(tx *kv.Txn) error {
				if _, err := tx.Get(w.ctx, w.key(i*n)); err != nil {
					return err
				}
				for j := range n {
					if err := tx.Set(w.key(i*n+j), w.value); err != nil {
						return err
					}
				}
				return nil
			})
		},
		raw: rawShape(w.raw.Update != nil, func(i int) error {
			writes := make([]kv.Write, n)
			for j := range writes {
				writes[j] = kv.Write{Key: w.key(i*n + j), Value: w.value}
			}
			return w.raw.Update(w.key(i*n), writes, d == kv.Sync)
		}),
	}
}
