package tikv_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientkv "github.com/tikv/client-go/v2/tikv"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// TestOpenAtOnce: of those who make a store at the same time one decides its
// lifetime.
func TestOpenAtOnce(t *testing.T) {
	c := servers.Cluster(t)
	for range 5 {
		prefix := c.Prefix(t)
		var mu sync.Mutex
		opened := map[time.Duration]int{}
		var all sync.WaitGroup
		for i := range 8 {
			want := time.Duration(1+i%2) * time.Minute
			all.Go(func() {
				s, err := c.OpenAt(t.Context(), prefix, &tikv.Options{Options: kv.Options{TxnLifetime: want}})
				if errors.Is(err, kv.ErrOptions) {
					return
				}
				if err != nil || s.Info().TxnLifetime != want {
					t.Errorf("open: %v", err)
					return
				}
				mu.Lock()
				opened[want]++
				mu.Unlock()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Len(t, opened, 1, "two lifetimes for one store")
		for life, n := range opened {
			require.Equal(t, 4, n)
			s, err := c.OpenAt(t.Context(), prefix, nil)
			require.NoError(t, err)
			require.Equal(t, life, s.Info().TxnLifetime)
			require.NoError(t, s.Close())
		}
	}
}

// TestPrefixes: stores never see each other's keys, whatever their prefixes.
func TestPrefixes(t *testing.T) {
	c := servers.Cluster(t)
	base := c.Prefix(t)
	var stores []*kv.Store
	for i, p := range []string{base, base + "a", base + "ab", base + "\x02", base + "\xFF", base + "a\xFF"} {
		if i > 0 {
			t.Cleanup(func() { c.Erase(t, p) })
		}
		s, err := c.OpenAt(t.Context(), p, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		stores = append(stores, s)
	}
	keys := []string{"\x00", "\x01", "\x02", "a", "b", "\xFF\xFF"}
	for i, s := range stores {
		for _, k := range keys {
			put(t, s, k, fmt.Sprint(i))
		}
	}
	for i, s := range stores {
		for _, reverse := range []bool{false, true} {
			n := 0
			require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
				for p, err := range tx.Scan(t.Context(), kv.Range{}, &kv.ScanOptions{Reverse: reverse}) {
					if err != nil {
						return err
					}
					at := n
					if reverse {
						at = len(keys) - 1 - n
					}
					require.Equal(t, keys[at], string(p.Key))
					require.Equal(t, fmt.Sprint(i), string(p.Value))
					n++
				}
				return nil
			}))
			require.Equal(t, len(keys), n)
		}
	}
	require.NoError(t, stores[1].Update(t.Context(), func(tx *kv.Txn) error {
		return tx.DeleteRange(t.Context(), kv.Range{})
	}))
	require.Len(t, scanKeys(t, stores[0]), len(keys))
	require.Len(t, scanKeys(t, stores[2]), len(keys))
	require.Empty(t, scanKeys(t, stores[1]))
}

func scanKeys(t *testing.T, s *kv.Store) []string {
	t.Helper()
	var keys []string
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		for p, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			keys = append(keys, string(p.Key))
		}
		return nil
	}))
	return keys
}

// TestForeignContents: what is no store is not taken for one.
func TestForeignContents(t *testing.T) {
	c := servers.Cluster(t)
	prefix := c.Prefix(t)
	s, err := c.OpenAt(t.Context(), prefix, nil)
	require.NoError(t, err)
	var client *clientkv.KVStore
	require.True(t, s.As(&client))
	settings := []byte(prefix + "\x00settings")
	write := func(v []byte) {
		tx, err := client.Begin()
		require.NoError(t, err)
		require.NoError(t, tx.Set(settings, v))
		require.NoError(t, tx.Commit(t.Context()))
	}
	good := make([]byte, 16)
	good[7] = 1    // the format
	good[15-3] = 1 // of some lifetime
	for _, v := range [][]byte{{1}, good[:8], good[:15], append(good[:16:16], 1), make([]byte, 16), append(good[:8:8], make([]byte, 8)...)} {
		write(v)
		_, err := c.OpenAt(t.Context(), prefix, nil)
		require.ErrorIs(t, err, kv.ErrCorrupt)
	}
	newer := bytes.Clone(good)
	newer[7] = 2
	for _, v := range [][]byte{newer, newer[:8], append([]byte{1}, good[1:]...)} {
		write(v)
		_, err := c.OpenAt(t.Context(), prefix, nil)
		require.ErrorIs(t, err, kv.ErrNewerFormat)
		require.NotErrorIs(t, err, kv.ErrUnavailable)
	}
	write(good)
	require.NoError(t, s.Close())
	s, err = c.OpenAt(t.Context(), prefix, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = c.OpenAt(t.Context(), prefix, &tikv.Options{Options: kv.Options{TxnLifetime: 25 * time.Hour}})
	require.ErrorIs(t, err, kv.ErrOptions)
}

func TestKinds(t *testing.T) {
	require.Equal(t, "model", tikvtest.Model.String())
	require.Equal(t, "stand-in", tikvtest.Standin.String())
	require.Equal(t, "TiKV", tikvtest.TiKV.String())
}
