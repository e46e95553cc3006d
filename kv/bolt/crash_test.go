package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

const (
	writers = 8
	history = 20 // entries that a writer leaves behind its newest one
)

// writer commits without end, from several goroutines, and writes a line for
// each acknowledged commit: writer, number, version. A commit sets the
// writer's two counters to the number, adds an entry of some size to the
// writer's history and removes an old one.
func writer(file string) error {
	s, err := bolt.Open(file, nil)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() { errs[w] = writeOn(s, w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeOn(s *kv.Store, w int) error {
	ctx := context.Background()
	for {
		var n int
		var version func() kv.Version
		err := s.Update(ctx, func(tx *kv.Txn) error {
			version = tx.CommitVersion
			v, err := tx.Get(ctx, counterKey("a", w))
			if err == nil {
				_, err = fmt.Sscan(string(v), &n)
			} else if errors.Is(err, kv.ErrNotFound) {
				err = nil
			}
			n++
			number := fmt.Append(nil, n)
			return errors.Join(err,
				tx.Set(counterKey("a", w), number),
				tx.Set(counterKey("z", w), number),
				tx.Set(entryKey(w, n), entry(w, n)),
				tx.Delete(entryKey(w, n-history)))
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("%d %d %d\n", w, n, version()); err != nil {
			return err
		}
	}
}

func counterKey(name string, w int) []byte { return fmt.Appendf(nil, "%s/%d", name, w) }
func entryKey(w, n int) []byte             { return fmt.Appendf(nil, "entry/%d/%09d", w, n) }

// entry is from 1 byte to more than a page long.
func entry(w, n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d.%d ", w, n), 1+n*n%1500))
}

// child starts the test binary as one of children.
func child(t *testing.T, name, file string) (*exec.Cmd, io.Reader) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, file)
	cmd.Env = append(os.Environ(), childVar+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if the test has failed before
		_ = cmd.Wait()
	})
	return cmd, out
}

// lots returns a source of random numbers whose seed the log tells.
func lots(t testing.TB) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// TestKill kills a writing process with SIGKILL again and again, and finds all
// that was acknowledged, and nothing in part.
func TestKill(t *testing.T) {
	rng := lots(t)
	file := filepath.Join(t.TempDir(), "store")
	var acked [writers]int
	var newest kv.Version // acknowledged or read
	total := 0
	for range *kills {
		cmd, out := child(t, "writer", file)
		lines := bufio.NewScanner(out)
		for left := rng.IntN(300); lines.Scan(); left-- {
			var w, n int
			var v kv.Version
			_, err := fmt.Sscan(lines.Text(), &w, &n, &v)
			require.NoError(t, err, lines.Text())
			require.Greater(t, v, kv.Version(0))
			acked[w], newest = n, max(newest, v)
			total++
			if left == 0 {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed

		s, err := bolt.Open(file, &bolt.Options{Verify: true})
		require.NoError(t, err)
		require.GreaterOrEqual(t, version(t, s), newest)
		for w := range writers {
			acked[w] = checkWriter(t, s, w, acked[w])
		}
		tx := begin(t, s, "parent")
		require.NoError(t, tx.Commit(t.Context()))
		require.Greater(t, tx.CommitVersion(), newest)
		newest = tx.CommitVersion()
		require.NoError(t, s.Close())
	}
	t.Logf("%d kills, %d acknowledged commits", *kills, total)
}

// checkWriter returns the number of the writer's last commit, which may be one
// that was not acknowledged.
func checkWriter(t *testing.T, s *kv.Store, w, acked int) int {
	t.Helper()
	a, z := get(t, s, string(counterKey("a", w))), get(t, s, string(counterKey("z", w)))
	require.Equal(t, a, z, "half a commit")
	n := 0
	if a != "" {
		_, err := fmt.Sscan(a, &n)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, n, acked, "an acknowledged commit is lost")
	require.LessOrEqual(t, n, acked+1)
	for i := max(0, n-history) + 1; i <= n; i++ {
		require.Equal(t, string(entry(w, i)), get(t, s, string(entryKey(w, i))))
	}
	require.Empty(t, get(t, s, string(entryKey(w, n-history))))
	require.Empty(t, get(t, s, string(entryKey(w, n+1))))
	return n
}
