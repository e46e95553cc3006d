package tikv_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikvrpc"
	"github.com/tikv/client-go/v2/tikvrpc/interceptor"

	"github.com/tito-db/tito-go/kv"
)

// rpcs counts requests by their names; that to PD for a timestamp is "TSO".
type rpcs struct {
	oracle.Oracle
	mu     sync.Mutex
	counts map[string]int
}

func (r *rpcs) count(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name]++
}

func (r *rpcs) GetTimestamp(ctx context.Context, o *oracle.Option) (uint64, error) {
	r.count("TSO")
	return r.Oracle.GetTimestamp(ctx, o)
}

// of returns what do costs.
func (r *rpcs) of(t *testing.T, do func(ctx context.Context) error) map[string]int {
	t.Helper()
	r.mu.Lock()
	r.counts = map[string]int{}
	r.mu.Unlock()
	ctx := interceptor.WithRPCInterceptor(t.Context(), interceptor.NewRPCInterceptor("count",
		func(next interceptor.RPCInterceptorFunc) interceptor.RPCInterceptorFunc {
			return func(target string, req *tikvrpc.Request) (*tikvrpc.Response, error) {
				r.count(req.Type.String())
				return next(target, req)
			}
		}))
	require.NoError(t, do(ctx))
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// TestRequests: a call costs the requests that it costs by hand, and these.
func TestRequests(t *testing.T) {
	c := servers.Cluster(t)
	prefix := c.Prefix(t)
	s, err := c.OpenAt(t.Context(), prefix, nil)
	require.NoError(t, err)
	const pairs = 1000
	var keys [][]byte
	require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error {
		for i := range pairs {
			keys = append(keys, fmt.Appendf(nil, "key%06d", i))
			if err := tx.Set(keys[i], []byte("value")); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, s.Close()) // and with it, what the commit has left to do
	s, err = c.OpenAt(t.Context(), prefix, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	by := newByHand(t, s, prefix+"\x01")
	counted := &rpcs{Oracle: by.client.GetOracle(), counts: map[string]int{}}
	by.client.SetOracle(counted)

	writes := func(n int) []kv.Write {
		var w []kv.Write
		for i := range n {
			w = append(w, kv.Write{Key: keys[100+i], Value: []byte("new")})
		}
		return w
	}
	view := func(fn func(ctx context.Context, tx *kv.Txn) error) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return s.View(ctx, func(tx *kv.Txn) error { return fn(ctx, tx) })
		}
	}
	update := func(n int) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return s.Update(ctx, func(tx *kv.Txn) error {
				if _, err := tx.Get(ctx, keys[0]); err != nil {
					return err
				}
				for _, w := range writes(n) {
					if err := tx.Set(w.Key, w.Value); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	commit := map[string]int{"TSO": 2, "Get": 1, "Prewrite": 1} // in one phase
	if _, twoPhases := lacks[c.Kind()][onePhase]; twoPhases {
		commit = map[string]int{"TSO": 3, "Get": 1, "Prewrite": 1, "Commit": 1}
	}
	for _, op := range []struct {
		name   string
		kv     func(ctx context.Context) error
		byHand func(ctx context.Context) error // nil where it cannot be counted
		want   map[string]int
	}{
		{"update of 3 writes and 1 read", update(3),
			func(ctx context.Context) error { return by.update(ctx, keys[0], writes(3)) }, commit},
		{"get", view(func(ctx context.Context, tx *kv.Txn) error {
			_, err := tx.Get(ctx, keys[0])
			return err
		}), func(ctx context.Context) error { return by.get(ctx, keys[0]) }, map[string]int{"TSO": 1, "Get": 1}},
		{"batch get of 50", view(func(ctx context.Context, tx *kv.Txn) error {
			_, err := tx.BatchGet(ctx, keys[:50])
			return err
		}), func(ctx context.Context) error { return by.batchGet(ctx, keys[:50]) }, map[string]int{"TSO": 1, "BatchGet": 1}},
		{"scan of 1000", view(func(ctx context.Context, tx *kv.Txn) error {
			return walk(ctx, tx, pairs, &kv.ScanOptions{})
		}), nil, map[string]int{"TSO": 1, "Scan": 4}},
		{"scan of 1000, backwards", view(func(ctx context.Context, tx *kv.Txn) error {
			return walk(ctx, tx, pairs, &kv.ScanOptions{Reverse: true})
		}), nil, map[string]int{"TSO": 1, "Scan": 4}},
		{"page of 50", view(func(ctx context.Context, tx *kv.Txn) error {
			return walk(ctx, tx, 50, &kv.ScanOptions{Limit: 50})
		}), nil, map[string]int{"TSO": 1, "Scan": 1}},
		{"an update that writes nothing", func(ctx context.Context) error {
			return s.Update(ctx, func(*kv.Txn) error { return nil })
		}, nil, map[string]int{"TSO": 1}},
		{"watermark", func(ctx context.Context) error {
			_, err := s.Watermark(ctx)
			return err
		}, nil, map[string]int{"TSO": 1}},
	} {
		t.Run(strings.ReplaceAll(op.name, " ", "_"), func(t *testing.T) {
			got := counted.of(t, op.kv)
			require.Equal(t, op.want, got)
			if op.byHand != nil {
				require.Equal(t, counted.of(t, op.byHand), got, "by hand")
			}
			t.Logf("%s: %v", op.name, got)
		})
	}
}

func walk(ctx context.Context, tx *kv.Txn, want int, o *kv.ScanOptions) error {
	n := 0
	for _, err := range tx.Scan(ctx, kv.Range{}, o) {
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d pairs instead of %d", n, want)
	}
	return nil
}
