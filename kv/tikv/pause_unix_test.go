//go:build unix

package tikv_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

const (
	pausedLifetime = time.Second
	safeWindow     = 2 * time.Second // by which a commit may pass the end of its lifetime
)

// TestPausedProcess: a process that is stopped at any moment, in the middle of
// a commit among others, and goes on later, commits nothing past its lifetime,
// and nothing below a watermark that others have acted upon.
func TestPausedProcess(t *testing.T) {
	c := servers.Cluster(t)
	needs(t, c, processes)
	prefix := c.Prefix(t)
	s, err := c.OpenAt(t.Context(), prefix, &tikv.Options{Options: kv.Options{TxnLifetime: pausedLifetime}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p := startPaused(t, strings.Join(c.PD(), ",")+" "+prefix)
	defer p.end()
	for range 8 {
		p.acknowledgements(10 + rng.IntN(20))
		p.pause(pausedLifetime + time.Duration(rng.Int64N(int64(2*safeWindow))))
		p.signal(syscall.SIGCONT)
	}
	p.acknowledgements(20)

	p.pause(pausedLifetime + 25*time.Second) // until the watermark has passed what it had begun
	low, err := s.Watermark(t.Context())
	require.NoError(t, err)
	before := contents(t, s)
	p.signal(syscall.SIGCONT)
	p.acknowledgements(20)
	after := contents(t, s)
	require.Len(t, after, 2*pausedWorkers)
	for key, read := range after {
		require.True(t, read == before[key] || read >= low, "a transaction has committed that was below the watermark")
		require.Equal(t, after["first"+key[len(key)-2:]], after["second"+key[len(key)-2:]], "half of a commit is there")
	}
	t.Logf("%d commits, %d of unknown outcome, %d refused", p.told["ok"], p.told["unknown"], p.told["refused"])
}

func contents(t *testing.T, s *kv.Store) map[string]kv.Version {
	t.Helper()
	found := map[string]kv.Version{}
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		for p, err := range tx.Scan(t.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			var v uint64
			if _, err := fmt.Sscan(string(p.Value), &v); err != nil {
				return err
			}
			found[string(p.Key)] = kv.Version(v)
		}
		return nil
	}))
	return found
}

// paused is the process, as seen from outside.
type paused struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	told  map[string]int
}

func startPaused(t *testing.T, where string) *paused {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &paused{t: t, cmd: exec.Command(self), told: map[string]int{}}
	p.cmd.Env = append(os.Environ(), childEnv+"="+where)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.lines = bufio.NewScanner(out)
	return p
}

func (p *paused) signal(s syscall.Signal) { require.NoError(p.t, p.cmd.Process.Signal(s)) }

// pause stops the process for some time, and leaves it stopped.
func (p *paused) pause(d time.Duration) {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.t.Context().Done():
	}
}

// acknowledgements reads what the process tells until it has told of n commits.
func (p *paused) acknowledgements(n int) {
	p.t.Helper()
	for n > 0 {
		require.True(p.t, p.lines.Scan(), "the process ended by itself")
		var what string
		var read, committed uint64
		_, err := fmt.Sscan(p.lines.Text(), &what, &read, &committed)
		require.NoError(p.t, err, "the process says: %s", p.lines.Text())
		p.told[what]++
		if what != "ok" {
			continue
		}
		n--
		age := kv.Version(committed).Time().Sub(kv.Version(read).Time())
		require.LessOrEqual(p.t, age, pausedLifetime+safeWindow, "a transaction has committed past its lifetime")
	}
}

func (p *paused) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}
