package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

// crashing makes a mutant that a crash leaves in another state than it should.
func crashing(name, killer string, survivors func(commits []journalEntry, durable int) []journalEntry) mutant {
	return mutant{name, killer, func(Harness) Harness {
		return lastingWith(func(commits []journalEntry, durable kv.Version) []journalEntry {
			n := slices.IndexFunc(commits, func(c journalEntry) bool { return c.version > durable })
			if n < 0 {
				n = len(commits)
			}
			return survivors(commits, n)
		})
	}}
}

func crashMutants() []mutant {
	const crashes = "Crashes/crashes"
	return []mutant{
		crashing("the last durable commit lost in a crash", crashes, func(commits []journalEntry, durable int) []journalEntry {
			return commits[:max(0, durable-1)]
		}),
		crashing("half of a commit after a crash", crashes, func(commits []journalEntry, durable int) []journalEntry {
			left := slices.Clone(commits[:durable])
			if durable > 0 {
				last := &left[durable-1]
				last.writes = last.writes[:len(last.writes)/2]
			}
			return left
		}),
		crashing("half of an unsynced commit after a crash", "Crashes/crashes under load", func(commits []journalEntry, durable int) []journalEntry {
			left := slices.Clone(commits[:min(durable+1, len(commits))])
			if durable < len(left) {
				last := &left[durable]
				last.writes = last.writes[len(last.writes)/2:]
			}
			return left
		}),
		crashing("a commit lost in the middle", crashes, func(commits []journalEntry, durable int) []journalEntry {
			if len(commits) < durable+2 {
				return commits
			}
			return slices.Delete(slices.Clone(commits), durable, durable+1)
		}),
		txns("acknowledged before durability, now and then", crashes, everyNth(3, func(ctx context.Context, t kv.DriverTxn, c *kv.Commit) (kv.Version, error) {
			return t.Commit(ctx, &kv.Commit{Writes: c.Writes, Locks: c.Locks, NoSync: true})
		})),
		txns("synced locks make nothing durable", crashes, func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, Locks: c.Locks, NoSync: c.NoSync || len(c.Writes) == 0})
			}
		}),
		drivers("WaitDurable does not wait", crashes, func(d kv.Driver) kv.Driver { return &hasty{d} }),
		drivers("Close makes nothing durable", "Crashes/crashes after Close", func(d kv.Driver) kv.Driver { return &abandoned{d} }),
		reopening("versions used again after reopening", "Crashes/many lives", false, rewound),
		reopening("versions used again after a crash", crashes, true, rewound),
		reopening("a commit lost on reopening under load", "Crashes/closed under load", false, lost),
	}
}

// everyNth makes one commit out of n otherwise.
func everyNth(n int64, commit func(ctx context.Context, t kv.DriverTxn, c *kv.Commit) (kv.Version, error)) func(kv.Driver, *hooks) {
	var commits atomic.Int64
	return func(_ kv.Driver, h *hooks) {
		h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
			if commits.Add(1)%n == 0 {
				return commit(ctx, h.DriverTxn, c)
			}
			return h.DriverTxn.Commit(ctx, c)
		}
	}
}

type hasty struct{ kv.Driver }

func (*hasty) WaitDurable(context.Context, kv.Version) error { return nil }

type abandoned struct{ kv.Driver }

func (*abandoned) Close() error { return nil }

// outside makes a mutant of what lies between the store and the faults: it
// acts as a store that deals wrongly with its driver's errors.
func outside(name, killer string, hook func(h *hooks)) mutant {
	return outermost(name, killer, wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		h := &hooks{DriverTxn: t}
		hook(h)
		return h
	}))
}

func outermost(name, killer string, wrap func(kv.Driver) kv.Driver) mutant {
	return mutant{name, killer, func(h Harness) Harness {
		open := h.Open
		h.Open = func(t testing.TB, o *kv.Options) *kv.Store {
			opts := *o
			opts.Wrap = func(d kv.Driver) kv.Driver { return wrap(o.Wrap(d)) }
			return open(t, &opts)
		}
		return h
	}}
}

func faultMutants() []mutant {
	const instead, after = "Faults/an error instead of each call", "Faults/an error after each call"
	commits := func(name, killer string, answer func(v kv.Version, err error) (kv.Version, error)) mutant {
		return outside(name, killer, func(h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if err != nil && !errors.Is(err, kv.ErrConflict) {
					return answer(h.ReadVersion()+1, err)
				}
				return v, err
			}
		})
	}
	return []mutant{
		commits("ErrCommitUnknown replayed", after, func(_ kv.Version, err error) (kv.Version, error) {
			return 0, fmt.Errorf("%w: %w", kv.ErrConflict, err)
		}),
		commits("ErrCommitUnknown replayed though nothing happened", instead, func(_ kv.Version, err error) (kv.Version, error) {
			return 0, fmt.Errorf("%w: %w", kv.ErrConflict, err)
		}),
		commits("unknown conflicts replayed", "Faults/an unknown outcome that looks like a conflict", func(kv.Version, error) (kv.Version, error) {
			return 0, kv.ErrConflict
		}),
		commits("a failed commit acknowledged", instead, func(v kv.Version, _ error) (kv.Version, error) { return v, nil }),
		commits("an unknown commit said to have failed", after, func(_ kv.Version, err error) (kv.Version, error) {
			return 0, fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
		}),
		outside("the commit repeated by the driver", "Faults/faults under contention", func(h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if errors.Is(err, errLost) {
					err = kv.ErrConflict
				}
				return v, err
			}
		}),
		outside("conflicts are not tried again", "Faults/a commit that is refused for a conflict", func(h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if errors.Is(err, kv.ErrConflict) {
					err = errLost
				}
				return v, err
			}
		}),
		outside("a failed read taken for an absent key", instead, func(h *hooks) {
			h.get = func(ctx context.Context, key []byte) ([]byte, error) {
				v, err := h.DriverTxn.Get(ctx, key)
				if errors.Is(err, errLost) {
					err = nil
				}
				return v, err
			}
		}),
		outermost("a failed scan taken for its end", instead, wrapCursors(func(c kv.DriverCursor, _ kv.Range, _ kv.CursorOptions) kv.DriverCursor {
			return &endless{c}
		})),
		outermost("a failed WaitDurable taken for success", instead, func(d kv.Driver) kv.Driver { return &hopeful{d} }),
		outermost("a snapshot kept after a failed commit", after, wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
			return &keeper{DriverTxn: t}
		})),
		txns("a lock without an acknowledgement forgotten", "Faults/a lock whose acknowledgement is lost", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return h.DriverTxn.Commit(ctx, &kv.Commit{Writes: c.Writes, NoSync: c.NoSync})
			}
		}),
	}
}

// endless is a cursor without errors.
type endless struct{ kv.DriverCursor }

func (*endless) Err() error { return nil }

type hopeful struct{ kv.Driver }

func (d *hopeful) WaitDurable(ctx context.Context, v kv.Version) error {
	_ = d.Driver.WaitDurable(ctx, v)
	return nil
}

// keeper does not release what has failed to commit.
type keeper struct {
	kv.DriverTxn
	failed bool
}

func (t *keeper) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	v, err := t.DriverTxn.Commit(ctx, c)
	t.failed = err != nil
	return v, err
}

func (t *keeper) Release() {
	if !t.failed {
		t.DriverTxn.Release()
	}
}

func enduranceMutants() []mutant {
	return []mutant{
		txns("a cancelled commit said to have failed", "Endurance/cancelled unheard", func(_ kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if err == nil && ctx.Err() != nil {
					return 0, fmt.Errorf("%w: %w", kv.ErrUnavailable, ctx.Err())
				}
				return v, err
			}
		}),
		outside("a cancelled commit acknowledged", "Endurance/cancelled while waiting", func(h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if errors.Is(err, context.Canceled) {
					return h.ReadVersion() + 1, nil
				}
				return v, err
			}
		}),
		drivers("old snapshots forgotten", "Endurance/old snapshots", func(d kv.Driver) kv.Driver {
			var commits atomic.Int64
			return wrapTxns(func(d kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
				h := &hooks{DriverTxn: t}
				began := commits.Load()
				h.get = func(ctx context.Context, key []byte) ([]byte, error) {
					if commits.Load() < began+100 {
						return t.Get(ctx, key)
					}
					return fresh(ctx, d, func(t kv.DriverTxn) ([]byte, error) { return t.Get(ctx, key) })
				}
				h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
					defer commits.Add(1)
					return t.Commit(ctx, c)
				}
				return h
			})(d)
		}),
		txns("a refused commit conflicts with others", "Endurance/a refused commit leaves no trace", func(d kv.Driver, h *hooks) {
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				v, err := h.DriverTxn.Commit(ctx, c)
				if errors.Is(err, kv.ErrConflict) {
					trace := &kv.Commit{Locks: c.Locks, NoSync: c.NoSync}
					for _, w := range c.Writes {
						trace.Locks = append(trace.Locks, w.Key)
					}
					if _, e := forced(ctx, d, trace); e != nil {
						return 0, e
					}
				}
				return v, err
			}
		}),
		drivers("nobody wins", "Endurance/one of many always wins", func(d kv.Driver) kv.Driver { return &fair{Driver: d} }),
		txns("a thousand keys at once at most", "Endurance/thousands of keys in one transaction", func(_ kv.Driver, h *hooks) {
			h.batch = func(ctx context.Context, keys [][]byte) ([][]byte, error) {
				values, err := h.DriverTxn.BatchGet(ctx, keys[:min(len(keys), 512)])
				return append(values, make([][]byte, len(keys)-len(values))...), err
			}
		}),
		mutant{"a goroutine that outlives Close", "Endurance/no goroutine survives Close", func(h Harness) Harness {
			open := h.Open
			h.Open = func(t testing.TB, o *kv.Options) *kv.Store {
				quit := make(chan struct{})
				t.Cleanup(func() { close(quit) })
				go func() { <-quit }()
				return open(t, o)
			}
			return h
		}},
	}
}

// fair refuses a commit as long as others are open that have not tried.
type fair struct {
	kv.Driver
	mu   sync.Mutex
	open int
}

func (d *fair) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := d.Driver.Begin(ctx, o)
	if err != nil || o.ReadOnly {
		return t, err
	}
	d.add(1)
	return &fairTxn{t, d}, nil
}

func (d *fair) add(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += n
	return d.open
}

type fairTxn struct {
	kv.DriverTxn
	d *fair
}

func (t *fairTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	if t.d.add(0) > 1 {
		return 0, kv.ErrConflict
	}
	return t.DriverTxn.Commit(ctx, c)
}

func (t *fairTxn) Release() {
	t.d.add(-1)
	t.DriverTxn.Release()
}

// TestKillKills: Kill catches drivers that a process's death shows to be broken.
func TestKillKills(t *testing.T) {
	mutants := map[string]func(kv.Driver) kv.Driver{
		"commits are not synced": wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
			h := &hooks{DriverTxn: t}
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				return t.Commit(ctx, &kv.Commit{Writes: c.Writes, Locks: c.Locks, NoSync: true})
			}
			return h
		}),
		"commits in two parts": wrapTxns(func(d kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
			h := &hooks{DriverTxn: t}
			h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
				half := len(c.Writes) / 2
				if _, err := t.Commit(ctx, &kv.Commit{Writes: c.Writes[:half], Locks: c.Locks, NoSync: c.NoSync}); err != nil {
					return 0, err
				}
				return forced(ctx, d, &kv.Commit{Writes: c.Writes[half:], NoSync: c.NoSync})
			}
			return h
		}),
		"versions begin anew": func(d kv.Driver) kv.Driver {
			var first atomic.Uint64
			return wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
				h := &hooks{DriverTxn: t}
				h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
					v, err := t.Commit(ctx, c)
					first.CompareAndSwap(0, uint64(v)-1<<30)
					return v - kv.Version(first.Load()), err
				}
				return h
			})(d)
		},
	}
	for name, wrap := range mutants {
		t.Run(name, func(t *testing.T) {
			open := func(dir string, _ *kv.Options) (*kv.Store, error) {
				return pebble.Open(dir, &pebble.Options{MemTableSize: pebble.MinMemTableSize, Options: kv.Options{Wrap: wrap}})
			}
			r := &recorder{TB: t, name: t.Name(), quiet: true, ctx: t.Context()}
			r.run(nil, func() { Kill(r, open, &KillOptions{Kills: 60}) })
			require.True(t, r.Failed(), "the mutant lives")
			t.Log(summary(r.messages[0]))
		})
	}
}
