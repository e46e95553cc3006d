//go:build unix

package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

// child returns a command that runs one of children on dir.
func child(t *testing.T, name, dir string) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, dir)
	c.Env = append(os.Environ(), childEnv+"="+name)
	c.Stderr = os.Stderr
	return c
}

func children() map[string]func(args []string) int {
	return map[string]func([]string) int{"fill": fillUp, "lock": tryLock}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestFileSizeLimit lets a process run against the operating system's limit
// for the size of a file, which a write meets as it meets a full disk.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "fill", dir).Output()
	require.NoError(t, err)
	acked, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	require.Positive(t, acked)

	s, err := pebble.Open(dir, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		require.GreaterOrEqual(t, number(t, tx, key("a")), acked)
		return nil
	}))
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set(key("a"), key("b")) }))
}

// fillUp commits until that fails, looks whether the store then behaves, and
// prints how many commits were acknowledged.
func fillUp(args []string) int {
	ctx := context.Background()
	s, err := pebble.Open(args[0], nil)
	if err != nil {
		return fail(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return fail(err)
	}
	n := 0
	for err == nil {
		err = s.Update(ctx, func(tx *kv.Txn) error {
			return errors.Join(tx.Set(key("a"), []byte(strconv.Itoa(n+1))), tx.Set(key("p", n), make([]byte, 10_000)))
		})
		if err == nil {
			n++
		}
	}
	if !errors.Is(err, kv.ErrCommitUnknown) || !errors.Is(err, syscall.EFBIG) {
		return fail(err)
	}
	if err = s.View(ctx, func(*kv.Txn) error { return nil }); !errors.Is(err, kv.ErrFailed) {
		return fail(fmt.Errorf("a view of a failed store: %w", err))
	}
	if err = s.Close(); !errors.Is(err, kv.ErrFailed) {
		return fail(fmt.Errorf("closing a failed store: %w", err))
	}
	fmt.Println(n)
	return 0
}

// TestLocked opens a store that is open, by each name that its directory has.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := pebble.Open(dir, nil)
	require.NoError(t, err)
	link := t.TempDir() + "/link"
	require.NoError(t, os.Symlink(dir, link))
	t.Chdir(dir)
	for _, name := range []string{dir, dir + "/", dir + "/../" + dir[strings.LastIndex(dir, "/")+1:], ".", link} {
		_, err := pebble.Open(name, nil)
		require.ErrorIs(t, err, kv.ErrLocked, name)
	}
	out, err := child(t, "lock", dir).Output()
	require.NoError(t, err)
	require.Equal(t, "locked\n", string(out))
	// None of these tries may have taken the lock away.
	out, err = child(t, "lock", link).Output()
	require.NoError(t, err)
	require.Equal(t, "locked\n", string(out))
	require.NoError(t, s.Close())

	// Of many who open at once, one gets it.
	var wg sync.WaitGroup
	stores := make(chan *kv.Store, 8)
	for range cap(stores) {
		wg.Go(func() {
			if s, err := pebble.Open(dir, nil); err == nil {
				stores <- s
			} else if !errors.Is(err, kv.ErrLocked) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, stores, 1)
	require.NoError(t, (<-stores).Close())
	out, err = child(t, "lock", dir).Output()
	require.NoError(t, err)
	require.Equal(t, "free\n", string(out))
}

func tryLock(args []string) int {
	s, err := pebble.Open(args[0], nil)
	switch {
	case err == nil:
		fmt.Println("free")
		err = s.Close()
	case errors.Is(err, kv.ErrLocked):
		fmt.Println("locked")
		err = nil
	}
	if err != nil {
		return fail(err)
	}
	return 0
}
