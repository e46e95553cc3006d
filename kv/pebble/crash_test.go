package pebble_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

var lives = flag.Int("lives", 20, "how often TestCrash crashes each of its machines")

// TestCrash crashes a machine again and again. Synced commits, and those that
// WaitDurable has waited for, survive; of the others a tail is lost, never one
// in the middle; no version is handed out twice.
func TestCrash(t *testing.T) {
	for _, percent := range []int{0, 30, 100} {
		t.Run(fmt.Sprintf("%d percent of unsynced data reach the disk", percent), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			m := machine{T: t, rng: rand.New(rand.NewPCG(seed, 0)), fs: vfs.NewCrashableMem()}
			for range *lives {
				m.live()
				m.fs = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: m.rng})
			}
		})
	}
}

// machine runs a store on a file system that can crash. Commit n sets the key
// n and makes n the value of the key newest.
type machine struct {
	*testing.T
	rng            *rand.Rand
	fs             *vfs.MemFS
	durable, tried int
	version        kv.Version // the highest that was handed out
}

func (m *machine) live() {
	s, err := openOn(m.fs, kv.Options{})
	require.NoError(m, err)
	n := m.check(s)
	for range m.rng.IntN(200) {
		n++
		m.tried = n
		o := &kv.TxnOptions{Durability: kv.NoSync}
		if m.rng.IntN(8) == 0 {
			o.Durability = kv.Sync
		}
		onlyLock := m.rng.IntN(8) == 0
		var tx *kv.Txn
		require.NoError(m, s.Run(m.Context(), o, func(t *kv.Txn) error {
			tx = t
			require.NoError(m, tx.Set(key("newest"), []byte(strconv.Itoa(n))))
			return tx.Set(key(n), make([]byte, 1+m.rng.IntN(3000)))
		}))
		require.Greater(m, tx.CommitVersion(), m.version, "a version was handed out again")
		m.version = tx.CommitVersion()
		if onlyLock { // it makes what came before durable, though it writes nothing
			require.NoError(m, s.Run(m.Context(), &kv.TxnOptions{Durability: kv.Sync}, func(t *kv.Txn) error {
				tx = t
				return tx.Lock(m.Context(), key("lock"))
			}))
			m.version = tx.CommitVersion()
		}
		waited := m.rng.IntN(16) == 0
		if waited {
			require.NoError(m, s.WaitDurable(m.Context(), m.version))
		}
		if o.Durability == kv.Sync || onlyLock || waited {
			m.durable = n
		}
	}
	switch m.rng.IntN(3) {
	case 0: // the crash comes after a clean end
		require.NoError(m, s.Close())
		m.durable = n
	case 1: // or during one
		done := make(chan error)
		go func() { done <- s.Close() }()
		m.fs = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: m.rng})
		require.NoError(m, <-done)
	default:
		crashed := m.fs
		m.fs = crashed.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: m.rng})
		require.NoError(m, s.Close()) // writes to the machine of before
	}
}

// check tells which commit the store ends with.
func (m *machine) check(s *kv.Store) (n int) {
	require.NoError(m, s.View(m.Context(), func(tx *kv.Txn) error {
		require.GreaterOrEqual(m, tx.ReadVersion(), m.version, "versions went back")
		n = number(m.T, tx, key("newest"))
		require.GreaterOrEqual(m, n, m.durable, "a durable commit was lost")
		require.LessOrEqual(m, n, m.tried)
		requireFirst(m.T, tx, "[", n)
		return nil
	}))
	return n
}

// TestVersionsDoNotRunAhead: a clean end gives back versions that were
// reserved, so that opening again and again does not leave the clock behind.
func TestVersionsDoNotRunAhead(t *testing.T) {
	fs := vfs.NewMem()
	var last kv.Version
	for range 3 {
		s, err := openOn(fs, kv.Options{})
		require.NoError(t, err)
		require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
			require.Equal(t, last, tx.ReadVersion())
			return nil
		}))
		tx, err := s.Begin(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, tx.Set(key("a"), key("b")))
		require.NoError(t, tx.Commit(t.Context()))
		last = tx.CommitVersion()
		require.NoError(t, s.Close())
	}
}
