package tikv_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
	clientkv "github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// wire is a connection that a test may disturb.
type wire struct {
	clientkv.Client
	fault atomic.Pointer[func(ctx context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error)]
}

func (w *wire) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	send := func() (*tikvrpc.Response, error) { return w.Client.SendRequest(ctx, addr, req, timeout) }
	if f := w.fault.Load(); f != nil {
		return (*f)(ctx, req, send)
	}
	return send()
}

func (w *wire) set(f func(ctx context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error)) {
	w.fault.Store(&f)
}

func (w *wire) clear() { w.fault.Store(nil) }

// wired opens a store in two regions, which meet at "m".
func wired(t *testing.T, o *tikv.Options) (*kv.Store, *wire) {
	t.Helper()
	return wiredIn(t, servers.Cluster(t), o)
}

func wiredIn(t *testing.T, c *tikvtest.Cluster, o *tikv.Options) (*kv.Store, *wire) {
	t.Helper()
	prefix := c.Prefix(t)
	require.NoError(t, c.Split(t.Context(), prefix, []byte("m")))
	s := openPatiently(t, c, prefix, o)
	w := intercept(t, s)
	t.Cleanup(func() {
		w.clear()
		require.NoError(t, s.Close())
	})
	return s, w
}

// openPatiently is for impatient stores on machines that are slow.
func openPatiently(t *testing.T, c *tikvtest.Cluster, prefix string, o *tikv.Options) *kv.Store {
	t.Helper()
	for {
		s, err := c.OpenAt(t.Context(), prefix, o)
		if !errors.Is(err, kv.ErrUnavailable) {
			require.NoError(t, err)
			return s
		}
	}
}

// intercept puts a wire between the store and its servers.
func intercept(t *testing.T, s *kv.Store) *wire {
	t.Helper()
	var client *clientkv.KVStore
	require.True(t, s.As(&client))
	w := &wire{Client: client.GetTiKVClient()}
	client.SetTiKVClient(w)
	return w
}

func hangUp(ctx context.Context, _ *tikvrpc.Request, _ func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestCancelled: calls return when their context ends, though nobody answers.
func TestCancelled(t *testing.T) {
	s, w := wired(t, nil)
	put(t, s, "a", "1")
	for name, call := range map[string]func(ctx context.Context, tx *kv.Txn) error{
		"Get": func(ctx context.Context, tx *kv.Txn) error { _, err := tx.Get(ctx, []byte("a")); return err },
		"BatchGet": func(ctx context.Context, tx *kv.Txn) error {
			_, err := tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("z")})
			return err
		},
		"Scan":    func(ctx context.Context, tx *kv.Txn) error { return walk(ctx, tx, 1, nil) },
		"reverse": func(ctx context.Context, tx *kv.Txn) error { return walk(ctx, tx, 1, &kv.ScanOptions{Reverse: true}) },
		"Seek": func(ctx context.Context, tx *kv.Txn) error {
			c, err := tx.Cursor(ctx, kv.Range{}, nil)
			if err != nil {
				return err
			}
			defer c.Close()
			c.Seek(ctx, []byte("b"))
			return c.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.clear()
			tx, err := s.Begin(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback()
			ctx, cancel := context.WithCancel(t.Context())
			arrived := make(chan struct{}, 100)
			w.set(func(ctx context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
				arrived <- struct{}{}
				return hangUp(ctx, req, send)
			})
			ended := make(chan error, 1)
			go func() { ended <- call(ctx, tx) }()
			<-arrived
			cancel()
			err = <-ended
			require.ErrorIs(t, err, context.Canceled)
			w.clear()
			require.NoError(t, call(t.Context(), tx), "the transaction goes on")
		})
	}
}

// TestDeadline: a call whose time was up does not keep later ones from the server.
func TestDeadline(t *testing.T) {
	s, w := wired(t, nil)
	put(t, s, "a", "1")
	tx, err := s.Begin(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	w.set(func(ctx context.Context, _ *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
		<-ctx.Done()
		return send()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = tx.Get(ctx, []byte("a"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w.clear()
	_, err = tx.Get(t.Context(), []byte("a"))
	require.NoError(t, err)
}

// TestTimeout: without a context's help calls end too.
func TestTimeout(t *testing.T) {
	c := servers.Cluster(t)
	s, w := wiredIn(t, c, &tikv.Options{Timeout: 200 * time.Millisecond})
	var tx *kv.Txn
	err := kv.ErrUnavailable
	for errors.Is(err, kv.ErrUnavailable) { // its time may be too short on a slow machine
		tx, err = s.Begin(t.Context(), nil)
	}
	require.NoError(t, err)
	defer tx.Rollback()
	w.set(hangUp)
	for range 2 {
		_, err = tx.Get(t.Context(), []byte("a"))
		require.ErrorIs(t, err, kv.ErrUnavailable)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		err = walk(t.Context(), tx, 0, nil)
		require.ErrorIs(t, err, kv.ErrUnavailable)
	}
	needs(t, c, forgiving)
	w.clear()
	for err = kv.ErrUnavailable; errors.Is(err, kv.ErrUnavailable); { // it takes the client a while to trust a server again
		_, err = tx.Get(t.Context(), []byte("a"))
	}
	require.ErrorIs(t, err, kv.ErrNotFound)
}

var errLost = errors.New("the connection broke")

// TestLostAnswers: a commit whose answer is lost has an unknown outcome, or is
// found to have happened; it is never said not to have.
func TestLostAnswers(t *testing.T) {
	s, w := wired(t, nil)
	for _, kind := range []tikvrpc.CmdType{tikvrpc.CmdPrewrite, tikvrpc.CmdCommit} {
		for _, keys := range [][]string{{"a"}, {"a", "z"}} {
			ctx, cancel := context.WithCancel(t.Context())
			var lost atomic.Int64 // requests go out side by side
			w.set(func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
				resp, err := send()
				if req.Type != kind || !lost.CompareAndSwap(0, 1) {
					return resp, err
				}
				cancel() // nobody is there to try again
				return nil, errLost
			})
			value := kind.String() + strings.Join(keys, "")
			tx, err := s.Begin(ctx, nil)
			require.NoError(t, err)
			for _, k := range keys {
				require.NoError(t, tx.Set([]byte(k), []byte(value)))
			}
			err = tx.Commit(ctx)
			cancel()
			w.clear()
			answerLost := lost.Load() > 0
			if answerLost && kind == tikvrpc.CmdCommit && err == nil {
				continue // that of locks which were let go after the commit
			}
			if answerLost {
				require.ErrorIs(t, err, kv.ErrCommitUnknown)
			} else {
				require.NoError(t, err, "it took a shorter way")
			}
			var got []string
			require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
				for _, k := range keys {
					v, err := tx.Get(t.Context(), []byte(k))
					if err != nil && !errors.Is(err, kv.ErrNotFound) {
						return err
					}
					got = append(got, string(v))
				}
				return nil
			}))
			if len(keys) == 2 {
				require.Equal(t, got[0] == value, got[1] == value, "half of a commit is there")
			}
		}
	}
}

// TestConflictAmidTrouble: a conflict is a conflict though other parts of the
// commit got lost, or had to look for their region.
func TestConflictAmidTrouble(t *testing.T) {
	c := servers.Cluster(t)
	for name, fault := range map[string]func(send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error){
		"lost": func(send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
			_, _ = send()
			return nil, errLost
		},
		"moved": func(func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
			return &tikvrpc.Response{Resp: &kvrpcpb.PrewriteResponse{RegionError: &errorpb.Error{StaleCommand: &errorpb.StaleCommand{}}}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "lost" {
				needs(t, c, forgiving)
			}
			s, w := wiredIn(t, c, nil)
			tx, err := s.Begin(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback()
			require.NoError(t, tx.Set([]byte("a"), []byte("1")))
			require.NoError(t, tx.Set([]byte("z"), []byte("1")))
			put(t, s, "z", "2")
			w.set(func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
				if req.Type == tikvrpc.CmdPrewrite && strings.HasSuffix(string(req.Prewrite().GetMutations()[0].GetKey()), "a") {
					return fault(send)
				}
				return send()
			})
			err = tx.Commit(t.Context())
			w.clear()
			require.ErrorIs(t, err, kv.ErrConflict)
			require.NotErrorIs(t, err, kv.ErrCommitUnknown)
			require.NotContains(t, err.Error(), "tikvtest", "a message shows a key")
			put(t, s, "a", "3") // nothing is locked for long
		})
	}
}

// TestPastLifetime: the driver refuses a commit whose time is over, though kv
// let it pass.
func TestPastLifetime(t *testing.T) {
	const life = 50 * time.Millisecond
	c := servers.Cluster(t)
	s := c.Open(t, &tikv.Options{Options: kv.Options{TxnLifetime: life}})
	d := driver(t, s)
	for _, n := range []int{1, 600} { // in one phase, and in two
		tx, err := d.Begin(t.Context(), kv.BeginOptions{})
		require.NoError(t, err)
		<-time.After(2 * life)
		var writes []kv.Write
		for i := range n {
			writes = append(writes, kv.Write{Key: []byte{byte(1 + i>>8), byte(i)}, Value: []byte("1")})
		}
		_, err = tx.Commit(t.Context(), &kv.Commit{Writes: writes})
		require.ErrorIs(t, err, kv.ErrTxnTooOld)
		tx.Release()
	}
	require.Empty(t, scanKeys(t, s))
}

// TestTimeOfRegions: a walk over many regions without a pair does not end because
// they are many.
func TestTimeOfRegions(t *testing.T) {
	c := servers.Cluster(t)
	prefix := c.Prefix(t)
	require.NoError(t, c.Split(t.Context(), prefix, []byte("a"), []byte("b"), []byte("c")))
	s, err := c.OpenAt(t.Context(), prefix, nil)
	require.NoError(t, err)
	w := intercept(t, s)
	defer func() {
		w.clear()
		require.NoError(t, s.Close())
	}()
	for _, reverse := range []bool{false, true} {
		ends := map[time.Time]string{} // of the time for the region where a scan begins
		w.set(func(ctx context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
			if req.Type == tikvrpc.CmdScan {
				start := string(req.Scan().GetStartKey())
				end, bounded := ctx.Deadline()
				if other, seen := ends[end]; !bounded || seen && other != start {
					t.Error("the region has no time of its own")
				}
				ends[end] = start
			}
			return send()
		})
		require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
			return walk(t.Context(), tx, 0, &kv.ScanOptions{Reverse: reverse})
		}))
		require.GreaterOrEqual(t, len(ends), 4)
	}
}

// TestLargeValues: after a page of large values fewer are asked for, though the
// page was short because its region ended.
func TestLargeValues(t *testing.T) {
	s, w := wired(t, nil)
	for _, k := range []string{"a", "b"} {
		put(t, s, k, strings.Repeat("v", 5<<20))
	}
	put(t, s, "z", "small")
	var limits []uint32
	w.set(func(_ context.Context, req *tikvrpc.Request, send func() (*tikvrpc.Response, error)) (*tikvrpc.Response, error) {
		if req.Type == tikvrpc.CmdScan {
			limits = append(limits, req.Scan().GetLimit())
		}
		return send()
	})
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		return walk(t.Context(), tx, 3, nil)
	}))
	require.Greater(t, limits[0], uint32(2))
	for _, limit := range limits[1:] {
		require.EqualValues(t, 1, limit)
	}
}
