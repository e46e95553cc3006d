package tikv_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// place is where a store is kept.
type place struct {
	in     *tikvtest.Cluster
	prefix string
}

// harness runs the suite on stores at the places that fresh returns.
func harness(fresh func(t testing.TB) place) kvtest.Harness {
	var places sync.Map // *kv.Store to its place
	open := func(t testing.TB, at place, o *kv.Options) (*kv.Store, error) {
		opts := tikv.Options{Timeout: 2 * time.Minute} // a slow machine is no failure
		if o != nil {
			opts.Options = *o
		}
		s, err := at.in.OpenAt(t.Context(), at.prefix, &opts)
		if err == nil {
			places.Store(s, at)
		}
		return s, err
	}
	return kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			s, err := open(t, fresh(t), o)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return s
		},
		Reopen: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			at, ok := places.Load(s)
			if !ok {
				t.Fatal("Reopen was given a store that this harness did not open")
			}
			_ = s.Close() // it may have been closed before
			return open(t, at.(place), o)
		},
		Remote: true,
		Caps:   kvtest.Caps{Shared: true},
	}
}

func TestConformance(t *testing.T) {
	c := servers.Cluster(t)
	kvtest.Run(t, harness(func(t testing.TB) place { return place{c, c.Prefix(t)} }))
}
