package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestFaults fails each kind of write of each kind of file while commits are
// running. No commit that was acknowledged as synced may be lost, none be
// there in part, and nothing may hang, panic or go on as if all were well.
func TestFaults(t *testing.T) {
	create := []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}
	write := []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}
	sync := []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	all := []errorfs.OpKind{errorfs.OpFilePreallocate, errorfs.OpRemove, errorfs.OpCreate, errorfs.OpReuseForWrite,
		errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	for _, c := range []struct {
		name, path string
		ops        []errorfs.OpKind
		maxSkip    int
	}{
		{"log create", ".log", create, 3},
		{"log write", ".log", write, 40},
		{"log sync", ".log", sync, 40},
		{"table create", ".sst", create, 3},
		{"table write", ".sst", write, 20},
		{"table sync", ".sst", sync, 3},
		{"manifest create", "MANIFEST", create, 1},
		{"manifest write", "MANIFEST", write, 5},
		{"manifest sync", "MANIFEST", sync, 5},
		{"marker create", "marker", create, 1},
		{"all", "", all, 100},
	} {
		for _, once := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/once=%t", c.name, once), func(t *testing.T) {
				t.Parallel()
				for range 2 {
					seed := rand.Uint64()
					t.Logf("seed %d", seed)
					newFaultRound(t, seed, &fault{path: c.path, ops: c.ops, once: once}).run(c.maxSkip)
				}
			})
		}
	}
}

const faultWorkers = 8

// faultRound is one life of a store that ends in a fault.
type faultRound struct {
	*testing.T
	rng   *rand.Rand
	seed  uint64
	fault *fault
	mem   *vfs.MemFS
	store *kv.Store

	acked, tried [faultWorkers]int // the newest commits of each worker, synced and at all
	newest       atomic.Uint64     // version that was handed out
}

func newFaultRound(t *testing.T, seed uint64, f *fault) *faultRound {
	return &faultRound{T: t, rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, fault: f, mem: vfs.NewCrashableMem()}
}

func (r *faultRound) run(maxSkip int) {
	var err error
	r.store, err = openOn(faultFS(r.mem, r.fault), kv.Options{})
	require.NoError(r, err)
	r.fault.arm(r.rng.IntN(maxSkip + 1))
	var wg sync.WaitGroup
	for w := range faultWorkers {
		wg.Go(func() { r.work(w) })
	}
	wg.Wait()
	require.True(r, r.fault.fired.Load(), "the fault was not reached")
	requireFailed(r.T, r.store)
	require.ErrorIs(r, r.store.Close(), kv.ErrFailed)
	r.fault.armed.Store(false)

	r.check(r.mem.CrashClone(vfs.CrashCloneCfg{}))
	r.check(r.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r.rng}))
	r.check(r.mem) // the process lives on
}

// requireFailed: every call tells why the store is out of order.
func requireFailed(t *testing.T, s *kv.Store) {
	_, err := s.Begin(t.Context(), nil)
	require.ErrorIs(t, err, kv.ErrFailed)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, s.View(t.Context(), func(*kv.Txn) error { return nil }), kv.ErrFailed)
	require.ErrorIs(t, s.WaitDurable(t.Context(), 1), kv.ErrFailed)
	_, err = s.Watermark(t.Context())
	require.ErrorIs(t, err, kv.ErrFailed)
}

// work commits until the store fails.
func (r *faultRound) work(w int) {
	rng := rand.New(rand.NewPCG(r.seed, uint64(w)+1))
	for n := 1; ; n++ {
		if n > 3000 {
			r.Error("the fault was not reached")
			return
		}
		pad := make([]byte, 1+rng.IntN(2000))
		if rng.IntN(40) == 0 {
			pad = make([]byte, 60<<10) // does not fit into a memtable
		}
		for i := range pad {
			pad[i] = byte(rng.Uint32())
		}
		o := &kv.TxnOptions{Durability: kv.NoSync}
		if rng.IntN(3) == 0 {
			o.Durability = kv.Sync
		}
		r.tried[w] = n
		err := r.store.Run(r.Context(), o, func(tx *kv.Txn) error {
			tx.OnCommit(func() { r.saw(tx.CommitVersion()) })
			r.saw(tx.ReadVersion())
			return errors.Join(
				tx.Set(key("a", w), []byte(strconv.Itoa(n))),
				tx.Set(key("p", w, n), pad),
				tx.Set(key("z", w), []byte(strconv.Itoa(n))))
		})
		switch {
		case err == nil && o.Durability == kv.Sync:
			r.acked[w] = n
		case err == nil:
		case errors.Is(err, kv.ErrCommitUnknown):
			if errors.Is(err, kv.ErrUnavailable) {
				r.Errorf("both unknown and known to have failed: %v", err)
			}
			return
		default:
			if !errors.Is(err, kv.ErrUnavailable) {
				r.Error(err)
			}
			r.tried[w] = n - 1
			return
		}
		if rng.IntN(4) == 0 && !r.read(rng.IntN(faultWorkers)) {
			return
		}
	}
}

// read reads what worker w wrote last, or reports that the store has failed.
func (r *faultRound) read(w int) bool {
	err := r.store.View(r.Context(), func(tx *kv.Txn) error {
		got, err := tx.BatchGet(r.Context(), [][]byte{key("z", w), key("a", w)})
		if err != nil {
			return err
		}
		if string(got[0]) != string(got[1]) {
			r.Error("half of a commit is visible")
		}
		for _, err := range tx.Scan(r.Context(), kv.Range{Start: key("p", w)}, &kv.ScanOptions{Limit: 10}) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, kv.ErrUnavailable) {
		r.Error(err)
	}
	return err == nil
}

func (r *faultRound) saw(v kv.Version) {
	for {
		old := r.newest.Load()
		if old >= uint64(v) || r.newest.CompareAndSwap(old, uint64(v)) {
			return
		}
	}
}

// check opens what is left on fs.
func (r *faultRound) check(fs vfs.FS) {
	s, err := openOn(fs, kv.Options{})
	require.NoError(r, err)
	require.NoError(r, s.View(r.Context(), func(tx *kv.Txn) error {
		require.GreaterOrEqual(r, uint64(tx.ReadVersion()), r.newest.Load(), "versions went back")
		for w := range faultWorkers {
			n := number(r.T, tx, key("a", w))
			require.Equal(r, n, number(r.T, tx, key("z", w)), "half of a commit is there")
			require.GreaterOrEqual(r, n, r.acked[w], "worker %d lost a synced commit", w)
			require.LessOrEqual(r, n, r.tried[w])
			requireFirst(r.T, tx, fmt.Sprintf("[p %d ", w), n)
		}
		return nil
	}))
	require.NoError(r, s.Close())
}

// key makes "[a b c]" of a, b and c.
func key(parts ...any) []byte { return fmt.Appendf(nil, "%v", parts) }

// requireFirst: the keys that are prefix, a number and a bracket have exactly
// the numbers 1 to n.
func requireFirst(t *testing.T, tx *kv.Txn, prefix string, n int) {
	found := 0
	r := kv.Range{Start: []byte(prefix + "0"), End: []byte(prefix + ":")} // past the digits
	for p, err := range tx.Scan(t.Context(), r, &kv.ScanOptions{KeysOnly: true}) {
		require.NoError(t, err)
		i, err := strconv.Atoi(strings.TrimSuffix(string(p.Key[len(prefix):]), "]"))
		require.NoError(t, err)
		require.LessOrEqual(t, i, n, "a commit is there that came after the last")
		found++
	}
	require.Equal(t, n, found, "a commit is missing in the middle")
}

// number reads a decimal value, 0 for none.
func number(t *testing.T, tx *kv.Txn, key []byte) int {
	v, err := tx.Get(t.Context(), key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0
	}
	require.NoError(t, err)
	n, err := strconv.Atoi(string(v))
	require.NoError(t, err)
	return n
}

// TestFailedStoreRests: a store that has failed, and is not closed yet, does
// not retry what cannot succeed as fast as it can.
func TestFailedStoreRests(t *testing.T) {
	for _, path := range []string{".sst", "MANIFEST", ".log"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newFaultRound(t, 1, &fault{path: path, ops: []errorfs.OpKind{errorfs.OpFileWrite}})
				var ops atomic.Int64
				count := errorfs.InjectorFunc(func(errorfs.Op) error { ops.Add(1); return nil })
				var err error
				r.store, err = openOn(errorfs.Wrap(faultFS(r.mem, r.fault), count), kv.Options{})
				require.NoError(t, err)
				r.fault.arm(100)
				r.work(0)
				before := ops.Load()
				<-time.After(time.Minute) // of the bubble's clock
				require.Less(t, ops.Load()-before, int64(60*100))
				require.ErrorIs(t, r.store.Close(), kv.ErrFailed)
			})
		})
	}
}
