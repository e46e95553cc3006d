//go:build unix

package queue_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/queue"
)

// childEnv makes the test binary be a process of a test instead of running
// tests; its value is a spec.
const childEnv = "TITO_QUEUE_TEST_CHILD"

// patience is how long tests wait for what is sure to come from another process.
const patience = 2 * time.Minute

// A spec says what a process does.
type spec struct {
	Does   string // see beChild
	Name   string // of the process
	Keys   string // what the keys of its publishers begin with; two processes at once have different ones
	Driver string
	Path   string // of the store
	PD     []string
	Dir    string // for files that the process writes

	TTL        time.Duration
	Lifetime   time.Duration // of transactions; zero is the driver's default
	Publishers int           // zero is trailPublishers
	Pace       time.Duration // between two events of a publisher
}

func beChild() (int, bool) {
	text := os.Getenv(childEnv)
	if text == "" {
		return 0, false
	}
	var s spec
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		switch s.Does {
		case "trail":
			err = s.beTrail()
		case "poison":
			err = s.bePoisoned()
		default:
			err = fmt.Errorf("no process does %q", s.Does)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "process", s.Name, "failed:", err)
		return 1, true
	}
	return 0, true
}

// open opens the store that the spec names. Little data makes Pebble flush.
func (s *spec) open() (*kv.Store, error) {
	switch s.Driver {
	case "pebble":
		return pebble.Open(s.Path, &pebble.Options{MemTableSize: pebble.MinMemTableSize})
	case "bolt":
		return bolt.Open(filepath.Join(s.Path, "store.db"), nil)
	case "tikv": // the path is a prefix
		return tikv.Open(context.Background(), s.PD, &tikv.Options{Prefix: s.Path, Options: kv.Options{TxnLifetime: s.Lifetime}})
	}
	return nil, fmt.Errorf("no driver %q", s.Driver)
}

func (s *spec) queue(store *kv.Store) (*queue.Queue, error) {
	return queue.Open(store, &queue.Options{Partitions: trailPartitions, MemberTTL: s.TTL})
}

// child is a process that a test has started.
type child struct {
	*exec.Cmd
	t     *testing.T
	in    io.WriteCloser
	lines *bufio.Scanner
}

// start starts a process, which ends with the test.
func (s spec) start(t *testing.T) *child {
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c := &child{Cmd: exec.CommandContext(ctx, self), t: t}
	c.Env = append(os.Environ(), childEnv+"="+string(text))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.in, err = c.StdinPipe()
	require.NoError(t, err)
	c.lines = bufio.NewScanner(out)
	require.NoError(t, c.Start())
	var once sync.Once
	t.Cleanup(func() {
		once.Do(func() {
			if c.ProcessState == nil {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		})
	})
	return c
}

// line returns the next line that the process prints, and false at its end.
func (c *child) line() (string, bool) {
	ok := c.lines.Scan()
	return c.lines.Text(), ok
}

// kill ends the process at once, and returns the lines that it had printed.
func (c *child) kill() (lines []string) {
	require.NoError(c.t, c.Process.Kill())
	for text, ok := c.line(); ok; text, ok = c.line() {
		lines = append(lines, text)
	}
	_ = c.Wait() // it was killed
	return lines
}

// untilStopped is a context that ends when the parent closes the process's input.
func untilStopped() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}
