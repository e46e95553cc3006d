package kvtest

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
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// KillOptions of Kill. The zero value means the defaults; nil works too.
type KillOptions struct {
	// Kills is how many processes are killed, one after the other on the same
	// store. Default DefaultKills.
	Kills int

	// Seed decides when a process is killed. Zero draws a seed, and Kill logs it. It
	// does not decide what the processes do.
	Seed uint64
}

// DefaultKills is how many processes Kill kills unless it is told otherwise.
const DefaultKills = 10

// killDir names the variable that makes Kill the process to be killed; its
// value is the store's directory.
const killDir = "TITO_KVTEST_KILL_DIR"

const (
	killWorkers = 8
	killAfter   = 300 // acknowledgements at most
	killLate    = 3 * time.Millisecond
)

// Kill proves that a store in files survives the death of its process. It
// starts the test binary again and again, as the same test, on a store that
// open opens in a directory. That process commits from several goroutines,
// synced or not as the driver allows, and tells of each commit that was
// acknowledged, until it is killed (SIGKILL) at a random moment, be it while it
// opens. Then t opens the store and fails unless
//
//   - every synced commit that was acknowledged is there, and so is each commit with
//     a lower version than a durable commit;
//   - no commit is lost that is older than a commit that is there;
//   - no commit is there in part;
//   - versions have neither repeated nor gone back.
//
// The test that calls it, a subtest or not, has to reach the call in the same
// way in the new process, in which Kill does not return:
//
//	func TestKill(t *testing.T) { kvtest.Kill(t, open, &kvtest.KillOptions{Kills: *kills}) }
//
// open is best given options by which little data makes the engine flush,
// compact or grow. It tells nothing about a machine that loses its power: what
// a process wrote before its death, the operating system keeps.
func Kill(t testing.TB, open func(dir string, o *kv.Options) (*kv.Store, error), o *KillOptions) {
	t.Helper()
	if dir := os.Getenv(killDir); dir != "" {
		os.Exit(beKilled(dir, open))
	}
	var opts KillOptions
	if o != nil {
		opts = *o
	}
	if opts.Kills == 0 {
		opts.Kills = DefaultKills
	}
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64()
	}
	t.Logf("KillOptions.Seed %d", opts.Seed)
	k := &killer{TB: t, rng: rand.New(rand.NewPCG(opts.Seed, 0)), dir: t.TempDir(), trail: newTrail(killWorkers)}
	for n := range opts.Kills {
		k.life()
		k.check(n, open)
	}
	t.Logf("%d kills, %d of them before the first commit; %d acknowledgements, %d unsynced commits lost",
		opts.Kills, k.early, k.trail.total, k.trail.lost)
}

// beKilled is the process to be killed. It writes a line when it begins, and a line
// for each acknowledgement.
func beKilled(dir string, open func(string, *kv.Options) (*kv.Store, error)) int {
	fmt.Println(killBegins)
	s, err := open(dir, nil)
	if err == nil {
		var wg sync.WaitGroup
		errs := make([]error, killWorkers)
		for w := range killWorkers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(w)))
				errs[w] = walk(context.Background(), s, w, rng, func(a ack) bool {
					_, err := fmt.Println(a.worker, a.n, uint64(a.version), a.durable) // one write each
					return err == nil
				})
			})
		}
		wg.Wait()
		err = errors.Join(errs...)
	}
	fmt.Println("the process failed:", err) // unless nobody reads any more
	return 1
}

const killBegins = "opening"

// killer is the process that kills.
type killer struct {
	testing.TB
	rng   *rand.Rand
	dir   string
	trail *trail
	early int // kills before there was an acknowledgement
}

// life starts a process, and kills it.
func (k *killer) life() {
	k.Helper()
	self, err := os.Executable()
	require.NoError(k, err)
	var run []string // the same test, however deep
	for name := range strings.SplitSeq(k.Name(), "/") {
		run = append(run, "^"+regexp.QuoteMeta(name)+"$")
	}
	c := exec.CommandContext(k.Context(), self, "-test.run="+strings.Join(run, "/"))
	c.Env = append(os.Environ(), killDir+"="+filepath.Clean(k.dir))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(k, err)
	require.NoError(k, c.Start())
	defer func() { _ = c.Wait() }()         // it was killed
	defer func() { _ = c.Process.Kill() }() // if something here has failed

	before := k.trail.total
	left := k.rng.IntN(killAfter)
	if k.rng.IntN(8) == 0 {
		left = 0
	}
	lines := bufio.NewScanner(out)
	for ; left >= 0; left-- {
		require.True(k, k.line(lines), "the process ended by itself")
	}
	if late := time.Duration(k.rng.Int64N(int64(killLate))); late > killLate/3 {
		<-time.After(late) // another moment than just after an acknowledgement
	}
	require.NoError(k, c.Process.Kill())
	for k.line(lines) { // what it has told meanwhile counts too
		continue
	}
	if k.trail.total == before {
		k.early++
	}
}

// line reads what the process says next, and reports false at the end.
func (k *killer) line(lines *bufio.Scanner) bool {
	if !lines.Scan() {
		if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
			k.Fatal(err)
		}
		return false
	}
	if lines.Text() == killBegins {
		return true
	}
	var a ack
	var v uint64
	if _, err := fmt.Sscan(lines.Text(), &a.worker, &a.n, &v, &a.durable); err != nil {
		k.Fatalf("the process says: %s", lines.Text())
	}
	a.version = kv.Version(v)
	k.trail.add(a)
	return true
}

// check opens what is left, and commits to it.
func (k *killer) check(n int, open func(string, *kv.Options) (*kv.Store, error)) {
	k.Helper()
	s, err := open(k.dir, nil)
	require.NoError(k, err)
	defer func() { require.NoError(k, s.Close()) }()
	if err := k.trail.check(k.Context(), s, len(k.trail.acks)); err != nil {
		k.Fatalf("kill %d: %v", n, err)
	}
	a := ack{worker: 0, durable: true}
	a.n, a.version, err = commitStep(k.Context(), s, nil, 0, 1, 2, 3)
	require.NoError(k, err)
	k.trail.add(a) // to be found after the next kill
}
