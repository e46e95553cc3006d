package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// worker makes a worker of a queue that does nothing by itself: a test calls its
// parts one by one.
func (b *bench) worker(q *Queue, s Subscription) *Worker {
	b.Helper()
	s.Topic = b.topic
	orDefault(&s.Group, "group")
	w, err := q.Subscribe(s)
	require.NoError(b, err)
	begin, err := q.ensureGroup(b.Context(), b.topic, s.Group, benchPartitions, s.Start)
	require.NoError(b, err)
	w.keys = laneKeys{
		checkpoints: checkpoints{prefix: q.checkpointPrefix(s.Group, b.topic), start: begin},
		events:      q.keys.Events(b.topic),
		dead:        q.deadPrefix(s.Group, b.topic),
	}
	w.lanes = make([]lane, benchPartitions)
	for p := range w.lanes {
		w.lanes[p].partition = p
	}
	w.ctx = b.Context()
	return w
}

// take has w claim the partitions in which there is something to do, and read
// their events. It returns nil if there is nothing.
func (b *bench) take(w *Worker) *job {
	b.Helper()
	require.NoError(b, w.load(b.Context()))
	w.mu.Lock()
	for range w.ready.len() { // those that were lost begin anew
		w.rest(w.ready.pop())
	}
	w.mu.Unlock()
	if w.fetch.len() > 0 && w.ready.len() == 0 {
		lanes := w.nextFetch(b.Context())
		require.NoError(b, w.fetchLanes(b.Context(), lanes))
		for _, l := range lanes {
			if l.state == laneHeld {
				w.rest(l.lane)
			}
		}
	}
	if w.ready.len() == 0 {
		return nil
	}
	return w.nextJob()
}

// one narrows a job to the first event of its first part.
func (j *job) one() []part {
	return []part{{j.parts[0].turn, j.parts[0].events[:1]}}
}

func (b *bench) partition(key string) int {
	return eventlog.PartitionOf(keyhash.Of(key), benchPartitions)
}

// stored returns the checkpoint of a key's partition.
func (b *bench) stored(key string) checkpoint {
	b.Helper()
	cps := checkpoints{prefix: b.q.checkpointPrefix("group", b.topic)}
	var got []checkpoint
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) (err error) {
		got, err = cps.read(b.Context(), tx, []int{b.partition(key)})
		return err
	}))
	return got[0]
}

// dump returns everything in the store.
func (b *bench) dump() map[string]string {
	b.Helper()
	all := map[string]string{}
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
		for pair, err := range tx.Scan(b.Context(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			all[string(pair.Key)] = string(pair.Value)
		}
		return nil
	}))
	return all
}

// effect is a transactional handler that counts, in the store, how often it was
// committed for each event.
func (b *bench) effect(ctx context.Context, tx *kv.Txn, ev *Event) error {
	key := []byte(fmt.Sprint("effect/", b.topic, ev.Partition, "/", ev.Seq))
	row, err := tx.Get(ctx, key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return tx.Set(key, append(row, 'x'))
}

func (b *bench) effects(key string, seq uint64) int {
	return len(b.dump()[fmt.Sprint("effect/", b.topic, b.partition(key), "/", seq)])
}

// died makes a partition look as if its owner had died.
func (b *bench) died(key string) token {
	b.Helper()
	dead := newToken(cluster.ID{1, 2, 3})
	cps := checkpoints{prefix: b.q.checkpointPrefix("group", b.topic)}
	require.NoError(b, b.store.Update(b.Context(), func(tx *kv.Txn) error {
		return cps.write(tx, b.partition(key), &checkpoint{owner: dead})
	}))
	return dead
}

// One worker handles an event in a transaction, and another takes its partition
// and does the same, before each driver call of the first one's claim and
// transaction, and after them: in every order the effects happen once.
func TestInvariant6ZombieTransaction(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for _, again := range []bool{false, true} { // the first one tries again afterwards
			b.everywhere(func(n int) int {
				b.fresh()
				b.publish("k", "1", "2")
				b.move(b.sequencer(), eventlog.AllShards)
				zombie := b.worker(b.queue(), Subscription{TxHandler: b.effect})
				owner := b.worker(b.queue(), Subscription{TxHandler: b.effect})
				takeOver := func() {
					if j := b.take(owner); j != nil {
						result, err := j.handTx(j.one())
						require.Equal(t, handDone, result, err)
					}
				}
				b.h.reset(map[int]func(){n: takeOver})
				if j := b.take(zombie); j != nil {
					result, err := j.handTx(j.one())
					require.Contains(t, []handResult{handDone, handLost}, result, err)
				}
				calls := b.h.calls
				b.h.reset(nil)
				if n >= calls {
					takeOver() // of event 2
				}
				if again && zombie.lanes[b.partition("k")].events != nil {
					l := &zombie.lanes[b.partition("k")]
					j := &job{w: zombie}
					result, err := j.handTx([]part{{&turn{lane: l}, l.events[:1]}})
					require.Contains(t, []handResult{handDone, handLost}, result, err)
				}
				floor := b.stored("k").floor
				require.Contains(t, []uint64{1, 2}, floor)
				require.Equal(t, 1, b.effects("k", 1))
				require.Equal(t, int(floor)-1, b.effects("k", 2))
				return calls
			})
		}
	})
}

// The commit of a transactional handler ends unknown, and lands late: before each
// call of what the worker does then, or after it, when it has to conflict.
func TestInvariant6LateCommit(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			b.publish("k", "1")
			b.move(b.sequencer(), eventlog.AllShards)
			w := b.worker(b.q, Subscription{TxHandler: b.effect})
			j := b.take(w)
			var landed error
			b.h.postpone = true
			b.h.postponed = func() {
				b.h.reset(map[int]func(){n: func() { landed = b.h.land(t.Context()) }})
			}
			result, err := j.handTx(j.one())
			require.Equal(t, handDone, result, err)
			calls := b.h.calls
			b.h.reset(nil)
			b.h.postponed = nil
			if n >= calls {
				require.ErrorIs(t, b.h.land(t.Context()), kv.ErrConflict)
			}
			require.True(t, landed == nil || errors.Is(landed, kv.ErrConflict))
			require.Equal(t, 1, b.effects("k", 1))
			require.EqualValues(t, 1, b.stored("k").floor)
			require.Zero(t, b.stored("k").retry)
			return calls
		})
	})
}

// As before, but by the time the commit lands another worker has the partition.
func TestInvariant6LateCommitOfZombie(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			b.publish("k", "1")
			b.move(b.sequencer(), eventlog.AllShards)
			zombie := b.worker(b.queue(), Subscription{TxHandler: b.effect})
			dies, die := context.WithCancel(t.Context())
			zombie.ctx = dies
			j := b.take(zombie)
			b.h.postpone, b.h.postponed = true, die
			result, _ := j.handTx(j.one())
			require.Equal(t, handStopped, result)
			b.h.postponed = nil

			var landed error
			owner := b.worker(b.queue(), Subscription{TxHandler: b.effect})
			b.h.reset(map[int]func(){n: func() { landed = b.h.land(t.Context()) }})
			if j := b.take(owner); j != nil {
				result, err := j.handTx(j.one())
				require.Contains(t, []handResult{handDone, handLost}, result, err)
			}
			calls := b.h.calls
			b.h.reset(nil)
			if n >= calls {
				landed = b.h.land(t.Context())
				require.ErrorIs(t, landed, kv.ErrConflict)
			}
			require.Equal(t, 1, b.effects("k", 1))
			require.EqualValues(t, 1, b.stored("k").floor)
			return calls
		})
	})
}

// zombieChanges are all that a worker may want to write to a checkpoint.
func zombieChanges(w *Worker, l *lane, ev *Event) map[string]*change {
	flush, retry, begun, release := w.change(l), w.change(l), w.change(l), w.change(l)
	flush.to.floor += 4
	retry.to.retry = retryState{attempts: 3, err: "zombie"}
	begun.to.trial = started
	release.to.owner = token{}
	dead := w.deadLetter(l, ev, 5, "zombie")
	return map[string]*change{"flush": flush, "retry": retry, "started": begun, "release": release, "dead letter": dead}
}

// Whatever a worker writes after another one took its partition changes nothing.
func TestInvariant8LostTokenChangesNothing(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "started", "release", "dead letter"} {
			for _, released := range []bool{false, true} { // by the new owner
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5")
				b.move(b.sequencer(), eventlog.AllShards)
				plain := Subscription{Handler: func(context.Context, *Event) error { return nil }}
				zombie, owner := b.worker(b.queue(), plain), b.worker(b.queue(), plain)
				j := b.take(zombie)
				c := zombieChanges(zombie, j.parts[0].lane, j.parts[0].events[0])[what]
				l := b.take(owner).parts[0].lane
				got := owner.change(l)
				got.to.floor, got.to.retry = 2, retryState{attempts: 1, err: "owner"}
				if released && what != "release" {
					got.to.owner = token{}
				}
				require.NoError(t, owner.keeper.write(t.Context(), []*change{got}))
				before := b.dump()
				require.NoError(t, zombie.keeper.write(t.Context(), []*change{c}))
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
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "dead letter"} {
			b.everywhere(func(n int) int {
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5", "6")
				b.move(b.sequencer(), eventlog.AllShards)
				plain := Subscription{Handler: func(context.Context, *Event) error { return nil }}
				zombie, owner := b.worker(b.queue(), plain), b.worker(b.queue(), plain)
				j := b.take(zombie)
				c := zombieChanges(zombie, j.parts[0].lane, j.parts[0].events[0])[what]
				l := &owner.lanes[b.partition("k")]
				b.h.reset(map[int]func(){n: func() { b.take(owner) }})
				require.NoError(t, zombie.keeper.write(t.Context(), []*change{c}))
				calls := b.h.calls
				b.h.reset(nil)
				if n >= calls {
					b.take(owner)
				}
				require.Equal(t, l.token, b.stored("k").owner)
				require.Equal(t, l.done, b.stored("k").floor)
				require.Equal(t, n < calls, c.lost)
				letters := len(b.letters())
				if c.lost {
					require.Zero(t, l.done)
					require.Zero(t, l.retry)
					require.Zero(t, letters)
				} else {
					require.Equal(t, c.to.floor, l.done)
					require.Equal(t, c.to.retry.attempts, l.retry.attempts)
					require.Equal(t, what == "dead letter", letters == 1)
				}
				return calls
			})
		}
	})
}

func (b *bench) letters() (all []*DeadLetter) {
	b.Helper()
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
		for letter, err := range b.q.DeadLetters(b.Context(), tx, b.topic, "group") {
			if err != nil {
				return err
			}
			all = append(all, letter)
		}
		return nil
	}))
	return all
}

// A lane that was lost, and has been set back to what is stored, has nothing to
// write, even though its worker had something before: also when nobody owns the
// partition any more.
func TestInvariant8LaneSetBack(t *testing.T) {
	b := newBench(t, MemoryStore)
	b.fresh()
	b.publish("k", "1", "2")
	b.move(b.sequencer(), eventlog.AllShards)
	plain := Subscription{Handler: func(context.Context, *Event) error { return nil }}
	w := b.worker(b.q, plain)
	l := b.take(w).parts[0].lane
	w.advance(l, 1, 1)
	l.lost = true
	w.rest(l)
	require.False(t, l.lost)
	released := checkpoint{retry: retryState{attempts: 2, err: "other"}}
	require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
		return w.keys.checkpoints.write(tx, l.partition, &released)
	}))
	require.NoError(t, w.keeper.write(t.Context(), w.keeper.next()))
	require.Equal(t, released, b.stored("k"))
}

// A partition that could not be given up stays this worker's, with what was done
// there, until giveBack has told the store.
func TestGiveUpFails(t *testing.T) {
	b := newBench(t, MemoryStore)
	b.fresh()
	b.publish("k", "1", "2")
	b.move(b.sequencer(), eventlog.AllShards)
	w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
	l := b.take(w).parts[0].lane
	w.advance(l, 1, 1)
	l.mine = false
	w.restAfter(l, 0)
	changes := w.keeper.next()
	require.Len(t, changes, 1)
	w.keeper.written(changes, kv.ErrUnavailable)
	require.Equal(t, l.token, b.stored("k").owner)
	require.NoError(t, w.giveBack(t.Context()))
	require.Equal(t, checkpoint{floor: 1}, b.stored("k"))
}

// A partition that another worker has taken and given back, behind what this one
// has done there and not written, is lost: its events come again.
func TestGivenBackByAnother(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		b.publish("k", "1", "2")
		b.move(b.sequencer(), eventlog.AllShards)
		plain := Subscription{Handler: func(context.Context, *Event) error { return nil }}
		zombie, owner := b.worker(b.queue(), plain), b.worker(b.queue(), plain)
		p := b.take(zombie).parts[0]
		zombie.advance(p.lane, 2, 2)
		require.NotNil(t, b.take(owner))
		require.NoError(t, owner.giveBack(t.Context()))
		p.lane.mine = false
		zombie.restAfter(p.lane, 0)
		p.lane.mine = true // again, while it is given up
		changes := zombie.keeper.next()
		require.NoError(t, zombie.keeper.write(t.Context(), changes))
		zombie.keeper.written(changes, nil)
		require.Equal(t, 1, zombie.fetch.len(), "it goes on behind the floor that is stored")
		require.Zero(t, p.lane.done)
	})
}

// A lane that waits for an event to come again does so no longer when another
// worker has taken its partition: it may have got on there.
func TestWaitingLaneIsLost(t *testing.T) {
	b := newBench(t, MemoryStore)
	plain := Subscription{Handler: func(context.Context, *Event) error { return nil }}
	for name, learn := range map[string]func(w *Worker, l *lane){
		"by looking": func(w *Worker, _ *lane) { require.NoError(t, w.load(t.Context())) },
		"by a flush": func(w *Worker, l *lane) {
			w.advance(l, 1, 0)
			changes := w.keeper.next()
			require.NoError(t, w.keeper.write(t.Context(), changes))
			w.keeper.written(changes, nil)
		},
	} {
		b.fresh()
		b.publish("k", "1", "2")
		b.move(b.sequencer(), eventlog.AllShards)
		w, other := b.worker(b.queue(), plain), b.worker(b.queue(), plain)
		l := b.take(w).parts[0].lane
		w.restAfter(l, time.Hour)
		require.NotNil(t, b.take(other))
		learn(w, l)
		require.Equal(t, laneFetch, l.state, name)
	}
}

// A flush that is behind what is stored leaves it as it is.
func TestInvariant4FloorOnlyRises(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		b.publish("k", "1", "2", "3", "4", "5", "6")
		b.move(b.sequencer(), eventlog.AllShards)
		w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
		j := b.take(w)
		l := j.parts[0].lane
		ahead := checkpoint{owner: l.token, floor: 6, crashes: 1, retry: retryState{attempts: 2, wait: time.Second, due: time.UnixMilli(1000), err: "later"}}
		require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
			return w.keys.checkpoints.write(tx, l.partition, &ahead)
		}))
		for what, c := range zombieChanges(w, l, j.parts[0].events[0]) {
			require.NoError(t, w.keeper.write(t.Context(), []*change{c}))
			require.False(t, c.lost)
			want := ahead
			want.owner = c.to.owner
			require.Equal(t, want, b.stored("k"), what)
			require.Empty(t, b.letters(), what)
			require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
				return w.keys.checkpoints.write(tx, l.partition, &ahead)
			}))
		}
	})
}

// The commit of a claim ends unknown and lands late: the partition is claimed
// once, and one death of its former owner is counted.
func TestClaimLateCommit(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.everywhere(func(n int) int {
			b.fresh()
			b.publish("k", "1")
			b.move(b.sequencer(), eventlog.AllShards)
			b.died("k")
			w := b.worker(b.q, Subscription{TxHandler: b.effect})
			b.h.postpone = true
			b.h.postponed = func() {
				b.h.reset(map[int]func(){n: func() { _ = b.h.land(t.Context()) }})
			}
			require.NotNil(t, b.take(w))
			calls := b.h.calls
			b.h.reset(nil)
			b.h.postponed = nil
			if n >= calls {
				require.ErrorIs(t, b.h.land(t.Context()), kv.ErrConflict)
			}
			l := &w.lanes[b.partition("k")]
			require.Equal(t, checkpoint{owner: l.token, crashes: 1}, b.stored("k"))
			require.Equal(t, w.q.id, l.token.member())
			return calls
		})
	})
}

// The same for each change that a keeper makes.
func TestKeeperLateCommit(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for _, what := range []string{"flush", "retry", "started", "release", "dead letter"} {
			b.everywhere(func(n int) int {
				b.fresh()
				b.publish("k", "1", "2", "3", "4", "5")
				b.move(b.sequencer(), eventlog.AllShards)
				w := b.worker(b.q, Subscription{Handler: func(context.Context, *Event) error { return nil }})
				j := b.take(w)
				c := zombieChanges(w, j.parts[0].lane, j.parts[0].events[0])[what]
				b.h.postpone = true
				b.h.postponed = func() {
					b.h.reset(map[int]func(){n: func() { _ = b.h.land(t.Context()) }})
				}
				require.NoError(t, w.keeper.write(t.Context(), []*change{c}))
				calls := b.h.calls
				b.h.reset(nil)
				b.h.postponed = nil
				if n >= calls {
					require.ErrorIs(t, b.h.land(t.Context()), kv.ErrConflict)
				}
				require.False(t, c.lost)
				require.Equal(t, c.to, b.stored("k"), what)
				require.Equal(t, what == "dead letter", len(b.letters()) == 1)
				return calls
			})
		}
	})
}

// Two processes create a topic, and a group, at the same time, and commits land
// late: both go on with the same.
func TestCreateAtTheSameTime(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for _, late := range []bool{false, true} {
			b.everywhere(func(n int) int {
				b.fresh()
				topic := b.topic + "x"
				other := func() {
					got, err := eventlog.EnsureTopic(t.Context(), b.q.store, b.q.keys, topic, 32)
					require.NoError(t, err)
					require.Contains(t, []int{16, 32}, got)
				}
				reset := func() { b.h.reset(map[int]func(){n: other}) }
				if late {
					b.h.postpone = true
					b.h.postponed = func() {
						reset()
						b.h.at[n+1] = func() { _ = b.h.land(t.Context()) }
					}
				} else {
					reset()
				}
				got, err := eventlog.EnsureTopic(t.Context(), b.q.store, b.q.keys, topic, 16)
				require.NoError(t, err)
				calls := b.h.calls
				b.h.reset(nil)
				b.h.postponed = nil
				if b.h.late != nil {
					_ = b.h.land(t.Context())
				}
				again, err := eventlog.EnsureTopic(t.Context(), b.q.store, b.q.keys, topic, 64)
				require.NoError(t, err)
				require.Equal(t, got, again)
				return max(calls, 3)
			})
		}
	})
}

// A fetch stops reading when it has as much as a worker may hold, and the rest
// comes later.
func TestFetchBytes(t *testing.T) {
	b := newBench(t, MemoryStore)
	b.fresh()
	const total, size = 1000, 100 << 10
	payload := string(make([]byte, size))
	for i := range total {
		b.publish(fmt.Sprint(i), payload)
	}
	for range total {
		if b.move(b.sequencer(), eventlog.AllShards).Rows == 0 {
			break
		}
	}
	w := b.worker(b.q, Subscription{TxBatchHandler: func(context.Context, *kv.Txn, []*Event) error { return nil }, MaxInFlight: total})
	done := 0
	for done < total {
		j := b.take(w)
		require.NotNil(t, j)
		require.LessOrEqual(t, w.bytes, maxInFlightBytes+fetchPiece*(size+1024))
		for _, p := range j.parts {
			done += len(p.events)
		}
		j.done(j.parts)
		j.rest()
	}
}

// A transaction for an event changes nothing if another worker has the partition,
// although that has done nothing there yet, or if the partition stands elsewhere
// than its worker thinks. The handler does not even run.
func TestInvariant8LostTransaction(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		for name, change := range map[string]func(cp *checkpoint){
			"taken":    func(cp *checkpoint) { cp.owner = newToken(cluster.ID{9}) },
			"released": func(cp *checkpoint) { cp.owner = token{} },
			"ahead":    func(cp *checkpoint) { cp.floor = 1 },
			"behind":   func(cp *checkpoint) { cp.floor = 0 },
		} {
			b.fresh()
			b.publish("k", "1", "2", "3", "4")
			b.move(b.sequencer(), eventlog.AllShards)
			w := b.worker(b.queue(), Subscription{TxHandler: func(context.Context, *kv.Txn, *Event) error {
				require.Fail(t, "the handler ran", name)
				return nil
			}})
			j := b.take(w)
			l := j.parts[0].lane
			events := j.parts[0].events[:3]
			if name == "behind" { // it thinks that 1 is done
				events = events[1:]
			}
			cp := b.stored("k")
			change(&cp)
			require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
				return w.keys.checkpoints.write(tx, l.partition, &cp)
			}))
			before := b.dump()
			result, err := j.handTx([]part{{j.parts[0].turn, events}})
			require.Equal(t, handLost, result, "%s: %v", name, err)
			require.True(t, l.lost)
			require.Equal(t, before, b.dump())
		}
	})
}

// A claim begins with the floor that is stored then, not with the one that the
// worker has read before.
func TestClaimFloor(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		b.fresh()
		b.publish("k", "1", "2", "3")
		b.move(b.sequencer(), eventlog.AllShards)
		w := b.worker(b.queue(), Subscription{TxHandler: b.effect})
		require.NoError(t, w.load(t.Context()))
		j := b.take(b.worker(b.queue(), Subscription{TxHandler: b.effect}))
		result, err := j.handTx(j.one())
		require.Equal(t, handDone, result, err)
		lanes := w.nextFetch(t.Context())
		require.NoError(t, w.fetchLanes(t.Context(), lanes))
		l := &w.lanes[b.partition("k")]
		require.EqualValues(t, 1, l.done)
		require.EqualValues(t, 2, l.events[0].Seq)
		require.Len(t, l.events, 2)
	})
}
