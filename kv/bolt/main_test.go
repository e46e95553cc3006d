package bolt_test

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kvtest"
)

var (
	kills = flag.Int("kills", kvtest.DefaultKills, "how many processes TestKill kills")
	seed  = flag.Uint64("seed", 0, "of tests that draw lots; 0 draws one")
)

// childVar names the variable that makes the test binary one of children; its
// argument is the store's file.
const childVar = "BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childVar); name != "" {
		if err := children()[name](os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// children are the programs that tests start.
func children() map[string]func(file string) error {
	return map[string]func(string) error{"filler": filler}
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

func open(t testing.TB, file string, o *bolt.Options) *kv.Store {
	t.Helper()
	s, err := bolt.Open(file, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // most tests close it themselves
	return s
}

func set(t testing.TB, s *kv.Store, key, value string) {
	t.Helper()
	require.NoError(t, put(t, s, key, value))
}

func put(t testing.TB, s *kv.Store, key, value string) error {
	return s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Set([]byte(key), []byte(value)) })
}

// get returns "" for an absent key.
func get(t testing.TB, s *kv.Store, key string) string {
	t.Helper()
	var value []byte
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		values, err := tx.BatchGet(t.Context(), [][]byte{[]byte(key)})
		if err == nil {
			value = values[0]
		}
		return err
	}))
	return string(value)
}
