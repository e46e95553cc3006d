package group

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/teststores"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// zombieChanges are all that a worker may want to write to a checkpoint.
func zombieChanges(p *Partition, ev *eventlog.Event) map[string]*Change {
	flush, retry, begun, release := NewChange(p), NewChange(p), NewChange(p), NewChange(p)
	flush.To.Floor += 4
	retry.To.Retry = Retry{Attempts: 3, Err: "zombie"}
	begun.To.Quarantine = Started
	release.To.Owner = Token{}
	dead := NewDeadLetter(p, ev, 5, "zombie")
	return map[string]*Change{"flush": flush, "retry": retry, "started": begun, "release": release, "dead letter": dead}
}

// Whatever a worker writes after another one took its partition changes nothing.
func TestInvariant8LostTokenChangesNothing(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "started", "release", "dead letter"} {
			for _, released := range []bool{false, true} { // by the new owner
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5")
				b.move()
				zombie, owner := b.worker(b.id()), b.worker(b.id())
				j := b.take(zombie)
				c := zombieChanges(j[0].Partition, &j[0].Events[0])[what]
				p := b.take(owner)[0].Partition
				got := NewChange(p)
				got.To.Floor, got.To.Retry = 2, Retry{Attempts: 1, Err: "owner"}
				if released && what != "release" {
					got.To.Owner = Token{}
				}
				require.NoError(t, owner.k.write(t.Context(), []*Change{got}))
				before := b.dump()
				require.NoError(t, zombie.k.write(t.Context(), []*Change{c}))
				require.True(t, c.lost, what)
				require.Equal(t, before, b.dump(), what)
			}
		}
	})
}

// The same with the partition taken before each driver call of what the zombie
// does: either its change was made before, and the new owner begins with it, or
// it never is.
func TestInvariant8TakeoverWhileWriting(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "dead letter"} {
			b.everywhere(func(n int) int {
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5", "6")
				b.move()
				zombie, owner := b.worker(b.id()), b.worker(b.id())
				j := b.take(zombie)
				c := zombieChanges(j[0].Partition, &j[0].Events[0])[what]
				p := &owner.s.partitions[b.partition("k")]
				b.h.Reset(map[int]func(){n: func() { b.take(owner) }})
				require.NoError(t, zombie.k.write(t.Context(), []*Change{c}))
				calls := b.h.Calls
				b.h.Reset(nil)
				if n >= calls {
					b.take(owner)
				}
				require.Equal(t, p.token, b.stored("k").Owner)
				require.Equal(t, p.done, b.stored("k").Floor)
				require.Equal(t, n < calls, c.lost)
				letters := len(b.letters())
				if c.lost {
					require.Zero(t, p.done)
					require.Zero(t, p.retry)
					require.Zero(t, letters)
				} else {
					require.Equal(t, c.To.Floor, p.done)
					require.Equal(t, c.To.Retry.Attempts, p.retry.Attempts)
					require.Equal(t, what == "dead letter", letters == 1)
				}
				return calls
			})
		}
	})
}

// A partition that was lost, and has been set back to what is stored, has nothing to
// write, even though its worker had something before: also when nobody owns the
// partition any more.
func TestInvariant8PartitionSetBack(t *testing.T) {
	b := newBench(t, teststores.Memory)
	b.fresh()
	b.publish("k", "1", "2")
	b.move()
	w := b.worker(b.id())
	p := b.take(w)[0].Partition
	w.k.Advance(p, 1, 1)
	p.lost = true
	w.s.settle(p)
	require.False(t, p.lost)
	released := Checkpoint{Retry: Retry{Attempts: 2, Err: "other"}}
	require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
		return w.rows.Put(tx, p.number, &released)
	}))
	require.NoError(t, w.k.write(t.Context(), w.k.next()))
	require.Equal(t, released, b.stored("k"))
}

// A partition that could not be given up stays this worker's, with what was done
// there, until giveBack has told the store.
func TestGiveUpFails(t *testing.T) {
	b := newBench(t, teststores.Memory)
	b.fresh()
	b.publish("k", "1", "2")
	b.move()
	w := b.worker(b.id())
	p := b.take(w)[0].Partition
	w.k.Advance(p, 1, 1)
	p.mine = false
	w.s.settleAfter(p, 0)
	changes := w.k.next()
	require.Len(t, changes, 1)
	w.k.written(changes, kv.ErrUnavailable)
	require.Equal(t, p.token, b.stored("k").Owner)
	require.NoError(t, w.k.GiveBack(t.Context()))
	require.Equal(t, Checkpoint{Floor: 1}, b.stored("k"))
}

// A partition that another worker has taken and given back, behind what this one
// has done there and not written, is lost: its events come again.
func TestGivenBackByAnother(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		b.fresh()
		b.publish("k", "1", "2")
		b.move()
		zombie, owner := b.worker(b.id()), b.worker(b.id())
		p := b.take(zombie)[0]
		zombie.k.Advance(p.Partition, 2, 2)
		require.NotNil(t, b.take(owner))
		require.NoError(t, owner.k.GiveBack(t.Context()))
		p.mine = false
		zombie.s.settleAfter(p.Partition, 0)
		p.mine = true // again, while it is given up
		changes := zombie.k.next()
		require.NoError(t, zombie.k.write(t.Context(), changes))
		zombie.k.written(changes, nil)
		require.Equal(t, 1, zombie.s.fetch.len(), "it goes on behind the floor that is stored")
		require.Zero(t, p.done)
	})
}

// A partition that waits for an event to come again does so no longer when another
// worker has taken its partition: it may have got on there.
func TestWaitingPartitionIsLost(t *testing.T) {
	b := newBench(t, teststores.Memory)
	for name, learn := range map[string]func(w *worker, p *Partition){
		"by looking": func(w *worker, _ *Partition) { require.NoError(t, w.f.Load(t.Context())) },
		"by a flush": func(w *worker, p *Partition) {
			w.k.Advance(p, 1, 0)
			changes := w.k.next()
			require.NoError(t, w.k.write(t.Context(), changes))
			w.k.written(changes, nil)
		},
	} {
		b.fresh()
		b.publish("k", "1", "2")
		b.move()
		w, other := b.worker(b.id()), b.worker(b.id())
		p := b.take(w)[0].Partition
		w.s.settleAfter(p, time.Hour)
		require.NotNil(t, b.take(other))
		learn(w, p)
		require.Equal(t, Fetchable, p.place, name)
	}
}

// A flush that is behind what is stored leaves it as it is.
func TestInvariant4FloorOnlyRises(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		b.fresh()
		b.publish("k", "1", "2", "3", "4", "5", "6")
		b.move()
		w := b.worker(b.id())
		j := b.take(w)
		p := j[0].Partition
		ahead := Checkpoint{Owner: p.token, Floor: 6, Crashes: 1, Retry: Retry{Attempts: 2, Wait: time.Second, Due: time.UnixMilli(1000), Err: "later"}}
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			return w.rows.Put(tx, p.number, &ahead)
		}))
		for what, c := range zombieChanges(p, &j[0].Events[0]) {
			require.NoError(t, w.k.write(t.Context(), []*Change{c}))
			require.False(t, c.lost)
			want := ahead
			want.Owner = c.To.Owner
			require.Equal(t, want, b.stored("k"), what)
			require.Empty(t, b.letters(), what)
			require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
				return w.rows.Put(tx, p.number, &ahead)
			}))
		}
	})
}

// The commit of a claim ends unknown and lands late: the partition is claimed
// once, and one death of its former owner is counted.
func TestClaimLateCommit(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			b.publish("k", "1")
			b.move()
			b.died("k")
			w := b.worker(b.id())
			b.h.Postpone = true
			b.h.Postponed = func() {
				b.h.Reset(map[int]func(){n: func() { _ = b.h.Land(t.Context()) }})
			}
			require.NotNil(t, b.take(w))
			calls := b.h.Calls
			b.h.Reset(nil)
			b.h.Postponed = nil
			if n >= calls {
				require.ErrorIs(t, b.h.Land(t.Context()), kv.ErrConflict)
			}
			p := &w.s.partitions[b.partition("k")]
			require.Equal(t, Checkpoint{Owner: p.token, Crashes: 1}, b.stored("k"))
			require.Equal(t, w.id, p.token.Process())
			return calls
		})
	})
}

// The same for each change that a Checkpointer makes.
func TestCheckpointerLateCommit(t *testing.T) {
	stores(t, func(t *testing.T, open teststores.Open) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "started", "release", "dead letter"} {
			b.everywhere(func(n int) int {
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5")
				b.move()
				w := b.worker(b.id())
				j := b.take(w)
				c := zombieChanges(j[0].Partition, &j[0].Events[0])[what]
				b.h.Postpone = true
				b.h.Postponed = func() {
					b.h.Reset(map[int]func(){n: func() { _ = b.h.Land(t.Context()) }})
				}
				require.NoError(t, w.k.write(t.Context(), []*Change{c}))
				calls := b.h.Calls
				b.h.Reset(nil)
				b.h.Postponed = nil
				if n >= calls {
					require.ErrorIs(t, b.h.Land(t.Context()), kv.ErrConflict)
				}
				require.False(t, c.lost)
				require.Equal(t, c.To, b.stored("k"), what)
				require.Equal(t, what == "dead letter", len(b.letters()) == 1)
				return calls
			})
		}
	})
}
