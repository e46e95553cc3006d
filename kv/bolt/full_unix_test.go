//go:build unix

package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// diskSize is what filler may write into its file.
const diskSize = 6 << 20

func fillKey(n int) string { return fmt.Sprintf("fill/%04d", n) }

func fillValue(n int) string { return strings.Repeat(fmt.Sprintf("%d ", n), 20_000) }

// filler writes until the file can grow no further. It writes a line for each
// acknowledged commit, and one with what the failure was.
func filler(file string) error {
	limit := syscall.Rlimit{Cur: diskSize, Max: diskSize}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	s, err := bolt.Open(file, nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	write := func(n int) error {
		return s.Update(ctx, func(tx *kv.Txn) error { return tx.Set([]byte(fillKey(n)), []byte(fillValue(n))) })
	}
	n := 0
	for ; err == nil; n++ {
		if err = write(n); err == nil {
			fmt.Println("acked", n)
		}
	}
	if !errors.Is(err, kv.ErrCommitUnknown) {
		return fmt.Errorf("the failure: %w", err)
	}
	read := s.View(ctx, func(tx *kv.Txn) error { return nil })
	again := write(n)
	if !errors.Is(read, kv.ErrFailed) || !errors.Is(again, kv.ErrFailed) || errors.Is(again, kv.ErrCommitUnknown) {
		return fmt.Errorf("after the failure: %w", errors.Join(read, again))
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	fmt.Println("failed as it should")
	return nil
}

// TestFullDisk: a commit that the disk has no room for is an error to its
// caller, the process lives, and reopening shows all that was acknowledged.
func TestFullDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	cmd, out := child(t, "filler", file)
	acked, failed := 0, false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch lines.Text() {
		case fmt.Sprint("acked ", acked):
			acked++
		case "failed as it should":
			failed = true
		default:
			t.Error(lines.Text())
		}
	}
	require.NoError(t, cmd.Wait())
	require.True(t, failed)
	require.Greater(t, acked, 10)
	s := open(t, file, &bolt.Options{Verify: true})
	for n := range acked {
		require.Equal(t, fillValue(n), get(t, s, fillKey(n)))
	}
	if left := get(t, s, fillKey(acked)); left != "" { // its commit was unknown
		require.Equal(t, fillValue(acked), left)
	}
	set(t, s, "after", "1")
	for n := range acked {
		set(t, s, fillKey(n), fillValue(n+1))
	}
}
