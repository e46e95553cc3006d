package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"

	"github.com/tito-db/tito-go/kv"
)

// gcLeaseKey is where the one collector of a cluster keeps its lease. No
// store's prefix begins with its first byte.
const gcLeaseKey = "\x00tito/gc"

// gcService is the name by which PD knows TiDB's collector, whose place this
// collector takes. PD allows a claim that never expires under this name alone.
const gcService = "gc_worker"

// ErrNotCollector says that another process collects the cluster's garbage.
var ErrNotCollector = errors.New("kv: tikv: another process collects garbage")

// Collector collects a cluster's garbage. It is used by one goroutine.
type Collector struct {
	d      *Driver
	owner  [16]byte
	Window time.Duration // how long old versions are kept
	Lease  time.Duration // how long other collectors stay away after a round has begun
	Settle time.Duration // how long other clients may take to learn of a safe point
}

// Settle is how long a client reads on without having learnt of a new safe
// point; then it refuses to read.
const Settle = tikv.GcSafePointCacheInterval

// NewCollector returns one that has no lease yet.
func NewCollector(d *Driver) *Collector {
	c := &Collector{d: d, Settle: Settle}
	_, _ = rand.Read(c.owner[:]) // never fails
	return c
}

// MinWindow is the least Window: a transaction that still commits may need any
// younger version.
func (c *Collector) MinWindow() time.Duration { return c.d.info.TxnLifetime + watermarkSlack }

// Collect does one round: it makes all versions that were replaced before the
// window garbage, for the servers to remove in their own time. It returns
// ErrNotCollector if another process has the lease.
func (c *Collector) Collect(ctx context.Context) error {
	now, err := c.d.timestamp(ctx)
	if err != nil {
		return err
	}
	window := oracle.ComposeTS(c.Window.Milliseconds(), 0)
	point := max(now, window) - window
	if err := c.takeLease(ctx, now); err != nil {
		return err
	}
	pd := c.d.store.GetPDClient()
	// Backups and change feeds hold the safe point back by their own claims.
	least, err := pd.UpdateServiceGCSafePoint(ctx, gcService, math.MaxInt64, point)
	if err != nil {
		return CallError(ctx, err)
	}
	point = min(point, least)
	asked := time.Now()
	highest, err := c.d.raiseSafePoint(point)
	if err != nil {
		return CallError(ctx, err)
	}
	// Nobody may read what this round makes garbage, nor what a collector with a
	// smaller window has made garbage before. Other clients look at the safe point
	// now and then, so this round waits for them.
	c.d.store.UpdateSPCache(highest, asked)
	if err := wait(ctx, c.Settle); err != nil {
		return err
	}
	// No open transaction has a lock as old as the safe point. Such a lock would hide
	// from readers the value that becomes garbage beneath it.
	if _, err := c.d.store.GC(ctx, point); err != nil {
		return CallError(ctx, err)
	}
	c.d.opts.Logger.Info("kv: tikv: collected garbage", "safe point", kv.Version(point).Time())
	return nil
}

// takeLease makes this the one collector for some time, unless there is another.
func (c *Collector) takeLease(ctx context.Context, now uint64) error {
	t, err := c.d.newTxn(now, false)
	if err != nil {
		return err
	}
	defer t.Release()
	owner, end, err := t.lease(ctx)
	if err != nil {
		return err
	}
	if owner != c.owner && end > now {
		return ErrNotCollector
	}
	until := now + oracle.ComposeTS(c.Lease.Milliseconds(), 0)
	if err := t.kv.Set([]byte(gcLeaseKey), binary.BigEndian.AppendUint64(c.owner[:], until)); err != nil {
		return commitError(ctx, err, outcome{})
	}
	_, err = t.commit(ctx)
	if errors.Is(err, kv.ErrConflict) {
		return ErrNotCollector
	}
	return err
}

// Release gives up the lease, so that another collector need not wait for its end. It
// does nothing if c does not have the lease.
func (c *Collector) Release(ctx context.Context) error {
	now, err := c.d.timestamp(ctx)
	if err != nil {
		return err
	}
	t, err := c.d.newTxn(now, false)
	if err != nil {
		return err
	}
	defer t.Release()
	owner, _, err := t.lease(ctx)
	if err != nil || owner != c.owner {
		return err
	}
	if err := t.kv.Delete([]byte(gcLeaseKey)); err != nil {
		return commitError(ctx, err, outcome{})
	}
	_, err = t.commit(ctx)
	return err
}

// lease returns whose lease there is and when it ends; zeros if there is none.
func (t *txn) lease(ctx context.Context) (owner [16]byte, end uint64, err error) {
	v, err := t.snapshot().Get(ctx, []byte(gcLeaseKey))
	if err != nil && !tikverr.IsErrNotFound(err) {
		return owner, 0, t.readError(ctx, err)
	}
	if len(v) != len(owner)+8 {
		return owner, 0, nil
	}
	return [16]byte(v), binary.BigEndian.Uint64(v[len(owner):]), nil
}

// raiser is a place for the safe point that never lowers it: Raise returns what is
// there afterwards.
type raiser interface {
	Raise(k string, v uint64) (uint64, error)
}

// raiseSafePoint tells all clients of the cluster, and returns what they are told:
// it may be higher than point.
func (d *Driver) raiseSafePoint(point uint64) (uint64, error) {
	place := d.store.GetSafePointKV()
	if r, ok := place.(raiser); ok {
		return r.Raise(tikv.GcSavedSafePoint, point)
	}
	text, err := place.Get(tikv.GcSavedSafePoint)
	if err != nil {
		return 0, err
	}
	old, _ := strconv.ParseUint(text, 10, 64) // no number: nobody has written one
	point = max(point, old)
	return point, place.Put(tikv.GcSavedSafePoint, strconv.FormatUint(point, 10))
}

// garbageAge is how old the safe point is when somebody should see to it.
const garbageAge = 24 * time.Hour

// warnOfGarbage logs a warning if nobody collects the cluster's garbage.
func (d *Driver) warnOfGarbage(now uint64) {
	text, err := d.store.GetSafePointKV().Get(tikv.GcSavedSafePoint)
	if err != nil {
		return // those who read will tell
	}
	point, _ := strconv.ParseUint(text, 10, 64) // no number: nobody has written one
	if age := oracle.GetTimeFromTS(now).Sub(oracle.GetTimeFromTS(point)); age > garbageAge {
		d.opts.Logger.Warn("kv: tikv: nobody collects the cluster's garbage, so that replaced and deleted data pile up; where there is no TiDB, run RunGC",
			"safe point", fmt.Sprint(oracle.GetTimeFromTS(point).UTC().Format(time.RFC3339)))
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kv: tikv: %w", context.Cause(ctx))
	}
}
