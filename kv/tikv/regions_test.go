package tikv_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// borders are where regions begin in the stores of TestConformanceInRegions:
// among the keys of the suite's cases.
var borders = [][]byte{
	[]byte("\x20"), []byte("a"), []byte("ab"), []byte("secret.0"), []byte("secret.0002"),
	[]byte("secret.01"), []byte("secret.2"), []byte("secret.b"), []byte("secret.m"), []byte("\xC0"),
}

// splitsMeanwhile is how often a store is split further while a case uses it.
const splitsMeanwhile = 3

// TestConformanceInRegions has each store in eleven regions or more, and splits
// them further while its case runs.
func TestConformanceInRegions(t *testing.T) {
	r := &regions{t: t}
	r.fill()
	kvtest.Run(t, harness(r.place))
}

// regions keeps places that have been split: regions are not merged again, and
// there are not to be thousands of them.
type regions struct {
	t    *testing.T
	mu   sync.Mutex
	free []place
}

// spare is how many places there are before a case begins, which may look
// whether anything else begins meanwhile.
const spare = 4

// place returns one that is t's until it ends.
func (r *regions) place(t testing.TB) place {
	t.Helper()
	p := r.take()
	stop := r.splitMeanwhile(t, p)
	t.Cleanup(func() {
		stop()
		if p.in.Kind() == tikvtest.Model { // which gets slower with all that it keeps
			r.fill()
			return
		}
		p.in.Erase(t, p.prefix)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.free = append(r.free, p)
	})
	return p
}

func (r *regions) take() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) == 0 {
		return r.split()
	}
	p := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	return p
}

func (r *regions) fill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.free) < spare {
		r.free = append(r.free, r.split())
	}
}

// split makes a new place.
func (r *regions) split() place {
	in := servers.Cluster(r.t) // a model of its own, where there are no servers
	p := place{in, in.Prefix(r.t)}
	if err := in.Split(r.t.Context(), p.prefix, borders...); err != nil {
		r.t.Errorf("split: %v", err)
	}
	return p
}

// splitMeanwhile splits regions until it has done enough, or stop is called.
func (r *regions) splitMeanwhile(t testing.TB, p place) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range splitsMeanwhile {
			key := fmt.Appendf(nil, "secret.%02d", rand.IntN(100))
			if err := p.in.Split(ctx, p.prefix, key); err != nil && ctx.Err() == nil {
				t.Errorf("split: %v", err)
			}
		}
	}()
	return func() { cancel(); <-ended }
}
