package queue_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// A cluster is one memory store that several processes share, each a Queue over
// a connection of its own, which can be cut or held. It lives in a bubble of
// testing/synctest.
type cluster struct {
	*testing.T
	driver     kv.Driver
	store      *kv.Store    // of nobody in particular
	q          *queue.Queue // publishes and looks; it runs nothing
	opts       queue.Options
	partitions int
	keys       []string // one in each partition
	procs      []*proc
	record     *record
}

const ttl = 12 * time.Second

// settling is how long it takes, at most, until processes agree on who is there:
// one shows itself, and another looks, each within a third of the TTL.
const settling = ttl

// takeover is how long it takes, at most, until the partitions of a process that
// dies are worked on by others.
const takeover = ttl + 2*ttl/3 + 5*time.Second

func newCluster(t *testing.T, partitions int) *cluster {
	c := &cluster{T: t, partitions: partitions, keys: queue.KeyIn(partitions), record: newRecord(t)}
	c.opts = queue.Options{Partitions: partitions, MemberTTL: ttl}
	var err error
	c.store, err = memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		c.driver = d
		return d
	}}})
	require.NoError(t, err)
	c.q, err = queue.Open(c.store, &c.opts)
	require.NoError(t, err)
	return c
}

// inCluster runs fn in a bubble, and ends what it leaves running.
func inCluster(t *testing.T, partitions int, fn func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, partitions)
		defer func() {
			c.record.freeAll()
			for _, p := range c.procs {
				p.revive()
				p.end()
			}
			require.NoError(t, c.store.Close())
		}()
		fn(c)
	})
}

// wait lets time pass, and all that it makes due happen.
func (c *cluster) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// connection is the driver as one process has it.
type connection struct{ kv.Driver }

func (c connection) Info() kv.Info {
	info := c.Driver.Info()
	info.Shared = true
	return info
}

// Close leaves the store to the others.
func (c connection) Close() error { return nil }

// A proc stands for a process.
type proc struct {
	c      *cluster
	name   string
	store  *kv.Store
	q      *queue.Queue
	faulty *kvfault.Faulty
	calls  *kvfault.Counting
	faults []*kvfault.Fault // that make it dead or paused
	runs   []*run
}

// run is a worker that runs.
type run struct {
	p    *proc
	kind kind
	s    queue.Subscription
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func (c *cluster) proc(name string) *proc {
	p := &proc{c: c, name: name, faulty: &kvfault.Faulty{}, calls: &kvfault.Counting{}}
	var err error
	p.store, err = kv.NewStore(connection{c.driver}, &kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		return p.calls.Wrap(p.faulty.Wrap(d))
	}})
	require.NoError(c, err)
	p.q, err = queue.Open(p.store, &c.opts)
	require.NoError(c, err)
	c.procs = append(c.procs, p)
	return p
}

// work runs a worker that records what it is given. The subscription says which
// kind by its handler kind, topic and group; the rest has defaults.
func (p *proc) work(kind kind, s queue.Subscription) *run {
	p.c.record.handle(p.name, kind, &s)
	w, err := p.q.Subscribe(s)
	require.NoError(p.c, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &run{p: p, kind: kind, s: s, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = w.Run(ctx)
	}()
	p.runs = append(p.runs, r)
	return r
}

// end stops the worker as a program does, and returns what Run says.
func (r *run) end() error {
	r.stop()
	<-r.done
	return r.err
}

// String tells what the process does.
func (p *proc) String() string {
	text := p.name
	for _, r := range p.runs {
		text += fmt.Sprintf(" %s/%s:%s", r.s.Topic, r.s.Group, r.kind)
	}
	return text
}

// end stops all workers; what they say is checked unless the process is dead.
func (p *proc) end() {
	for _, r := range p.runs {
		r.stop()
	}
	for _, r := range p.runs {
		<-r.done
	}
	p.runs = nil
	_ = p.store.Close() // the second time
}

var errDead = errors.New("the process is dead")

// die makes every call of the store fail from now on, those under way too. What
// the process has in memory goes on, and reaches nobody.
func (p *proc) die() {
	p.faults = append(p.faults, p.faulty.Inject(kvfault.Rule{Every: true, Err: errDead}))
	p.c.record.forgive(p.name)
}

// freeze stops the process at its next call of the store, whichever goroutine
// makes it.
func (p *proc) freeze() {
	p.faults = append(p.faults, p.faulty.Inject(kvfault.Rule{Every: true, Hold: true, Deaf: true}))
	p.c.record.forgive(p.name)
}

// revive lets calls through again; those that were held go on.
func (p *proc) revive() {
	for _, f := range p.faults {
		f.Lift()
	}
	p.faults = nil
}

// publish publishes an event in each of the topic's partitions.
func (c *cluster) publish(topic string) { c.publishTo(topic, c.keys...) }

func (c *cluster) publishTo(topic string, keys ...string) {
	var messages []queue.Message
	for _, key := range keys {
		c.record.published++
		messages = append(messages, queue.Message{Topic: topic, Key: key, Payload: []byte(fmt.Sprint(c.record.published))})
	}
	require.NoError(c, c.store.Update(c.Context(), func(tx *kv.Txn) error { return c.q.Publish(c.Context(), tx, messages...) }))
}

func (c *cluster) stats(topic, group string) (s queue.Stats) {
	require.NoError(c, c.store.View(c.Context(), func(tx *kv.Txn) (err error) {
		s, err = c.q.Group(topic, group).Stats(c.Context(), tx)
		return err
	}))
	return s
}

// terms returns what the checkpoints say; ByQueue is about the process p.
func (c *cluster) terms(p *proc, topic, group string) (terms []queue.Term) {
	require.NoError(c, c.store.View(c.Context(), func(tx *kv.Txn) (err error) {
		terms, err = p.q.Terms(c.Context(), tx, topic, group, c.partitions)
		return err
	}))
	return terms
}

func (c *cluster) members() (n int) {
	require.NoError(c, c.store.View(c.Context(), func(tx *kv.Txn) (err error) {
		n, err = c.q.Members(c.Context(), tx)
		return err
	}))
	return n
}

// settled publishes one event to each partition, and returns who handled which.
// Each is handled by exactly one process, at once.
func (c *cluster) settled(topic, group string) map[int]string {
	c.Helper()
	c.record.reset()
	c.publish(topic)
	c.wait(5 * time.Second) // others find it in a poll each for sequencing, reading and claiming
	require.Zero(c, c.stats(topic, group).Lag())
	who := map[int]string{}
	for id, by := range c.record.runsOf(topic, group) {
		require.Len(c, by, 1, "event %+v of %v", id, c.procs)
		who[id.partition] = by[0]
	}
	require.Len(c, who, c.partitions)
	return who
}

// ran returns who has begun events of which partitions since the record's reset.
func (c *cluster) ran(topic, group string) map[int]string {
	who := map[int]string{}
	for id, by := range c.record.runsOf(topic, group) {
		who[id.partition] = by[0]
	}
	return who
}

// shares counts partitions by process.
func shares(who map[int]string) map[string]int {
	n := map[string]int{}
	for _, name := range who {
		n[name]++
	}
	return n
}

// moved returns the partitions that are another's now.
func moved(before, after map[int]string) []int {
	var parts []int
	for _, p := range slices.Sorted(maps.Keys(before)) {
		if before[p] != after[p] {
			parts = append(parts, p)
		}
	}
	return parts
}

// kind is a kind of handler.
type kind string

const (
	plain   kind = "plain"
	tx      kind = "tx"
	batch   kind = "batch"
	txBatch kind = "txbatch"
)

var kinds = []kind{plain, tx, batch, txBatch}

// record is what handlers have seen, in all processes.
type record struct {
	t         *testing.T
	published int

	mu       sync.Mutex
	runs     map[eventID][]string   // the processes that began to handle it, in order
	last     map[partitionID]uint64 // the newest event that was handled to its end
	busy     map[partitionID]string // who is at it
	excused  map[string]bool        // processes that were paused or died once
	repeated int                    // events that were begun again
	block    map[string]chan struct{}
	blocked  map[string]int
	where    map[string]string    // payload: where in the log it lies
	lasts    func() time.Duration // how long a handler takes; nil is no time
}

type partitionID struct {
	topic, group string
	partition    int
}

type eventID struct {
	partitionID
	seq uint64
}

func newRecord(t *testing.T) *record {
	r := &record{t: t, excused: map[string]bool{}, block: map[string]chan struct{}{}, blocked: map[string]int{}}
	r.where = map[string]string{}
	r.runs, r.last, r.busy = map[eventID][]string{}, map[partitionID]uint64{}, map[partitionID]string{}
	return r
}

// forgive excuses a process from now on: it may be at work on what others have
// taken over.
func (r *record) forgive(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.excused[name] = true
	for partition, by := range r.busy {
		if by == name {
			delete(r.busy, partition)
		}
	}
}

// trust ends forgive, for a process that has caught up.
func (r *record) trust(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.excused, name)
}

// reset forgets who handled what.
func (r *record) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = map[eventID][]string{}
	r.repeated = 0
}

// repeats counts events that were begun again since reset.
func (r *record) repeats() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repeated
}

func (r *record) runsOf(topic, group string) map[eventID][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := map[eventID][]string{}
	for id, by := range r.runs {
		if id.topic == topic && id.group == group {
			runs[id] = slices.Clone(by)
		}
	}
	return runs
}

// hold makes a process's handlers wait until the function that it returns is called.
func (r *record) hold(name string) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gate := make(chan struct{})
	r.block[name] = gate
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.block[name] == gate {
			delete(r.block, name)
			close(gate)
		}
	}
}

// freeAll ends all that hold has begun.
func (r *record) freeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, gate := range r.block {
		delete(r.block, name)
		close(gate)
	}
}

// held counts handlers that have waited since hold.
func (r *record) held(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blocked[name]
}

// begin notes that a process begins with events, and checks invariant 7.
func (r *record) begin(name, group string, events []*queue.Event) (gate chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, ev := range events {
		partition := partitionID{ev.Topic, group, ev.Partition}
		id := eventID{partition, ev.Seq}
		at := fmt.Sprint(ev.Topic, ev.Partition, ev.Seq)
		if was, ok := r.where[string(ev.Payload)]; ok && was != at {
			r.t.Errorf("event %s has two positions: %s and %s", ev.Payload, was, at)
		}
		r.where[string(ev.Payload)] = at
		if len(r.runs[id]) > 0 {
			r.repeated++
		}
		r.runs[id] = append(r.runs[id], name)
		if r.excused[name] {
			r.last[partition] = max(r.last[partition], ev.Seq)
			continue
		}
		if by := r.busy[partition]; by != "" && i == 0 {
			r.t.Errorf("%s begins with %+v while %s is at it", name, id, by)
		}
		r.busy[partition] = name
		if before := r.last[partition]; i == 0 && ev.Seq > before+1 {
			r.t.Errorf("%s begins with %+v after %d", name, id, before)
		}
		r.last[partition] = max(r.last[partition], ev.Seq)
	}
	gate = r.block[name]
	if gate != nil {
		r.blocked[name]++
	}
	return gate
}

func (r *record) end(name, group string, events []*queue.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range events {
		partition := partitionID{ev.Topic, group, ev.Partition}
		if r.busy[partition] == name {
			delete(r.busy, partition)
		}
	}
}

// handle gives s a handler that records what it gets. Transactional ones count
// each event in the store too.
func (r *record) handle(name string, k kind, s *queue.Subscription) {
	group := s.Group
	do := func(ctx context.Context, tx *kv.Txn, events ...*queue.Event) error {
		gate := r.begin(name, group, events)
		defer r.end(name, group, events)
		if gate != nil {
			<-gate
		}
		if r.lasts != nil {
			<-time.After(r.lasts())
		}
		if tx == nil {
			return nil
		}
		return countEffects(ctx, tx, group, events)
	}
	switch k {
	case plain:
		s.Handler = func(ctx context.Context, ev *queue.Event) error { return do(ctx, nil, ev) }
	case tx:
		s.TxHandler = func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error { return do(ctx, tx, ev) }
	case batch:
		s.BatchHandler = func(ctx context.Context, evs []*queue.Event) error { return do(ctx, nil, evs...) }
	case txBatch:
		s.TxBatchHandler = func(ctx context.Context, tx *kv.Txn, evs []*queue.Event) error { return do(ctx, tx, evs...) }
	}
}

func effectKey(group string, ev *queue.Event) []byte {
	return fmt.Appendf(nil, "effect/%s/%s/%d/%d", group, ev.Topic, ev.Partition, ev.Seq)
}

// countEffects adds one to the number of times that each event had its effect.
func countEffects(ctx context.Context, tx *kv.Txn, group string, events []*queue.Event) error {
	for _, ev := range events {
		n := byte(0)
		if v, err := tx.Get(ctx, effectKey(group, ev)); err == nil {
			n = v[0]
		} else if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if err := tx.Set(effectKey(group, ev), []byte{n + 1}); err != nil {
			return err
		}
	}
	return nil
}

// effects returns how often events had theirs, which has to be once each, and
// how many there are.
func (c *cluster) effects(group, topic string) int {
	c.Helper()
	n := 0
	require.NoError(c, c.store.View(c.Context(), func(tx *kv.Txn) error {
		prefix := fmt.Sprintf("effect/%s/%s/", group, topic)
		for pair, err := range tx.Scan(c.Context(), kv.Range{Start: []byte(prefix), End: []byte(prefix + "\xff")}, nil) {
			require.NoError(c, err)
			require.Equal(c, byte(1), pair.Value[0], "%s", pair.Key)
			n++
		}
		return nil
	}))
	return n
}
