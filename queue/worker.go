package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// Worker hands a topic's events to a group's handler. See Queue.Subscribe.
//
// It works like this. The topic's feed tells the scheduler how far each partition
// goes. The fetcher takes partitions that go further than the group has come, makes
// the worker their owner where it is not, and reads their next events. As many
// executors as Concurrency take partitions with events, one at a time or, for
// batches, several, and run the handler. The checkpointer writes checkpoints, those
// of all partitions that have something new together.
type Worker struct {
	q       *Queue
	s       Subscription
	running bool // or has been; guarded by q.mu

	sched *group.Scheduler

	// Run makes these, before it starts anything that uses them.
	rows         *group.Rows
	checkpointer *group.Checkpointer
	fetcher      *group.Fetcher

	// ctx is of handlers and of what they cause. It outlives Run's context by
	// DrainTimeout.
	ctx context.Context
}

// Subscribe checks a subscription and returns its worker, which does nothing
// before Run. The error wraps ErrOptions.
func (q *Queue) Subscribe(s Subscription) (*Worker, error) {
	s, err := s.withDefaults(q.store.Info())
	if err != nil {
		return nil, err
	}
	w := &Worker{q: q, s: s}
	c := &group.Config{
		Store: q.store, Keys: q.keys, Topic: s.Topic, Group: s.Group,
		Process: q.id, MemberTTL: q.opts.MemberTTL, Health: q.cluster.Health, Owns: w.ownsPartition,
		Transactional: s.transactional(), Concurrency: s.Concurrency, MaxInFlight: s.MaxInFlight, Timeout: s.Timeout,
	}
	if s.batches() {
		c.Batch = s.BatchSize
	}
	w.sched = group.NewScheduler(c, s.Leader == nil)
	return w, nil
}

// Run hands out events until ctx ends, and returns nil then: what had started is
// finished, its progress is kept, and the partitions are given back, so that
// others can go on at once; those that no handler is at before the rest. Run waits
// for handlers, whose contexts end DrainTimeout later. It returns an error if it
// could not begin, if the store has failed for good or was closed, if the store has
// what this program cannot read (ErrNewerFormat, ErrCorrupt), or if the progress
// could not be kept, in which case some events come again.
//
// What goes wrong meanwhile and can pass (the store of a cluster that does not
// answer) is logged, and tried again. A Worker runs once; ErrRunning is also
// what a second one gets that wants the same partitions in this Queue.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer w.q.release(w)
	topic := w.s.Topic
	partitions, err := eventlog.EnsureTopic(ctx, w.q.store, w.q.keys, topic, w.q.opts.Partitions)
	if err != nil {
		return orStopped(ctx, err)
	}
	if r := w.s.Partitions; r != nil && r.To > partitions {
		return fmt.Errorf("%w: topic %q has %d partitions, not %d", ErrOptions, topic, partitions, r.To)
	}
	if w.s.Start == FromNewest {
		// What is in the inbox was published before, whether or not there is a group.
		if err := w.sequenceAll(ctx, partitions); err != nil {
			return orStopped(ctx, err)
		}
	}
	if err := w.open(ctx, partitions); err != nil {
		return orStopped(ctx, err)
	}
	leave, err := w.q.cluster.Join(ctx)
	if err != nil {
		return orStopped(ctx, err)
	}
	defer leave()
	f := w.q.attach(w, topic, partitions) // before Load, so that nothing is missed between them
	defer w.q.detach(w, f)
	if err := w.fetcher.Load(ctx); err != nil {
		return orStopped(ctx, err)
	}
	return w.work(ctx)
}

// sequenceAll moves all that the topic's inbox holds to the log.
func (w *Worker) sequenceAll(ctx context.Context, partitions int) error {
	s := eventlog.NewSequencer(w.q.store, w.q.keys, w.s.Topic, partitions)
	for left := uint32(eventlog.AllShards); left != 0; {
		m, err := s.Move(ctx, left, false)
		if err != nil {
			return err
		}
		left = m.Shards
	}
	return nil
}

// open registers the group if it is new, and makes the worker's parts.
func (w *Worker) open(ctx context.Context, partitions int) error {
	origin, err := group.Ensure(ctx, w.q.store, w.q.keys, w.s.Topic, w.s.Group, partitions, w.s.Start == FromNewest)
	if err != nil {
		return err
	}
	w.rows = group.NewRows(w.q.opts.Prefix, w.s.Topic, w.s.Group, partitions, origin)
	w.checkpointer = w.sched.Open(w.rows)
	w.fetcher = group.NewFetcher(w.sched)
	return nil
}

// orStopped makes an error nil that is Run being told to stop.
func orStopped(ctx context.Context, err error) error {
	// A commit that it interrupted may have been done; then the next Run finds it.
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, kv.ErrCommitUnknown)) {
		return nil
	}
	return err
}

// begin makes sure that a Worker runs once, and that no other of the Queue works
// on the same partitions of the group.
func (w *Worker) begin() error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.running {
		return fmt.Errorf("%w, or has been", ErrRunning)
	}
	for _, x := range w.q.claimed {
		if x.s.Topic == w.s.Topic && x.s.Group == w.s.Group && overlap(x.s.Partitions, w.s.Partitions) {
			return fmt.Errorf("%w: group %q of topic %q", ErrRunning, w.s.Group, w.s.Topic)
		}
	}
	w.running = true
	w.q.claimed = append(w.q.claimed, w)
	return nil
}

// release is the end of begin.
func (q *Queue) release(w *Worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claimed = slices.DeleteFunc(q.claimed, func(x *Worker) bool { return x == w })
	q.cluster.Hurry() // others may wait for what w had
}

func overlap(a, b *PartitionRange) bool {
	return a == nil || b == nil || a.From < b.To && b.From < a.To
}

// ownsPartition reports whether a partition is this worker's while it is leading.
func (w *Worker) ownsPartition(partition int) bool {
	if r := w.s.Partitions; r != nil && (partition < r.From || partition >= r.To) {
		return false
	}
	return w.s.fixed() || w.q.cluster.OwnsPartition(w.s.Topic, w.s.Group, partition)
}

// shares reports whether the worker takes part when partitions are divided.
func (w *Worker) shares() bool { return !w.s.fixed() && !w.sched.Stopping() }

// leaderEvery is how often Leader is asked.
const leaderEvery = 100 * time.Millisecond

// watchLeader asks Leader until ctx ends.
func (w *Worker) watchLeader(ctx context.Context) {
	for ctx.Err() == nil {
		w.sched.Lead(w.s.Leader())
		access.Pause(ctx, leaderEvery)
	}
}

// work runs the worker's goroutines until ctx ends or the worker fails.
func (w *Worker) work(ctx context.Context) error {
	handlers, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	keeping, endKeeping := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endKeeping(nil)
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	w.ctx = handlers
	w.sched.Begin(stop) // the topic may have failed already

	var executors, others sync.WaitGroup
	for range w.s.Concurrency {
		executors.Go(w.execute)
	}
	others.Go(func() { w.fetcher.Run(handlers) })
	others.Go(func() { w.checkpointer.Run(keeping) })
	if w.s.Leader != nil {
		others.Go(func() { w.watchLeader(waiting) })
	}

	<-waiting.Done()
	if w.sched.Stop(w.q.store.Info().Shared) {
		w.q.cluster.Hurry() // others are told
	}
	// What handlers that end at the last moment have done can still be kept, for
	// another DrainTimeout.
	drained := time.AfterFunc(w.s.DrainTimeout, func() { end(ErrDraining) })
	defer drained.Stop()
	kept := time.AfterFunc(2*w.s.DrainTimeout, func() { endKeeping(ErrDraining) })
	defer kept.Stop()
	executors.Wait()
	w.sched.StopTimers()
	w.checkpointer.Close()
	others.Wait()
	return w.giveBack(ctx, w.sched.Err())
}

// giveBack releases the worker's partitions, and returns the error with which Run
// ends, given the one that the worker ended with.
func (w *Worker) giveBack(ctx context.Context, err error) error {
	if err != nil && w.q.store.Fatal(err) {
		return err
	}
	giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.s.DrainTimeout)
	defer cancel()
	if e := w.checkpointer.GiveBack(giving); e != nil {
		return errors.Join(err, e)
	}
	if errors.Is(err, ErrDraining) {
		return nil // what the checkpointer had no time for has been written now
	}
	return err
}
