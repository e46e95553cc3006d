package kvtest_test

import (
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kvtest"
)

var (
	soakFor    = flag.Duration("soak", 30*time.Second, "how long TestSoak runs in all")
	soakDriver = flag.String("driver", "all", "the driver that TestSoak runs on: memory, pebble, bolt or all")
	soakSeed   = flag.Uint64("seed", 0, "the seed of TestSoak; 0 draws one")
)

// TestSoak mixes all that is random or concurrent. For longer than by default:
//
//	go test ./kvtest -run Soak -soak 10m -driver bolt -timeout 0
func TestSoak(t *testing.T) {
	all := harnesses()
	names := slices.Sorted(maps.Keys(all))
	if *soakDriver != "all" {
		require.Contains(t, names, *soakDriver, "no such driver")
		names = []string{*soakDriver}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			h := all[name]
			h.Seed = *soakSeed
			kvtest.Soak(t, h, *soakFor/time.Duration(len(names)))
		})
	}
}
