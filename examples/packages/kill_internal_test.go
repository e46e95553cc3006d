package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The variables that make TestKilled the process to be killed.
const (
	killStore = "TITO_PACKAGES_KILL_STORE" // URL
	killShift = "TITO_PACKAGES_KILL_SHIFT" // of inSections
)

const (
	killPackages = 5 * batchRecords
	kills        = 8
	killsShared  = 3 // each of which is followed by a wait until the killed process counts as gone
	killLate     = 30 * time.Millisecond
)

// TestKilled loads with events, over and over into one store and each time with
// other sections, in processes that are killed (SIGKILL) at random moments. After
// each the events that are left are counted, and the counts have to equal a scan;
// in the end a load that nobody disturbs makes everything right.
func TestKilled(t *testing.T) {
	if url := os.Getenv(killStore); url != "" {
		os.Exit(beKilled(url))
	}
	for _, scheme := range []string{"pebble", "bolt", "tikv"} {
		t.Run(scheme, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			url := freshURL(t, scheme)
			left, midway := 0, 0
			rounds := kills
			if scheme == "tikv" {
				rounds = killsShared
			}
			for n := range rounds {
				killOne(t, rng, url, n)
				store, err := openStore(t.Context(), url, false)
				require.NoError(t, err)
				db, err := openDB(t.Context(), store)
				require.NoError(t, err)
				if s := stats(t, db); s.Lag() > 0 {
					left++
				}
				c, err := packages.Count(t.Context(), db)
				require.NoError(t, err)
				if c > 0 && c < killPackages {
					midway++
				}
				loadAndCount(t, db, "")
				_, err = checkSections(t.Context(), db)
				require.NoError(t, err, "kill %d", n)
				require.NoError(t, store.Close())
			}
			t.Logf("%d kills, %d of them with events left, %d with a part of the packages", rounds, left, midway)
			store, err := openStore(t.Context(), url, false)
			db := newDB(t, store, err)
			loadAndCount(t, db, inSections(killPackages, rounds))
			requireCounts(t, db, inSections(killPackages, rounds))
		})
	}
}

// killOne starts a process and kills it some time after it has told of one of
// its transactions, or of the end of the load.
func killOne(t *testing.T, rng *rand.Rand, url string, n int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "-test.run=^"+regexp.QuoteMeta("TestKilled")+"$")
	c.Env = append(os.Environ(), killStore+"="+url, killShift+"="+strconv.Itoa(n))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer func() { _ = c.Wait() }()         // it was killed
	defer func() { _ = c.Process.Kill() }() // if something here has failed
	lines := bufio.NewScanner(out)
	for range 1 + rng.IntN(killPackages/batchRecords+2) {
		require.True(t, lines.Scan(), "the process ended by itself")
		require.NotContains(t, lines.Text(), "failed")
	}
	<-time.After(time.Duration(rng.Int64N(int64(killLate)))) // another moment than just after a line
	require.NoError(t, c.Process.Kill())
}

// beKilled loads and counts, and then waits for its end.
func beKilled(url string) int {
	ctx := context.Background()
	fmt.Println("begins")
	shift, err := strconv.Atoi(os.Getenv(killShift))
	if err == nil {
		err = loadToBeKilled(ctx, url, shift)
	}
	fmt.Println("failed:", err)
	return 1
}

func loadToBeKilled(ctx context.Context, url string, shift int) error {
	store, err := openStore(ctx, url, false)
	if err != nil {
		return err
	}
	db, err := openDB(ctx, store)
	if err != nil {
		return err
	}
	c := command{events: true}
	_, _, err = c.loadAndCount(ctx, db, strings.NewReader(inSections(killPackages, shift)), func(f figures) {
		fmt.Println("stored", f.packages)
	})
	if err != nil {
		return err
	}
	fmt.Println("counted")
	<-time.After(time.Minute) // it is killed before
	return errors.New("nobody has killed it")
}
