package memory_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

func Example() {
	ctx := context.Background()
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	err = store.Update(ctx, func(tx *kv.Txn) error {
		return tx.Set([]byte("greeting"), []byte("hello"))
	})
	if err != nil {
		log.Fatal(err)
	}
	err = store.View(ctx, func(tx *kv.Txn) error {
		v, err := tx.Get(ctx, []byte("greeting"))
		fmt.Println(string(v))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: hello
}

func TestOptions(t *testing.T) {
	store, err := memory.Open(&memory.Options{Options: kv.Options{TxnLifetime: time.Minute, MaxTxnSize: 64 << 20}})
	require.NoError(t, err)
	defer store.Close()
	info := store.Info()
	require.Equal(t, "memory", info.Name)
	require.Equal(t, time.Minute, info.TxnLifetime)
	require.Equal(t, 64<<20, info.Limits.MaxTxnSize, "may be more than the default")
	require.Equal(t, kv.DefaultMaxKeySize, info.Limits.MaxKeySize)
	require.True(t, info.NoSync)
	require.False(t, store.As(new(int)))

	for _, o := range []kv.Options{{TxnLifetime: -1}, {MaxTxnSize: -1}} {
		_, err := memory.Open(&memory.Options{Options: o})
		require.ErrorIs(t, err, kv.ErrOptions)
	}
}

// TestStoresAreApart: two stores share nothing, and none outlives its Close.
func TestStoresAreApart(t *testing.T) {
	a, err := memory.Open(nil)
	require.NoError(t, err)
	b, err := memory.Open(nil)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, a.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set([]byte("k"), []byte("v")) }))
	require.NoError(t, b.View(t.Context(), func(tx *kv.Txn) error {
		ok, err := tx.Has(t.Context(), []byte("k"))
		require.False(t, ok)
		return err
	}))
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Close(), kv.ErrClosed)
}

// TestReadersDuringCommits: while writers move amounts between keys, and add
// and remove keys, every snapshot that is scanned or read has the same sum. The
// race detector watches the nodes that the states share.
func TestReadersDuringCommits(t *testing.T) {
	store, err := memory.Open(&memory.Options{Options: kv.Options{MinBackoff: 1, MaxBackoff: 1, MaxAttempts: 1 << 30}})
	require.NoError(t, err)
	defer store.Close()
	ctx := t.Context()
	const accounts, each, workers, moves = 200, 5, 2, 100
	key := func(i int) []byte { return fmt.Appendf(nil, "%03d", i) }
	require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
		for i := range accounts {
			if err := tx.Set(key(i), make([]byte, each)); err != nil { // a value's length is its amount
				return err
			}
		}
		return nil
	}))
	amount := func(tx *kv.Txn, i int) (int, error) {
		v, err := tx.BatchGet(ctx, [][]byte{key(i)})
		if err != nil {
			return 0, err
		}
		return len(v[0]), nil
	}
	set := func(tx *kv.Txn, i, amount int) error {
		if amount == 0 {
			return tx.Delete(key(i))
		}
		return tx.Set(key(i), make([]byte, amount))
	}
	var writers, readers sync.WaitGroup
	failures := make(chan error, 2*workers)
	stop := make(chan struct{})
	for w := range workers {
		writers.Go(func() {
			for i := range moves {
				from, to := (i*7+w)%accounts, (i*13+w+1)%accounts
				if from == to {
					continue
				}
				err := store.Update(ctx, func(tx *kv.Txn) error {
					a, err := amount(tx, from)
					if err != nil || a == 0 {
						return err
					}
					b, err := amount(tx, to)
					if err != nil {
						return err
					}
					if err := set(tx, from, a-1); err != nil {
						return err
					}
					return set(tx, to, b+1)
				})
				if err != nil {
					failures <- err
					return
				}
			}
		})
	}
	for r := range workers {
		readers.Go(func() {
			for {
				err := store.View(ctx, func(tx *kv.Txn) error {
					scanned, read := 0, 0
					for p, err := range tx.Scan(ctx, kv.Range{}, &kv.ScanOptions{Reverse: r == 0}) {
						if err != nil {
							return err
						}
						scanned += len(p.Value)
					}
					for i := range accounts {
						n, err := amount(tx, i)
						if err != nil {
							return err
						}
						read += n
					}
					if scanned != accounts*each || read != scanned {
						return fmt.Errorf("scanned %d, read %d", scanned, read)
					}
					return nil
				})
				if err != nil {
					failures <- err
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	close(failures)
	require.NoError(t, <-failures)
}

// filled returns a store with 100,000 keys, and those keys.
func filled(b *testing.B) (*kv.Store, [][]byte) {
	store, err := memory.Open(nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	keys := make([][]byte, 100_000)
	require.NoError(b, store.Update(b.Context(), func(tx *kv.Txn) error {
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "%08d", i)
			if err := tx.Set(keys[i], []byte("0123456789")); err != nil {
				return err
			}
		}
		return nil
	}))
	return store, keys
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		store, err := memory.Open(nil)
		require.NoError(b, err)
		require.NoError(b, store.Close())
	}
}

// BenchmarkUpdate reads one key and writes three: neighbours, as the row and
// index entries of a record often are, or keys from all over the store.
func BenchmarkUpdate(b *testing.B) {
	for _, shape := range []struct {
		name   string
		stride int
	}{{"near", 1}, {"far", 33_331}} {
		b.Run(shape.name, func(b *testing.B) {
			store, keys := filled(b)
			ctx, i := b.Context(), 0
			update := func(tx *kv.Txn) error {
				if _, err := tx.Get(ctx, keys[i]); err != nil {
					return err
				}
				for j := range 3 {
					if err := tx.Set(keys[(i+j*shape.stride)%len(keys)], keys[0]); err != nil {
						return err
					}
				}
				return nil
			}
			b.ReportAllocs()
			for b.Loop() {
				i = (i + 7919) % len(keys)
				if err := store.Update(ctx, update); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	store, keys := filled(b)
	ctx, i := b.Context(), 0
	view := func(tx *kv.Txn) error {
		_, err := tx.Get(ctx, keys[i])
		return err
	}
	b.ReportAllocs()
	for b.Loop() {
		i = (i + 7919) % len(keys)
		if err := store.View(ctx, view); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan walks 100 pairs.
func BenchmarkScan(b *testing.B) {
	store, keys := filled(b)
	ctx := b.Context()
	view := func(tx *kv.Txn) error {
		n := 0
		for _, err := range tx.Scan(ctx, kv.Range{Start: keys[500], End: keys[600]}, nil) {
			if err != nil {
				return err
			}
			n++
		}
		require.Equal(b, 100, n)
		return nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := store.View(ctx, view); err != nil {
			b.Fatal(err)
		}
	}
}
