package queue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// engine is one store that several processes have open. A process is a kv.Store
// of its own on the engine's driver, with its own faults, so that it can be
// made to die, by having all its calls fail from some point on, while others
// go on.
type engine struct {
	store     *kv.Store // of the test itself: no faults
	driver    kv.Driver
	shared    bool          // kv.Info.Shared for all processes
	committed chan struct{} // holds a signal when something was committed
}

func newEngine(t testing.TB, open queue.OpenStore) *engine {
	e := &engine{committed: make(chan struct{}, 1)}
	e.store = open(t, &kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		e.driver = d
		return d
	}})
	return e
}

// process is one of those that have an engine open.
type process struct {
	store *kv.Store
	calls kvfault.Counting
}

// process opens the engine for one more process, with faults.
func (e *engine) process(t testing.TB, faults *kvfault.Faulty) *process {
	p := &process{}
	store, err := kv.NewStore(kept{e.driver}, &kv.Options{Durability: e.durability(), Wrap: func(d kv.Driver) kv.Driver {
		return faults.Wrap(p.calls.Wrap(&telling{d, e}))
	}})
	require.NoError(t, err)
	p.store = store
	t.Cleanup(func() { _ = store.Close() }) // if the test fails before end: its workers end before the engine does
	return p
}

// durability keeps file systems out of tests that are not about them.
func (e *engine) durability() kv.Durability {
	if e.driver.Info().NoSync {
		return kv.NoSync
	}
	return kv.DurabilityDefault
}

// end closes the process's store, in which nothing may be open.
func (p *process) end(t testing.TB) {
	t.Helper()
	require.Zero(t, p.calls.OpenTxns(), "transactions left open")
	require.Zero(t, p.calls.OpenCursors(), "cursors left open")
	require.NoError(t, p.store.Close())
}

// kept is a driver that others use too.
type kept struct{ kv.Driver }

func (kept) Close() error { return nil }

// telling is a driver that tells its engine of commits.
type telling struct {
	kv.Driver
	e *engine
}

func (d *telling) Info() kv.Info {
	info := d.Driver.Info()
	info.Shared = info.Shared || d.e.shared
	return info
}

func (d *telling) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := d.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return &tellingTxn{t, d.e}, nil
}

type tellingTxn struct {
	kv.DriverTxn
	e *engine
}

func (t *tellingTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	v, err := t.DriverTxn.Commit(ctx, c)
	select {
	case t.e.committed <- struct{}{}:
	default:
	}
	return v, err
}
