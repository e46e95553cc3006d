package tikv_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"


	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// borders are where regions begin in the stores of TestConformanceInRegions:
// among the keys of most of the suite's cases.
var borders = [][]byte{
	[]byte("\x20"), []byte("a"), []byte("hush.0"), []byte("hush.0002"), []byte("hush.01"),
	[]byte("hush.2"), []byte("hush.b"), []byte("hush.m"), []byte("\xC0"),
}

// moreBorders are where regions are split while a case runs.
func moreBorders() [][]byte {
	var keys [][]byte
	for i := range 10 {
		keys = append(keys, fmt.Appendf(nil, "hush.%d", i), fmt.Appendf(nil, "hush.0%02d", 7*i), fmt.Appendf(nil, "hush.%c", 'a'+i))
	}
	return keys
}

// TestConformanceInRegions has each store in ten regions, and splits them
// further while its case runs.
func TestConformanceInRegions(t *testing.T) {
	c := servers.Cluster(t)
	kvtest.Run(t, harness(c, func(t testing.TB, prefix string) {
		t.Helper()
		if err := c.Split(t.Context(), prefix, borders...); err != nil {
			t.Fatalf("split: %v", err)
		}
		splitMeanwhile(t, c, prefix)
	}))
}

// splitMeanwhile splits regions of a store, one after another, until t ends.
func splitMeanwhile(t testing.TB, c *tikvtest.Cluster, prefix string) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	keys := moreBorders()
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	go func() {
		defer close(ended)
		pause := time.NewTicker(3 * time.Millisecond)
		defer pause.Stop()
		for _, k := range keys {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
			if err := c.Split(ctx, prefix, k); err != nil && ctx.Err() == nil {
				t.Errorf("split: %v", err)
				return
			}
		}
	}()
}
