package kvtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// DisturbOptions of Disturb. The zero value means the defaults; nil works too.
type DisturbOptions struct {
	// Rounds is how often the store is disturbed. Default 3.
	Rounds int

	// Recovery is how long after the disturbance all workers may take to get
	// something committed. Default 30 s.
	Recovery time.Duration

	// Seed decides what the workers do. Zero draws a seed, and Disturb logs it.
	Seed uint64
}

const (
	disturbRounds   = 3
	disturbRecovery = 30 * time.Second
	disturbAfter    = 40 // acknowledgements
)

// Disturb proves that a store whose servers are elsewhere outlives trouble of its
// servers. Workers commit to s from several goroutines. When they have begun,
// Disturb calls disturb, which makes trouble and ends it. Meanwhile calls may fail
// with kv.ErrUnavailable, kv.ErrTxnTooOld or kv.ErrCommitUnknown. t fails unless
//
//   - each worker commits again within o.Recovery after disturb has returned;
//   - every acknowledged commit is there, and every commit with an unknown outcome
//     is there as a whole or not at all;
//   - versions ascend.
//
// s is empty at first, and stays open.
func Disturb(t testing.TB, s *kv.Store, disturb func(ctx context.Context) error, o *DisturbOptions) {
	t.Helper()
	var opts DisturbOptions
	if o != nil {
		opts = *o
	}
	if opts.Rounds == 0 {
		opts.Rounds = disturbRounds
	}
	if opts.Recovery == 0 {
		opts.Recovery = disturbRecovery
	}
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64()
	}
	t.Logf("DisturbOptions.Seed %d", opts.Seed)
	trail := newTrail(trailWorkers)
	failures := 0
	for n := range opts.Rounds {
		d := &disturbed{store: s, trail: trail, again: make([]bool, trailWorkers), changed: make(chan struct{})}
		d.run(t, disturb, opts.Recovery, opts.Seed+uint64(n))
		failures += d.failures
		if err := trail.check(t.Context(), s, len(trail.acks)); err != nil {
			t.Fatalf("DisturbOptions.Seed %d, round %d: %v", opts.Seed, n, err)
		}
	}
	t.Logf("%d acknowledgements, %d calls that failed", trail.total, failures)
}

// disturbed is a store while workers walk on it and something goes wrong.
type disturbed struct {
	store *kv.Store

	mu       sync.Mutex
	trail    *trail
	total    int           // acknowledgements
	over     bool          // the disturbance has ended
	again    []bool        // by worker: a commit that it began after the disturbance has succeeded
	enough   bool          // workers are to stop
	failures int           // calls that failed with an error that trouble allows
	failed   error         // the calls that failed with any other error
	changed  chan struct{} // closed, and replaced, when another field has changed
}

func (d *disturbed) run(t testing.TB, disturb func(ctx context.Context) error, recovery time.Duration, seed uint64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	for w := range trailWorkers {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for d.step(ctx, w, rng) {
				continue
			}
		})
	}
	require.NoError(t, d.await(ctx, func() bool { return d.total >= disturbAfter }), "before the disturbance")
	require.NoError(t, disturb(ctx), "the disturbance itself")
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err := d.await(limited, func() bool { return !slices.Contains(d.again, false) })
	require.NoError(t, err, "after the disturbance, for %v", recovery)
	t.Logf("all workers commit again after %v", time.Since(began).Round(time.Millisecond))
	// The last steps are to end by themselves, so that it is known how.
	d.mu.Lock()
	d.enough = true
	d.mu.Unlock()
	workers.Wait()
	require.NoError(t, d.failed, "the last steps")
}

// await returns when done, which is called with d.mu held, returns true.
func (d *disturbed) await(ctx context.Context, done func() bool) error {
	for {
		d.mu.Lock()
		changed, failed, ok := d.changed, d.failed, done()
		d.mu.Unlock()
		if failed != nil || ok {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step commits once, and reports whether the worker goes on.
func (d *disturbed) step(ctx context.Context, worker int, rng *rand.Rand) bool {
	d.mu.Lock()
	over := d.over // a commit that was under way before says little
	d.mu.Unlock()
	n, v, err := commitStep(ctx, d.store, &kv.TxnOptions{MaxAttempts: 1 << 20}, worker,
		rng.IntN(trailAccounts), rng.IntN(trailAccounts), 1+rng.IntN(9))
	known := n
	for unknown := err; errors.Is(unknown, kv.ErrCommitUnknown); { // to be found out
		known, unknown = d.counter(ctx, worker)
		if troubled(unknown) {
			unknown = kv.ErrCommitUnknown
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() {
		close(d.changed)
		d.changed = make(chan struct{})
	}()
	switch {
	case err == nil:
		d.trail.add(ack{worker: worker, n: n, version: v, durable: true})
		d.total++
		d.again[worker] = d.again[worker] || over
	case troubled(err):
		d.failures++
		d.trail.reached[worker] = max(d.trail.reached[worker], known)
	default:
		d.failed = errors.Join(d.failed, err)
	}
	return d.failed == nil && !d.enough && ctx.Err() == nil
}

// troubled reports whether a call may fail like that while there is trouble.
func troubled(err error) bool {
	return errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrTxnTooOld) ||
		errors.Is(err, kv.ErrSnapshotTooOld) || errors.Is(err, kv.ErrCommitUnknown)
}

// counter returns the number of a worker's last commit.
func (d *disturbed) counter(ctx context.Context, worker int) (int, error) {
	n := 0
	err := d.store.View(ctx, func(tx *kv.Txn) error {
		numbers, err := readNumbers(ctx, tx, counterKey("a", worker))
		if err == nil {
			n = numbers[0]
		}
		return err
	})
	return n, err
}
