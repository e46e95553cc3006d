package tikv_test

import (
	"sync"
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// harness runs the suite on c, each store at a prefix of its own. made, if
// given, is called with each prefix before its store is opened.
func harness(c *tikvtest.Cluster, made func(t testing.TB, prefix string)) kvtest.Harness {
	var prefixes sync.Map // *kv.Store to its prefix
	open := func(t testing.TB, prefix string, o *kv.Options) (*kv.Store, error) {
		var opts tikv.Options
		if o != nil {
			opts.Options = *o
		}
		s, err := c.OpenAt(t.Context(), prefix, &opts)
		if err == nil {
			prefixes.Store(s, prefix)
		}
		return s, err
	}
	return kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			prefix := c.Prefix(t)
			if made != nil {
				made(t, prefix)
			}
			s, err := open(t, prefix, o)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return s
		},
		Reopen: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			prefix, ok := prefixes.Load(s)
			if !ok {
				t.Fatal("Reopen was given a store that this harness did not open")
			}
			_ = s.Close() // it may have been closed before
			return open(t, prefix.(string), o)
		},
		Remote: true,
	}
}

func TestConformance(t *testing.T) {
	kvtest.Run(t, harness(servers.Cluster(t), nil))
}
