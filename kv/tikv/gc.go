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
	// lifetime. Default DefaultGCWindow; at least the lifetime of read-write
	// transactions and 22 s.
	Window time.Duration

	// Interval is how long after the end of a round the next one begins. Default
	// DefaultGCInterval; at least MinGCInterval.
	Interval time.Duration
}

// RunGC collects the garbage of a whole cluster, not of one store only, until
// ctx ends or store is closed, and returns ctx's error or kv.ErrClosed. TiKV keeps old versions of each key until
// it is told of a time before which nobody reads; TiDB tells it, and where there
// is none somebody else has to, or replaced and deleted data pile up.
//
// Never run it in a cluster that has a TiDB: the two would not know of one
// another, and take away what the other still reads.
//
// Run it in some or all processes that have a store open: one of them at a time
// does the work, under a lease, and another one takes over if it ends. Rounds
// that fail are logged to Options.Logger and tried again. Backups and change
// feeds that hold a claim at PD are respected.
//
// Other errors wrap kv.ErrOptions, if o is out of range or store is
// not in TiKV.
func RunGC(ctx context.Context, store *kv.Store, o *GCOptions) error {
	var d *engine.Driver
	if !store.As(&d) {
		return fmt.Errorf("%w: RunGC needs an open store in TiKV", kv.ErrOptions)
	}
	c, interval, err := collector(d, o)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("kv: RunGC: %w", context.Cause(ctx))
		case <-timer.C:
		}
		switch err := d.During(ctx, c.Collect); {
		case errors.Is(err, kv.ErrClosed):
			return err
		case err != nil && !errors.Is(err, engine.ErrNotCollector) && ctx.Err() == nil:
			d.Logger().Warn("kv: tikv: collect garbage", "error", err)
		}
		timer.Reset(interval)
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
