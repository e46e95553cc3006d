package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// model drives publishers, sequencers and workers of several processes in a
// random order, some of them between the driver calls of others, with commits
// that land late and processes that are never heard of again, on one goroutine. It
// looks at floors after each step, and at everything else in the end.
//
// Two groups read the topic: one handles in transactions, and leaves a mark in
// the store for each event; one outside of them, and gives some events up.
type model struct {
	*bench
	draw func(what string, n int) int // from 0 to n-1
	t    testing.TB

	open    []*kv.Txn // publishing transactions that have not ended
	actors  [2]*actor
	handled map[[2]uint64]int // plain: partition and seq, how often
	dying   map[[2]uint64]bool
}

// actor is a process.
type actor struct {
	q     *Queue
	seq   *eventlog.Sequencer
	tx    *Worker
	plain *Worker
}

func (m *model) actor() *actor {
	q := m.queue()
	a := &actor{q: q, seq: m.sequencer()}
	a.tx = m.worker(q, Subscription{Group: "tx", TxBatchHandler: func(ctx context.Context, tx *kv.Txn, evs []*Event) error {
		for _, ev := range evs {
			if err := m.effect(ctx, tx, ev); err != nil {
				return err
			}
		}
		return nil
	}})
	a.plain = m.worker(q, Subscription{Group: "plain", Handler: func(context.Context, *Event) error { return nil }})
	return a
}

var modelKeys = []string{"a", "b", "k"}

func (m *model) counter(key string) []byte { return []byte("counter/" + m.topic + key) }

// begin begins a transaction that publishes the next number of a key.
func (m *model) begin() {
	tx, err := m.store.Begin(m.Context(), nil)
	require.NoError(m.t, err)
	for range 1 + m.draw("messages", 2) {
		key := modelKeys[m.draw("key", len(modelKeys))]
		row, err := tx.Get(m.Context(), m.counter(key))
		if err != nil {
			require.ErrorIs(m.t, err, kv.ErrNotFound)
			row = make([]byte, 8)
		}
		n := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(row)+1)
		require.NoError(m.t, tx.Set(m.counter(key), n))
		require.NoError(m.t, m.q.Publish(m.Context(), tx, Message{Topic: m.topic, Key: key, Payload: n}))
	}
	m.open = append(m.open, tx)
}

// end commits or rolls back one of the open transactions.
func (m *model) end() {
	if len(m.open) == 0 {
		return
	}
	i := m.draw("transaction", len(m.open))
	tx := m.open[i]
	m.open = append(m.open[:i], m.open[i+1:]...)
	if m.draw("roll back", 4) == 0 {
		tx.Rollback()
		return
	}
	if err := tx.Commit(m.Context()); err != nil {
		require.True(m.t, errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrCommitUnknown), "%v", err)
	}
}

func (m *model) move(a *actor) {
	which := uint32(eventlog.AllShards)
	if m.draw("one shard", 3) == 0 {
		which = 1 << eventlog.ShardOf(keyhash.Of(modelKeys[m.draw("key", len(modelKeys))]))
	}
	_, err := a.seq.Move(m.Context(), which, m.draw("from the start", 8) == 0)
	m.mayBeUnknown(err)
}

// mayBeUnknown demands that err is what a commit that was postponed gives.
func (m *model) mayBeUnknown(err error) {
	if err != nil {
		require.ErrorIs(m.t, err, kv.ErrCommitUnknown)
	}
}

// postpone makes the next commit end unknown. Only one can be late at a time.
func (m *model) postpone() {
	m.land()
	m.h.Postpone = true
}

func (m *model) land() {
	m.h.Postpone = false
	if m.h.Late() {
		if err := m.h.Land(m.Context()); err != nil {
			require.ErrorIs(m.t, err, kv.ErrConflict)
		}
	}
}

// rest gives back a job's partitions.
func (j *job) rest() {
	for _, p := range j.parts {
		p.Wait = 0
	}
	j.w.sched.EndJob(j.parts)
}

func (m *model) handleTx(a *actor) {
	j := m.take(a.tx)
	if j == nil {
		return
	}
	defer j.rest()
	parts := j.parts
	if m.draw("one", 2) == 0 {
		parts = j.one()
	}
	switch result, err := j.deliverTx(parts); result {
	case deliveryDone:
		j.done(parts)
	case deliveryConflict, deliveryLost:
	default:
		require.Fail(m.t, "handling", "%v: %v", result, err)
	}
}

// handlePlain handles some events of a partition, and may give one up.
func (m *model) handlePlain(a *actor) {
	j := m.take(a.plain)
	if j == nil {
		return
	}
	defer j.rest()
	p := j.parts[0]
	for i := range p.Events {
		ev := &p.Events[i]
		at := [2]uint64{uint64(p.Number()), ev.Seq}
		switch m.draw("fate", 5) {
		case 0:
			return
		case 1: // it fails, for the first time or for good
			c := group.NewDeadLetter(p.Partition, ev, 5, "model")
			if m.draw("again", 2) == 0 {
				c = group.NewChange(p.Partition)
				c.To.Retry.Attempts++
			} else {
				m.dying[at] = true
			}
			c.Await()
			a.plain.checkpointer.Ask(c)
			a.plain.checkpointer.TryWrite(m.Context())
			if !c.Written() || c.Dead == nil {
				return
			}
			a.plain.sched.Finish(p.Partition, ev.Seq)
		default:
			m.handled[at]++
			a.plain.checkpointer.Advance(p.Partition, ev.Seq, 1)
		}
	}
}

// flush writes what plain handlers have done.
func (m *model) flush(a *actor) { a.plain.checkpointer.TryWrite(m.Context()) }

// step does one thing, as process i or as a publisher.
func (m *model) step(i int) {
	a := m.actors[i]
	switch m.draw("step", 9) {
	case 0, 1:
		m.begin()
	case 2, 3:
		m.end()
	case 4:
		m.move(a)
	case 5:
		m.handleTx(a)
	case 6:
		m.handlePlain(a)
	case 7:
		m.flush(a)
	case 8:
		m.land()
	}
}

func (m *model) run(steps int) {
	for range steps {
		i := m.draw("process", len(m.actors))
		m.h.Reset(nil)
		switch m.draw("trouble", 8) {
		case 0: // the process is never heard of again
			m.actors[i] = m.actor()
		case 1:
			m.postpone()
			m.step(i)
			m.h.Postpone = false
		case 2, 3, 4: // another one does something meanwhile
			m.h.Reset(map[int]func(){m.draw("call", 8): func() { m.step(1 - i) }})
			m.step(i)
		default:
			m.step(i)
		}
		m.h.Reset(nil)
		m.checkFloors()
	}
}

func (m *model) floors(group string) []PartitionState {
	all, _, err := m.q.Partitions(m.Context(), m.topic, group)
	require.NoError(m.t, err)
	return all
}

// checkFloors checks that up to a floor everything is done or dead, and that
// nothing is done twice in a transaction.
func (m *model) checkFloors() {
	for p, s := range m.floors("plain") {
		for seq := uint64(1); seq <= s.Floor; seq++ {
			at := [2]uint64{uint64(p), seq}
			require.True(m.t, m.handled[at] > 0 || m.dying[at], "the floor has passed an event that is not done")
		}
	}
	all := m.dump()
	for p, s := range m.floors("tx") {
		for seq := uint64(1); seq <= s.Head; seq++ {
			want := 0
			if seq <= s.Floor {
				want = 1
			}
			require.Len(m.t, all[fmt.Sprint("effect/", m.topic, p, "/", seq)], want, "effects of event %d of %d", seq, p)
		}
	}
}

// finish ends what is open, and has a new process do the rest.
func (m *model) finish() {
	for _, tx := range m.open {
		tx.Rollback()
	}
	m.land()
	a := m.actor()
	m.draw = func(what string, n int) int { return n - 1 } // no more failures
	_, err := a.seq.Move(m.Context(), eventlog.AllShards, false)
	require.NoError(m.t, err)
	for range 1000 {
		m.handleTx(a)
		m.handlePlain(a)
		m.flush(a)
		left := 0
		for _, group := range []string{"tx", "plain"} {
			for _, s := range m.floors(group) {
				left += int(s.Head - s.Floor)
			}
		}
		if left == 0 {
			break
		}
	}
	m.checkFloors()
	letters := map[[2]uint64]bool{}
	require.NoError(m.t, m.store.View(m.Context(), func(tx *kv.Txn) error {
		for letter, err := range m.q.Group(m.topic, "plain").DeadLetters(m.Context(), tx) {
			if err != nil {
				return err
			}
			letters[[2]uint64{uint64(letter.Event.Partition), letter.Event.Seq}] = true
		}
		return nil
	}))
	all, inbox, err := m.q.Partitions(m.Context(), m.topic, "plain")
	require.NoError(m.t, err)
	require.Zero(m.t, inbox)
	log := map[string][]uint64{}
	for p, s := range all {
		require.Equal(m.t, s.Head, s.Floor)
		for _, ev := range s.Events {
			at := [2]uint64{uint64(p), ev.Seq}
			require.True(m.t, m.handled[at] > 0 || letters[at], "event %d of %d is lost", ev.Seq, p)
			require.True(m.t, m.dying[at] || !letters[at], "a dead letter that nobody gave up")
			log[ev.Key] = append(log[ev.Key], binary.BigEndian.Uint64(ev.Payload))
		}
	}
	dump := m.dump()
	for _, key := range modelKeys {
		var want []uint64
		if row, ok := dump[string(m.counter(key))]; ok {
			for n := range binary.BigEndian.Uint64([]byte(row)) {
				want = append(want, n+1)
			}
		}
		require.Equal(m.t, want, log[key], "key %s: each committed event once, in the order of commits", key)
	}
}

func runModel(b *bench, t testing.TB, steps int, draw func(what string, n int) int) {
	b.fresh()
	b.h.Forget()
	m := &model{bench: b, t: t, draw: draw, handled: map[[2]uint64]int{}, dying: map[[2]uint64]bool{}}
	for i := range m.actors {
		m.actors[i] = m.actor()
	}
	defer func() { // a failure leaves the store usable for the next try
		m.land()
		for _, tx := range m.open {
			tx.Rollback()
		}
	}()
	m.run(steps)
	m.finish()
}

// rapidTB is what require needs of a rapid test.
type rapidTB struct {
	testing.TB
	t *rapid.T
}

func (r rapidTB) Helper()                           {}
func (r rapidTB) Errorf(format string, args ...any) { r.t.Errorf(format, args...) }
func (r rapidTB) FailNow()                          { r.t.FailNow() }

// TestModel runs random programs, which rapid shrinks when they fail.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, MemoryStore)
		r := rapidTB{t, rt}
		b.TB = r
		runModel(b, r, 150, func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, what) })
	})
}

// TestModelDrivers runs some random programs on every driver.
func TestModelDrivers(t *testing.T) {
	Stores(t, func(t *testing.T, open OpenStore) {
		b := newBench(t, open)
		seeds, steps := uint64(20), 100
		if !b.store.Info().NoSync {
			seeds, steps = 3, 50
		}
		for seed := range seeds {
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			runModel(b, t, steps, func(_ string, n int) int { return r.IntN(n) })
		}
	})
}
