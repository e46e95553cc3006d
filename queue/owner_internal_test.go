package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
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
	require.NoError(b, w.open(b.Context(), benchPartitions))
	w.ctx = b.Context()
	return w
}

// take has w claim the partitions in which there is something to do, and read
// their events. It returns nil if there is nothing.
func (b *bench) take(w *Worker) *job {
	b.Helper()
	require.NoError(b, w.fetcher.Load(b.Context()))
	parts := w.sched.TryJob() // those that were lost begin anew
	if parts == nil {
		require.NoError(b, w.fetcher.TryFetch(b.Context()))
		parts = w.sched.TryJob()
	}
	if parts == nil {
		return nil
	}
	return &job{w, parts}
}

// one narrows a job to the first event of its first part.
func (j *job) one() []group.Part {
	return []group.Part{{Turn: j.parts[0].Turn, Events: j.parts[0].Events[:1]}}
}

func (b *bench) partition(key string) int {
	return eventlog.PartitionOf(keyhash.Of(key), benchPartitions)
}

// stored returns the checkpoint of a key's partition.
func (b *bench) stored(key string) group.Checkpoint {
	b.Helper()
	var got []group.Checkpoint
	require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) (err error) {
		got, err = group.NewRows(nil, b.topic, "group", benchPartitions, group.Origin{}).Read(b.Context(), tx, []int{b.partition(key)})
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
						result, err := j.deliverTx(j.one())
						require.Equal(t, deliveryDone, result, err)
					}
				}
				b.h.Reset(map[int]func(){n: takeOver})
				j := b.take(zombie)
				if j != nil {
					result, err := j.deliverTx(j.one())
					require.Contains(t, []delivery{deliveryDone, deliveryLost}, result, err)
				}
				calls := b.h.Calls
				b.h.Reset(nil)
				if n >= calls {
					takeOver() // of event 2
				}
				if again && j != nil {
					result, err := j.deliverTx(j.one())
					require.Contains(t, []delivery{deliveryDone, deliveryLost}, result, err)
				}
				floor := b.stored("k").Floor
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
			b.h.Postpone = true
			b.h.Postponed = func() {
				b.h.Reset(map[int]func(){n: func() { landed = b.h.Land(t.Context()) }})
			}
			result, err := j.deliverTx(j.one())
			require.Equal(t, deliveryDone, result, err)
			calls := b.h.Calls
			b.h.Reset(nil)
			b.h.Postponed = nil
			if n >= calls {
				require.ErrorIs(t, b.h.Land(t.Context()), kv.ErrConflict)
			}
			require.True(t, landed == nil || errors.Is(landed, kv.ErrConflict))
			require.Equal(t, 1, b.effects("k", 1))
			require.EqualValues(t, 1, b.stored("k").Floor)
			require.Zero(t, b.stored("k").Retry)
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
			b.h.Postpone, b.h.Postponed = true, die
			result, _ := j.deliverTx(j.one())
			require.Equal(t, deliveryStopped, result)
			b.h.Postponed = nil

			var landed error
			owner := b.worker(b.queue(), Subscription{TxHandler: b.effect})
			b.h.Reset(map[int]func(){n: func() { landed = b.h.Land(t.Context()) }})
			if j := b.take(owner); j != nil {
				result, err := j.deliverTx(j.one())
				require.Contains(t, []delivery{deliveryDone, deliveryLost}, result, err)
			}
			calls := b.h.Calls
			b.h.Reset(nil)
			if n >= calls {
				landed = b.h.Land(t.Context())
				require.ErrorIs(t, landed, kv.ErrConflict)
			}
			require.Equal(t, 1, b.effects("k", 1))
			require.EqualValues(t, 1, b.stored("k").Floor)
			return calls
		})
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
				reset := func() { b.h.Reset(map[int]func(){n: other}) }
				if late {
					b.h.Postpone = true
					b.h.Postponed = func() {
						reset()
						b.h.At[n+1] = func() { _ = b.h.Land(t.Context()) }
					}
				} else {
					reset()
				}
				got, err := eventlog.EnsureTopic(t.Context(), b.q.store, b.q.keys, topic, 16)
				require.NoError(t, err)
				calls := b.h.Calls
				b.h.Reset(nil)
				b.h.Postponed = nil
				if b.h.Late() {
					_ = b.h.Land(t.Context())
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
		require.LessOrEqual(t, w.sched.InFlight().Bytes, group.MaxInFlightBytes+group.FetchPiece*(size+1024))
		for _, p := range j.parts {
			done += len(p.Events)
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
		for name, change := range map[string]func(cp *group.Checkpoint){
			"taken":    func(cp *group.Checkpoint) { cp.Owner = group.NewToken(cluster.ID{9}) },
			"released": func(cp *group.Checkpoint) { cp.Owner = group.Token{} },
			"ahead":    func(cp *group.Checkpoint) { cp.Floor = 1 },
			"behind":   func(cp *group.Checkpoint) { cp.Floor = 0 },
		} {
			b.fresh()
			b.publish("k", "1", "2", "3", "4")
			b.move(b.sequencer(), eventlog.AllShards)
			w := b.worker(b.queue(), Subscription{TxHandler: func(context.Context, *kv.Txn, *Event) error {
				require.Fail(t, "the handler ran", name)
				return nil
			}})
			j := b.take(w)
			p := j.parts[0]
			events := p.Events[:3]
			if name == "behind" { // it thinks that 1 is done
				events = events[1:]
			}
			cp := b.stored("k")
			change(&cp)
			require.NoError(t, b.store.Update(t.Context(), func(tx *kv.Txn) error {
				return w.rows.Put(tx, p.Number(), &cp)
			}))
			before := b.dump()
			result, err := j.deliverTx([]group.Part{{Turn: p.Turn, Events: events}})
			require.Equal(t, deliveryLost, result, "%s: %v", name, err)
			require.True(t, p.Lost())
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
		require.NoError(t, w.fetcher.Load(t.Context()))
		j := b.take(b.worker(b.queue(), Subscription{TxHandler: b.effect}))
		result, err := j.deliverTx(j.one())
		require.Equal(t, deliveryDone, result, err)
		require.NoError(t, w.fetcher.TryFetch(t.Context()))
		p := w.sched.TryJob()[0]
		require.EqualValues(t, 1, p.Done())
		require.EqualValues(t, 2, p.Events[0].Seq)
		require.Len(t, p.Events, 2)
	})
}
