package kvtest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Soak runs the suite's cases that are random or concurrent on the driver that
// h opens, one after the other and each on a fresh store, drawn with h.Seed
// (which is logged), until d has passed. It stops at the first failure.
func Soak(t *testing.T, h Harness, d time.Duration) {
	t.Helper()
	seed := h.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("Harness.Seed %d repeats this", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	cases := soakCases(h)
	ran := map[string]int{}
	for end := time.Now().Add(d); len(ran) == 0 || time.Now().Before(end); {
		c := cases[rng.IntN(len(cases))]
		h.Seed = rng.Uint64() | 1 // never 0
		ran[c.name]++
		// A test of its own, for its TempDir to be removed.
		if !t.Run(fmt.Sprintf("%s, seed %d", c.name, h.Seed), func(t *testing.T) {
			if execute(t, h, c, false).Failed() {
				t.FailNow()
			}
		}) {
			return
		}
	}
	t.Logf("cases: %v", ran)
}

// soakCases are the cases that the driver can run and whose runs differ.
func soakCases(h Harness) []testCase {
	var all []testCase
	for _, c := range concat(programCases(), historyCases(), historyCases(), concurrentCases(), crashCases()) {
		if c.needs&^h.offers() == 0 {
			all = append(all, c)
		}
	}
	return all
}
