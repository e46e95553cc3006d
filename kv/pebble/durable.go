package pebble

import (
	"context"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// durable is the highest version known to survive a crash.
type durable struct{ version atomic.Uint64 }

func (d *durable) reached(v kv.Version) bool { return d.version.Load() >= uint64(v) }

func (d *durable) advance(v kv.Version) {
	for {
		old := d.version.Load()
		if old >= uint64(v) || d.version.CompareAndSwap(old, uint64(v)) {
			return
		}
	}
}

// WaitDurable costs nothing if a sync has covered v already. Otherwise it puts an
// empty record into the log and waits until Pebble has synced the log up to that
// record; Pebble syncs once for all callers that wait at a time. The end of the
// context does not interrupt a sync that has begun.
func (d *driver) WaitDurable(_ context.Context, v kv.Version) error {
	if err := d.fuse.err(); err != nil {
		return err
	}
	// What transactions can see, also of a commit that is not acknowledged yet.
	last := d.snapshots.version()
	if d.durable.reached(min(v, last)) {
		return nil
	}
	if err := d.engineError(d.db.LogData(nil, pebble.Sync)); err != nil {
		return err
	}
	d.durable.advance(last)
	return nil
}
