package pebble_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

// fill opens a store in dir, commits n pairs, and closes it.
func fill(t *testing.T, dir string, n int) {
	s, err := pebble.Open(dir, &pebble.Options{MemTableSize: pebble.MinMemTableSize})
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
			return tx.Set(key(i), bytes.Repeat(key(i), 200))
		}))
	}
	require.NoError(t, s.Close())
}

func TestOptions(t *testing.T) {
	for _, o := range []pebble.Options{
		{CacheSize: -1},
		{MemTableSize: -1},
		{MemTableSize: pebble.MinMemTableSize - 1},
		{MemTableSize: pebble.MaxMemTableSize + 1},
		{Options: kv.Options{TxnLifetime: -1}},
	} {
		dir := filepath.Join(t.TempDir(), "db")
		_, err := pebble.Open(dir, &o)
		require.ErrorIs(t, err, kv.ErrOptions)
		require.NoDirExists(t, dir, "it was made for nothing")
	}
	_, err := pebble.Open(t.TempDir(), &pebble.Options{Options: kv.Options{MaxAttempts: -1}})
	require.ErrorIs(t, err, kv.ErrOptions)
}

// TestLifetime: the store keeps the lifetime that it was made with.
func TestLifetime(t *testing.T) {
	dir := t.TempDir()
	open := func(lifetime time.Duration) (*kv.Store, error) {
		return pebble.Open(dir, &pebble.Options{Options: kv.Options{TxnLifetime: lifetime}})
	}
	for _, lifetime := range []time.Duration{3 * time.Second, 0, 3 * time.Second} {
		s, err := open(lifetime)
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, s.Info().TxnLifetime)
		require.NoError(t, s.Close())
	}
	_, err := open(kv.DefaultTxnLifetime)
	require.ErrorIs(t, err, kv.ErrOptions)
}

func TestMaxTxnSize(t *testing.T) {
	s, err := pebble.Open(t.TempDir(), &pebble.Options{Options: kv.Options{MaxTxnSize: 40 << 20}})
	require.NoError(t, err)
	defer s.Close()
	value := make([]byte, 6<<20)
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { // beyond a memtable
		for i := range 6 {
			if err := tx.Set(key(i), value); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		got, err := tx.BatchGet(t.Context(), [][]byte{key(0), key(5)})
		require.NoError(t, err)
		require.Equal(t, [][]byte{value, value}, got)
		return nil
	}))
}

func TestNotADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := pebble.Open(dir, nil)
		require.ErrorIs(t, err, kv.ErrUnavailable)
		require.ErrorContains(t, err, "not a directory")
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "text", string(got))
}

// TestNoPermission: a lock file that cannot be made is not a held lock.
func TestNoPermission(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpLock, errorfs.OpCreate, errorfs.OpMkdirAll, errorfs.OpList, errorfs.OpOpenDir} {
		denied := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != kind {
				return nil
			}
			return &fs.PathError{Op: "open", Path: op.Path, Err: fs.ErrPermission}
		})
		_, err := openOn(errorfs.Wrap(vfs.NewMem(), denied), kv.Options{})
		require.ErrorIs(t, err, fs.ErrPermission)
		require.ErrorIs(t, err, kv.ErrUnavailable)
		require.NotErrorIs(t, err, kv.ErrLocked)
	}
}

// TestForeign: somebody else's database is left alone.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	db, err := engine.Open(dir, &engine.Options{Logger: quiet{}})
	require.NoError(t, err)
	require.NoError(t, db.Set([]byte("theirs"), []byte("value"), engine.Sync))
	require.NoError(t, db.Close())
	_, err = pebble.Open(dir, nil)
	require.ErrorIs(t, err, kv.ErrCorrupt)
	require.NotContains(t, err.Error(), "theirs")
}

// TestOwnKeys damages the driver's own pairs.
func TestOwnKeys(t *testing.T) {
	number := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }
	for _, c := range []struct {
		name, key string
		value     []byte // nil deletes it
		want      error
	}{
		{"newer format", "f", number(2), kv.ErrNewerFormat},
		{"format 0", "f", number(0), kv.ErrCorrupt},
		{"short format", "f", []byte{1}, kv.ErrCorrupt},
		{"no format", "f", nil, kv.ErrCorrupt},
		{"no lifetime", "l", nil, kv.ErrCorrupt},
		{"lifetime of nothing", "l", number(0), kv.ErrCorrupt},
		{"negative lifetime", "l", bytes.Repeat([]byte{0xFF}, 8), kv.ErrCorrupt},
		{"no reserved version", "r", nil, kv.ErrCorrupt},
		{"long reserved version", "r", make([]byte, 9), kv.ErrCorrupt},
		{"reserved version at the end of time", "r", bytes.Repeat([]byte{0xFF}, 8), kv.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := pebble.Open(dir, nil)
			require.NoError(t, err)
			var db *engine.DB
			require.True(t, s.As(&db))
			if c.value == nil {
				require.NoError(t, db.Delete([]byte("\x00"+c.key), nil))
			} else {
				require.NoError(t, db.Set([]byte("\x00"+c.key), c.value, nil))
			}
			require.NoError(t, s.Close())
			_, err = pebble.Open(dir, nil)
			require.ErrorIs(t, err, c.want)
			require.NotErrorIs(t, err, kv.ErrUnavailable)
		})
	}
}

// TestDamage flips bytes of every kind of file. What is found must be told, or
// do no harm: never a panic, never a wrong value.
func TestDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	whole := t.TempDir()
	const pairs = 300
	fill(t, whole, pairs)
	entries, err := os.ReadDir(whole)
	require.NoError(t, err)
	told := map[string]int{}
	for _, e := range entries {
		for range 4 {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			name := filepath.Join(dir, e.Name())
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			if len(content) == 0 {
				continue
			}
			at := rng.IntN(len(content))
			for i := at; i < min(at+8, len(content)); i++ {
				content[i] ^= 0x55
			}
			require.NoError(t, os.WriteFile(name, content, 0o600))
			if err := readAll(t, dir, pairs); err != nil {
				require.Truef(t, errors.Is(err, kv.ErrCorrupt) || errors.Is(err, kv.ErrUnavailable), "%s: %v", e.Name(), err)
				if errors.Is(err, kv.ErrCorrupt) {
					told[kind(e.Name())]++
				}
			}
		}
	}
	for _, k := range []string{".sst", "MANIFEST"} {
		require.Positive(t, told[k], "damage of %s files went unnoticed: %v", k, told)
	}
}

// TestDamagedLog: damage within the log is told even in a store's first one,
// and not taken for the end of what was written before a crash.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	s, err := pebble.Open(dir, nil)
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set(key(i), make([]byte, 300)) }))
	}
	require.NoError(t, s.Close())
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	for _, name := range logs {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for i := 10_000; i < min(10_008, len(content)); i++ {
			content[i] ^= 0x55
		}
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
	_, err = pebble.Open(dir, nil)
	require.ErrorIs(t, err, kv.ErrCorrupt)
}

func kind(name string) string {
	name, _, _ = strings.Cut(name, "-")
	return strings.TrimLeft(name, "0123456789")
}

// readAll reads what fill wrote, or returns the error that it met.
func readAll(t *testing.T, dir string, pairs int) (err error) {
	s, err := pebble.Open(dir, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.View(t.Context(), func(tx *kv.Txn) error {
		for i := range pairs {
			v, err := tx.Get(t.Context(), key(i))
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			if err == nil {
				require.Equal(t, bytes.Repeat(key(i), 200), v)
			}
		}
		for p, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			require.Equal(t, bytes.Repeat(p.Key, 200), p.Value)
		}
		return nil
	})
}

// TestMissing removes files one by one. Pebble cannot tell a missing log from
// one that was never written, and needs no lock or options file.
func TestMissing(t *testing.T) {
	whole := t.TempDir()
	fill(t, whole, 300)
	entries, err := os.ReadDir(whole)
	require.NoError(t, err)
	for _, e := range entries {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
		require.NoError(t, os.Remove(filepath.Join(dir, e.Name())))
		err := readAll(t, dir, 300)
		switch kind(e.Name()) {
		case ".log", "LOCK", "OPTIONS":
			require.NoError(t, err, e.Name())
		default:
			require.ErrorIs(t, err, kv.ErrCorrupt, e.Name())
			// The rest is still there: put back, all is well.
			content, err := os.ReadFile(filepath.Join(whole, e.Name()))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, e.Name()), content, 0o600))
			require.NoError(t, readAll(t, dir, 300), e.Name())
		}
	}
}

// TestReadError: a table that cannot be read fails the call, and says why.
func TestReadError(t *testing.T) {
	mem := vfs.NewMem()
	f := &fault{path: ".sst", ops: []errorfs.OpKind{errorfs.OpFileReadAt, errorfs.OpOpen}}
	s, err := openOn(faultFS(mem, f), kv.Options{})
	require.NoError(t, err)
	for i := range 500 {
		require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set(key(i), make([]byte, 2000)) }))
	}
	var db *engine.DB
	require.True(t, s.As(&db))
	require.NoError(t, db.Flush())
	require.NoError(t, s.Close())
	s, err = openOn(faultFS(mem, f), kv.Options{})
	require.NoError(t, err)
	f.arm(0)
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		_, err := tx.Get(t.Context(), key(1))
		require.ErrorIs(t, err, kv.ErrUnavailable)
		_, err = tx.BatchGet(t.Context(), [][]byte{key(1), key(2)})
		require.ErrorIs(t, err, kv.ErrUnavailable)
		for _, o := range []kv.ScanOptions{{}, {Reverse: true}, {KeysOnly: true}} {
			for _, err = range tx.Scan(t.Context(), kv.Range{}, &o) {
				if err != nil {
					break
				}
			}
			require.ErrorIs(t, err, kv.ErrUnavailable)
		}
		return nil
	}))
	_ = s.Close() // compactions may have met the fault, too
}

func TestCheckpoint(t *testing.T) {
	s, err := pebble.Open(t.TempDir(), nil)
	require.NoError(t, err)
	set := func(v string) {
		require.NoError(t, s.Run(t.Context(), &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error {
			return tx.Set(key("a"), []byte(v))
		}))
	}
	set("before")
	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, pebble.Checkpoint(s, dir))
	require.ErrorIs(t, pebble.Checkpoint(s, dir), kv.ErrOptions)
	set("after")
	require.NoError(t, s.Close())
	require.ErrorIs(t, pebble.Checkpoint(s, dir), kv.ErrOptions)

	copied, err := pebble.Open(dir, nil)
	require.NoError(t, err)
	require.NoError(t, copied.View(t.Context(), func(tx *kv.Txn) error {
		v, err := tx.Get(t.Context(), key("a"))
		require.NoError(t, err)
		require.Equal(t, "before", string(v))
		return nil
	}))
	require.NoError(t, copied.Close())
}

// TestCloseUnderLoad closes a store that is being written, read and copied.
func TestCloseUnderLoad(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		s, err := pebble.Open(dir, &pebble.Options{MemTableSize: pebble.MinMemTableSize})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var acked [8]int
		started := make(chan struct{}, len(acked))
		for w := range acked {
			wg.Go(func() {
				for n := 1; ; n++ {
					err := s.Run(t.Context(), &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error {
						return tx.Set(key("n", w), []byte(strconv.Itoa(n)))
					})
					if err == nil {
						err = s.View(t.Context(), func(tx *kv.Txn) error {
							for _, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
								if err != nil {
									return err
								}
							}
							return nil
						})
						acked[w] = n
					}
					if err != nil {
						if !errors.Is(err, kv.ErrClosed) {
							t.Error(err)
						}
						return
					}
					if n == 20 {
						started <- struct{}{}
					}
				}
			})
		}
		wg.Go(func() {
			for i := 0; ; i++ {
				err := pebble.Checkpoint(s, filepath.Join(t.TempDir(), "copy"))
				if err != nil {
					if !errors.Is(err, kv.ErrOptions) && !errors.Is(err, kv.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
		for range acked {
			<-started
		}
		require.NoError(t, s.Close())
		wg.Wait()
		s, err = pebble.Open(dir, nil)
		require.NoError(t, err)
		require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
			for w := range acked {
				require.GreaterOrEqual(t, number(t, tx, key("n", w)), acked[w], "Close lost a commit")
			}
			return nil
		}))
		require.NoError(t, s.Close())
	}
}

// TestLogger: a failure is told to the program's log.
func TestLogger(t *testing.T) {
	var log bytes.Buffer
	f := &fault{path: ".log", ops: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData}}
	s, err := pebble.Open("db", pebble.Tune(pebble.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		func(e *engine.Options) { e.FS = faultFS(vfs.NewMem(), f) }))
	require.NoError(t, err)
	require.Empty(t, log.String())
	f.arm(0)
	require.ErrorIs(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set(key("a"), key("b")) }), kv.ErrUnavailable)
	require.ErrorIs(t, s.Close(), kv.ErrUnavailable)
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "no space left on device")
}

// TestInvalidOptionsLeaveNothing: what kv refuses is refused before a new
// store exists that has kept some of it.
func TestInvalidOptionsLeaveNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	_, err := pebble.Open(dir, &pebble.Options{Options: kv.Options{TxnLifetime: time.Hour, MaxAttempts: -1}})
	require.ErrorIs(t, err, kv.ErrOptions)
	require.NoDirExists(t, dir)
}
