package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// sample returns the bytes of a store's file with pages of every kind, and how
// many of them are in use: the rest is room to grow.
func sample(t testing.TB, keys int) (file []byte, used int) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sample")
	s := open(t, name, nil)
	for round := range 3 {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			for i := range keys {
				key := fmt.Appendf(nil, "key%04d", i)
				value := bytes.Repeat([]byte{byte(i)}, 1+i*i%(300*(round+1)))
				if i%97 == 0 {
					value = bytes.Repeat(value, 40) // more than a page
				}
				if err := tx.Set(key, value); err != nil {
					return err
				}
			}
			return tx.DeleteRange(t.Context(), kv.Range{Start: []byte("key01"), End: []byte("key02")})
		}))
	}
	var db *bbolt.DB
	require.True(t, s.As(&db))
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		used = int(tx.Size())
		return nil
	}))
	require.NoError(t, s.Close())
	file, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Greater(t, len(file), used)
	return file, used
}

// TestCutOff opens a store's file cut off at, just before and just after every
// page: an error, unless only room to grow is missing.
func TestCutOff(t *testing.T) {
	whole, used := sample(t, 600)
	page := os.Getpagesize()
	name := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(name, whole, 0o600))
	want := contents(t, open(t, name, nil))
	for border := page; border < used+2*page; border += page {
		for _, size := range []int{border - 1, border, border + 1} {
			name := filepath.Join(t.TempDir(), "store")
			require.NoError(t, os.WriteFile(name, whole[:size], 0o600))
			s, err := bolt.Open(name, nil)
			if size < used {
				require.ErrorIs(t, err, kv.ErrCorrupt, "%d of %d bytes", size, used)
				continue
			}
			require.NoError(t, err, "%d of %d bytes", size, used)
			require.Equal(t, want, contents(t, s))
			set(t, s, "new", "1")
			require.NoError(t, s.Close())
		}
	}
}

// TestGarbage opens files that are no bbolt file at all.
func TestGarbage(t *testing.T) {
	rng := lots(t)
	for _, size := range []int{1, 15, 16, 79, 80, 4095, 4096, 4097, 8192, 16384, 100_000} {
		for _, fill := range []func() byte{func() byte { return 0 }, func() byte { return 0xFF }, func() byte { return byte(rng.Uint32()) }} {
			b := make([]byte, size)
			for i := range b {
				b[i] = fill()
			}
			name := filepath.Join(t.TempDir(), "store")
			require.NoError(t, os.WriteFile(name, b, 0o600))
			_, err := bolt.Open(name, nil)
			require.ErrorIs(t, err, kv.ErrCorrupt, "%d bytes", size)
			after, err := os.ReadFile(name)
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, after), "somebody's file was written to")
		}
	}
}

// TestDamage damages a file in many ways: what opens can be used, with errors
// perhaps, and nothing panics.
func TestDamage(t *testing.T) {
	whole, used := sample(t, 600)
	rng := lots(t)
	refused := 0
	const rounds = 100
	for range rounds {
		b := bytes.Clone(whole)
		damage(rng, b[:used])
		if useDamaged(t, b) != nil {
			refused++
		}
	}
	t.Logf("%d of %d damaged files were refused", refused, rounds)
}

// TestWhatDamageIsFound: that to what holds a file together, not that to values.
func TestWhatDamageIsFound(t *testing.T) {
	whole, _ := sample(t, 600)
	page := os.Getpagesize()
	number := func(b []byte, at int) int { return int(binary.NativeEndian.Uint64(b[at:])) }
	const root, freelist, txid = 32, 48, 64 // where a page of metadata has them
	meta := whole[:page]
	if second := whole[page : 2*page]; number(second, txid) > number(meta, txid) {
		meta = second
	}
	for _, at := range []int{root, freelist} {
		b := bytes.Clone(whole)
		clear(b[number(meta, at)*page:][:page])
		require.ErrorIs(t, useDamaged(t, b), kv.ErrCorrupt)
	}

	value := bytes.Repeat([]byte{97}, 1000) // a part of that of key0097
	require.True(t, bytes.Contains(whole, value))
	require.NoError(t, useDamaged(t, bytes.ReplaceAll(whole, value, bytes.ToUpper(value))))
}

// damage changes b in place in one of several ways.
func damage(rng *rand.Rand, b []byte) {
	page := os.Getpagesize()
	pages := len(b) / page
	at := rng.IntN(pages)
	p := b[at*page : (at+1)*page]
	switch rng.IntN(7) {
	case 0: // some bits
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
	case 1: // a page's header
		p[rng.IntN(16)] = byte(rng.Uint32())
	case 2: // an element's header
		p[16+rng.IntN(320)] = byte(rng.Uint32())
	case 3: // a page of zeros
		clear(p)
	case 4: // a page of noise
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
	case 5: // another page
		copy(p, b[rng.IntN(pages)*page:][:page])
	case 6: // another page, with the right number
		id := binary.NativeEndian.Uint64(p)
		copy(p, b[rng.IntN(pages)*page:][:page])
		binary.NativeEndian.PutUint64(p, id)
	}
}

// useDamaged opens a file of these bytes, and uses the store in every way if it
// opens. It returns the error of Open.
func useDamaged(t testing.TB, b []byte) error {
	t.Helper()
	name := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(name, b, 0o600))
	s, err := bolt.Open(name, nil)
	if err != nil {
		if !errors.Is(err, kv.ErrNewerFormat) { // which damage to the number of the format looks like
			require.ErrorIs(t, err, kv.ErrCorrupt)
		}
		return err
	}
	ctx := t.Context()
	allowed := func(err error) {
		if err != nil && !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrCommitUnknown) {
			t.Error(err)
		}
	}
	for _, reverse := range []bool{false, true} {
		allowed(s.View(ctx, func(tx *kv.Txn) error {
			for p, err := range tx.Scan(ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse}) {
				if err != nil {
					return err
				}
				if _, err := tx.Get(ctx, p.Key); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for i := range 5 {
		allowed(s.Update(ctx, func(tx *kv.Txn) error {
			for j := range 60 {
				if err := tx.Set(fmt.Appendf(nil, "key%04d", 10*j+i), bytes.Repeat([]byte("n"), 700)); err != nil {
					return err
				}
			}
			return tx.DeleteRange(ctx, kv.Range{Start: fmt.Appendf(nil, "key%02d", i), End: fmt.Appendf(nil, "key%02d", i+1)})
		}))
	}
	_ = s.Close() // may be an error too
	return nil
}

// FuzzDamage is TestDamage with a say in what is damaged: patches are triples
// of offset and byte.
func FuzzDamage(f *testing.F) {
	whole, used := sample(f, 60)
	f.Add([]byte{})
	f.Add([]byte{0, 16, 0})
	f.Add([]byte{0x10, 0x08, 0x01, 0x30, 0x0A, 0xFF})
	f.Add([]byte{0x20, 0x0A, 0xFF, 0x20, 0x0B, 0xFF, 0x20, 0x10, 0xFF})
	f.Fuzz(func(t *testing.T, patches []byte) {
		b := bytes.Clone(whole)
		for ; len(patches) >= 3; patches = patches[3:] {
			b[int(binary.BigEndian.Uint16(patches))%used] = patches[2]
		}
		_ = useDamaged(t, b)
	})
}

// TestCheckAgreesWithEngine: files that bbolt writes pass the check.
func TestCheckAgreesWithEngine(t *testing.T) {
	rng := lots(t)
	name := filepath.Join(t.TempDir(), "store")
	for range 30 {
		s := open(t, name, &bolt.Options{Verify: true})
		for range 5 {
			require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
				for range rng.IntN(400) {
					key := fmt.Appendf(nil, "%0*d", 1+rng.IntN(100), rng.IntN(3000))
					err := tx.Delete(key)
					if rng.IntN(5) < 3 {
						err = tx.Set(key, make([]byte, 1+rng.IntN(1<<rng.IntN(14))))
					}
					if err != nil {
						return err
					}
				}
				return nil
			}))
		}
		require.NoError(t, s.Close())
		f, err := os.Open(name)
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		require.NoError(t, bolt.Check(f, info.Size()))
		require.NoError(t, f.Close())
	}
}
