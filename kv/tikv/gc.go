package tikv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
)

// Defaults and bounds of GCOptions.
const (
	DefaultGCWindow   = time.Hour
	DefaultGCInterval = 10 * time.Minute
	MinGCInterval     = time.Minute
)

// GCOptions of RunGC. The zero value means the defaults; nil works too.
type GCOptions struct {
	// Window is how long the versions that were replaced or deleted are kept. A
	// view that is older fails with kv.ErrSnapshotTooOld, however long its
	// lifetime. It must be at least the lifetime of read-write transactions and
	// 22 s, of every store in the cluster. RunGC can check that only for the store
	// that it is given. A transaction with a longer lifetime than the window fails
	// with kv.ErrTxnTooOld, unless the collection overtakes it in the middle of its
	// commit. Default DefaultGCWindow.
	Window time.Duration

	// Interval is how long after the end of a round the next one begins. Default
	// DefaultGCInterval; at least MinGCInterval.
	Interval time.Duration
}

// RunGC collects the garbage of a whole cluster, not of one store only, until
// ctx ends or store is closed, and returns ctx's error or kv.ErrClosed. TiKV
// keeps old versions of each key until somebody tells it a time before which nobody
// reads. TiDB does that; in a cluster without TiDB somebody has to call RunGC, or
// replaced and deleted data pile up.
//
// Never call RunGC in a cluster that has a TiDB: neither would know of the other, and
// each would take away what the other's clients still read.
//
// Call RunGC in some or all processes that have a store open. One process at a time
// does the work, under a lease, and another process takes over when it ends. RunGC
// logs a round that fails to Options.Logger and tries again. It respects the claims
// that backups and change feeds hold at PD.
//
// Other errors wrap kv.ErrOptions, if o is out of range or store is
// not in TiKV.
func RunGC(ctx context.Context, store *kv.Store, o *GCOptions) error {
	var d *engine.Driver
	if !store.As(&d) {
		if store.Info().Name == engine.Name {
			return kv.ErrClosed
		}
		return fmt.Errorf("%w: RunGC needs a store in TiKV", kv.ErrOptions)
	}
	c, interval, err := collector(d, o)
	if err != nil {
		return err
	}
	return d.During(ctx, func(ctx context.Context) error {
		defer release(ctx, d, c)
		return collect(ctx, d, c, interval)
	})
}

// collect does rounds until ctx ends.
func collect(ctx context.Context, d *engine.Driver, c *engine.Collector, interval time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, kv.ErrClosed) || errors.Is(cause, ctx.Err()) {
				return fmt.Errorf("kv: RunGC: %w", cause)
			}
			return fmt.Errorf("kv: RunGC: %w: %w", ctx.Err(), cause)
		case <-timer.C:
		}
		if err := c.Collect(ctx); err != nil && !errors.Is(err, engine.ErrNotCollector) && ctx.Err() == nil {
			d.Logger().Warn("kv: tikv: collect garbage", "error", err)
		}
		timer.Reset(interval)
	}
}

// releaseTime bounds how long RunGC takes to end. It is shorter than the time that
// closing a store waits.
const releaseTime = 2 * time.Second

// release lets other processes collect at once. If it fails, they wait for the lease
// to end.
func release(ctx context.Context, d *engine.Driver, c *engine.Collector) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := c.Release(ctx); err != nil {
		d.Logger().Warn("kv: tikv: give up the collection of garbage", "error", err)
	}
}

func collector(d *engine.Driver, o *GCOptions) (*engine.Collector, time.Duration, error) {
	var opts GCOptions
	if o != nil {
		opts = *o
	}
	if opts.Window == 0 {
		opts.Window = DefaultGCWindow
	}
	if opts.Interval == 0 {
		opts.Interval = DefaultGCInterval
	}
	c := engine.NewCollector(d)
	switch {
	case opts.Window < c.MinWindow():
		return nil, 0, fmt.Errorf("%w: Window is below %v", kv.ErrOptions, c.MinWindow())
	case opts.Interval < MinGCInterval:
		return nil, 0, fmt.Errorf("%w: Interval is below %v", kv.ErrOptions, MinGCInterval)
	}
	c.Window = opts.Window
	c.Lease = 2*opts.Interval + engine.Settle // a round follows in time, if this process lives
	return c, opts.Interval, nil
}
