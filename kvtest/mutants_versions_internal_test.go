package kvtest

import (
	"context"
	"sync"
	"testing"

	"github.com/tito-db/tito-go/kv"
)

// watermarks is a driver that returns other watermarks.
type watermarks struct {
	kv.Driver
	change func(ctx context.Context, w kv.Version) (kv.Version, error)
}

func (d *watermarks) Watermark(ctx context.Context) (kv.Version, error) {
	w, err := d.Driver.Watermark(ctx)
	if err != nil {
		return 0, err
	}
	return d.change(ctx, w)
}

func versionMutants() []mutant {
	return []mutant{
		txns("commit version below the snapshot", "Functional/versions", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				return min(v, h.ReadVersion()), err
			}
		}),
		drivers("versions repeat", "Functional/versions", func(d kv.Driver) kv.Driver {
			var mu sync.Mutex
			var last kv.Version
			return wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
				h := &hooks{DriverTxn: t}
				h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
					v, err := t.Commit(ctx, c)
					mu.Lock()
					defer mu.Unlock()
					if err == nil && last != 0 { // every other one
						v, last = last, 0
					} else if err == nil {
						last = v
					}
					return v, err
				}
				return h
			})(d)
		}),
		txns("versions without a clock", "Functional/versions and the wall clock", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				return v & (1<<40 - 1), err // of the years since 1970 none is left
			}
		}),
		drivers("watermark too high", "Functional/the watermark", func(d kv.Driver) kv.Driver {
			return &watermarks{d, func(ctx context.Context, _ kv.Version) (kv.Version, error) {
				return fresh(ctx, d, func(t kv.DriverTxn) (kv.Version, error) { return t.ReadVersion(), nil })
			}}
		}),
		drivers("watermark that stands still", "Functional/the watermark follows", func(d kv.Driver) kv.Driver {
			return &watermarks{d, func(context.Context, kv.Version) (kv.Version, error) { return 0, nil }}
		}),
		drivers("watermark that goes back", "Functional/the watermark", func(d kv.Driver) kv.Driver {
			var mu sync.Mutex
			calls := kv.Version(0)
			return &watermarks{d, func(_ context.Context, w kv.Version) (kv.Version, error) {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return w - min(w, calls<<40), nil
			}}
		}),
		drivers("views hold the watermark", "Functional/the watermark follows", func(d kv.Driver) kv.Driver {
			return &heavyViews{Driver: d}
		}),
		drivers("WaitDurable of nothing fails", "Functional/durability of Sync commits", func(d kv.Driver) kv.Driver {
			return &impatient{d}
		}),
	}
}

// heavyViews opens views as read-write transactions.
type heavyViews struct{ kv.Driver }

func (d *heavyViews) Begin(ctx context.Context, _ kv.BeginOptions) (kv.DriverTxn, error) {
	return d.Driver.Begin(ctx, kv.BeginOptions{})
}

// impatient does not know versions of the past.
type impatient struct{ kv.Driver }

func (d *impatient) WaitDurable(ctx context.Context, v kv.Version) error {
	if v == 0 {
		return kv.ErrUnavailable
	}
	return d.Driver.WaitDurable(ctx, v)
}

// reopening makes a mutant that goes wrong when a store is opened again. It is
// given the engine's state as an ordinary store.
func reopening(name, killer string, crash bool, spoil func(t testing.TB, s *kv.Store, o *kv.Options) *kv.Options) mutant {
	return mutant{name, killer, func(h Harness) Harness {
		reopen := h.Reopen
		broken := func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			s, err := reopen(t, s, &kv.Options{})
			if err != nil {
				return nil, err
			}
			return reopen(t, s, spoil(t, s, o))
		}
		if crash {
			h.Crash = broken
		} else {
			h.Reopen = broken
		}
		return h
	}}
}

// lost deletes what a commit has written.
func lost(t testing.TB, s *kv.Store, o *kv.Options) *kv.Options {
	err := s.Update(t.Context(), func(tx *kv.Txn) error {
		for p, err := range tx.Scan(t.Context(), kv.Range{}, &kv.ScanOptions{Reverse: true, Limit: 1}) {
			if err != nil {
				return err
			}
			return tx.Delete(p.Key)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return o
}

// rewound wraps the driver so that its versions lie an hour in the past.
func rewound(_ testing.TB, _ *kv.Store, o *kv.Options) *kv.Options {
	const hour = 3600 * 1000 << 18
	opts := *o
	opts.Wrap = func(d kv.Driver) kv.Driver {
		return o.Wrap(wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
			h := &hooks{DriverTxn: t}
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := t.Commit(ctx, c)
				return v - hour, err
			}
			return h
		})(d))
	}
	return &opts
}

// defaultLifetime is a driver that forgets the lifetime it was created with.
type defaultLifetime struct{ kv.Driver }

func (d *defaultLifetime) Info() kv.Info {
	i := d.Driver.Info()
	i.TxnLifetime = kv.DefaultTxnLifetime
	return i
}

func forgetful(_ testing.TB, _ *kv.Store, o *kv.Options) *kv.Options {
	opts := *o
	opts.Wrap = func(d kv.Driver) kv.Driver { return o.Wrap(&defaultLifetime{d}) }
	return &opts
}

func reopenMutants() []mutant {
	return []mutant{
		txns("unsynced acknowledged commit", "Functional/a crash loses no durable commit", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, Locks: c.Locks, NoSync: true})
			}
		}),
		reopening("a commit lost on reopening", "Functional/reopening keeps the data", false, lost),
		reopening("a commit lost in a crash", "Functional/a crash loses no durable commit", true, lost),
		reopening("versions go back on reopening", "Functional/versions ascend across reopening", false, rewound),
		reopening("versions go back in a crash", "Functional/versions ascend across a crash", true, rewound),
		reopening("lifetime forgotten", "Functional/reopening keeps the lifetime", false, forgetful),
	}
}
