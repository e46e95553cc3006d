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
)

// Worker hands a topic's events to a group's handler. See Queue.Subscribe.
//
// It works like this. The topic's goroutine says how far each partition goes
// (logGrew). A fetcher takes partitions that go further than the group has come,
// makes itself their owner where it is not, and reads their next events. As many
// executors as Concurrency take partitions with events, one at a time or, for
// batches, several, and run the handler. A keeper writes checkpoints, those of all
// partitions that have something new together. Only lists of partitions with
// work are looked at, so idle ones cost nothing.
type Worker struct {
	q    *Queue
	s    Subscription
	keys laneKeys

	// ctx is of handlers and of what they cause. It outlives Run's context by
	// DrainTimeout.
	ctx context.Context

	mu       sync.Mutex
	running  bool // or has been
	stopping bool // nothing new starts
	err      error
	stop     context.CancelFunc // ends the wait of Run
	lanes    []lane
	fetch    laneList
	ready    laneList
	inFlight int  // events that lanes hold
	bytes    int  // of them
	reassign bool // partitions may have become this worker's, or others'
	leading  bool // as Leader said last; true without one

	fetchable *sync.Cond // something for the fetcher
	runnable  *sync.Cond // something for an executor
	keeper    keeper
}

// laneKeys makes the keys of a group's rows in a topic.
type laneKeys struct {
	checkpoints checkpoints
	events      []byte // prefix of the log
	dead        []byte // prefix of the dead letters
}

// maxInFlightBytes bounds what lanes hold, short of one batch get.
const maxInFlightBytes = 64 << 20

// Subscribe checks a subscription and returns its worker, which does nothing
// before Run. The error wraps ErrOptions.
func (q *Queue) Subscribe(s Subscription) (*Worker, error) {
	s, err := s.withDefaults(q.store.Info())
	if err != nil {
		return nil, err
	}
	w := &Worker{q: q, s: s, leading: s.Leader == nil}
	w.fetchable, w.runnable = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	w.keeper.init(w)
	return w, nil
}

// Run hands out events until ctx ends, and returns nil then: what had started is
// finished, its progress is kept, and the partitions are given back, so that
// others can go on at once; those that no handler is at before the rest. It waits
// for handlers, whose contexts end DrainTimeout later. It returns an error if it could not begin, if the store
// has failed for good or was closed, or if the progress could not be kept, in
// which case some events come again.
//
// What goes wrong meanwhile and can pass (the store of a cluster that does not
// answer) is logged, and tried again. A Worker runs once; ErrRunning is also
// what a second one gets that wants the same partitions in this Queue.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
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
	start, err := w.q.ensureGroup(ctx, topic, w.s.Group, partitions, w.s.Start)
	if err != nil {
		return orStopped(ctx, err)
	}
	w.keys = laneKeys{
		checkpoints: checkpoints{prefix: w.q.checkpointPrefix(w.s.Group, topic), start: start},
		events:      w.q.keys.Events(topic),
		dead:        w.q.deadPrefix(w.s.Group, topic),
	}
	w.lanes = make([]lane, partitions)
	for p := range w.lanes {
		w.lanes[p].partition = p
	}
	stopMembers, err := w.q.cluster.Join(ctx)
	if err != nil {
		return orStopped(ctx, err)
	}
	defer stopMembers()
	t := w.q.attach(w, topic, partitions) // before load, so that nothing is missed between them
	defer w.q.detach(w, t)
	if err := w.load(ctx); err != nil {
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
func (w *Worker) begin(ctx context.Context) error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
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

func (q *Queue) release(w *Worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claimed = slices.DeleteFunc(q.claimed, func(x *Worker) bool { return x == w })
	q.cluster.Hurry() // others may wait for what w had
}

func overlap(a, b *Range) bool {
	return a == nil || b == nil || a.From < b.To && b.From < a.To
}

// load reads how far the group and the log are, and assigns partitions. What is
// published from then on the topic tells.
func (w *Worker) load(ctx context.Context) error {
	w.mu.Lock()
	w.reassign = false
	w.mu.Unlock()
	var cps []checkpoint
	var heads [eventlog.Shards]eventlog.Head
	err := w.q.store.View(ctx, func(tx *kv.Txn) error {
		var err error
		if cps, err = w.keys.checkpoints.all(ctx, tx, len(w.lanes)); err != nil {
			return err
		}
		heads, err = eventlog.ReadHeads(ctx, tx, w.q.keys, w.s.Topic, len(w.lanes), eventlog.AllShards)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: group %q of topic %q: %w", w.s.Group, w.s.Topic, err)
	}
	mine := make([]bool, len(w.lanes))
	for p := range mine {
		mine[p] = w.assigned(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	per := len(w.lanes) / eventlog.Shards
	for p := range w.lanes {
		l := &w.lanes[p]
		l.head = max(l.head, heads[p/per].Last[p%per])
		if l.state == laneIdle && l.token == (token{}) {
			l.done, l.saved = cps[p].floor, cps[p].floor
		}
		if l.token != (token{}) && l.token != cps[p].owner {
			l.lost = true
		}
		w.assign(l, mine[p] && w.leading && !w.stopping)
	}
	return nil
}

// assigned tells whether a partition is this worker's while it is leading.
func (w *Worker) assigned(partition int) bool {
	if r := w.s.Partitions; r != nil && (partition < r.From || partition >= r.To) {
		return false
	}
	return w.s.fixed() || w.q.cluster.OwnsPartition(w.s.Topic, w.s.Group, partition)
}

// reassigned has the fetcher look anew which partitions are this worker's.
func (w *Worker) reassigned() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reassign = true
	w.fetchable.Signal()
}

// later does something under w.mu after a pause, unless the worker ends. w.mu is
// held.
func (w *Worker) later(do func()) {
	time.AfterFunc(access.Jitter(w.q.opts.MaxPoll), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		do()
		w.fetchable.Signal()
	})
}

// leaderEvery is how often Leader is asked.
const leaderEvery = 100 * time.Millisecond

// watchLeader asks Leader until ctx ends.
func (w *Worker) watchLeader(ctx context.Context) {
	for ctx.Err() == nil {
		w.lead(w.s.Leader())
		access.Pause(ctx, leaderEvery)
	}
}

// lead notes what Leader says. Who has ceased to lead gives up all partitions,
// and need not ask the store for that; who begins to lead looks how far others
// have come.
func (w *Worker) lead(leading bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if leading == w.leading {
		return
	}
	w.leading = leading
	if leading {
		w.reassign = true
		w.fetchable.Signal()
		return
	}
	for p := range w.lanes {
		w.assign(&w.lanes[p], false)
	}
}

// assign makes a lane this worker's, or not, and puts it where it belongs if
// nobody holds it and no list has it. What a lane waits for that was lost is not
// known any more. w.mu is held.
func (w *Worker) assign(l *lane, mine bool) {
	l.mine = mine
	if l.state == laneWaiting && (!mine || l.lost) {
		l.timer.Stop()
		l.state = laneIdle
	}
	if l.state == laneIdle {
		w.rest(l)
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
	w.mu.Lock()
	w.ctx, w.stop = handlers, stop
	if w.err != nil { // the topic has failed already
		stop()
	}
	w.mu.Unlock()

	var executors, others sync.WaitGroup
	for range w.s.Concurrency {
		executors.Go(w.execute)
	}
	others.Go(func() { w.fetchLoop(handlers) })
	others.Go(func() { w.keeper.run(keeping) })
	if w.s.Leader != nil {
		others.Go(func() { w.watchLeader(waiting) })
	}

	<-waiting.Done()
	w.mu.Lock()
	w.stopping = true
	w.fetchable.Broadcast()
	w.runnable.Broadcast()
	w.keeper.progress.Broadcast()
	free := w.handOver()
	w.mu.Unlock()
	if free {
		w.q.cluster.Hurry() // others are told
	}
	// What handlers that end at the last moment have done can still be kept, for
	// another DrainTimeout.
	drained := time.AfterFunc(w.s.DrainTimeout, func() { end(ErrDraining) })
	defer drained.Stop()
	kept := time.AfterFunc(2*w.s.DrainTimeout, func() { endKeeping(ErrDraining) })
	defer kept.Stop()
	executors.Wait()
	w.stopTimers()
	w.keeper.close()
	others.Wait()
	w.mu.Lock()
	err := w.err
	w.mu.Unlock()
	if err != nil && w.q.store.Fatal(err) {
		return err
	}
	giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.s.DrainTimeout)
	defer cancel()
	if e := w.giveBack(giving); e != nil {
		return errors.Join(err, e)
	}
	if errors.Is(err, ErrDraining) {
		return nil // what the keeper had no time for has been written now
	}
	return err
}

// handOver gives up the partitions that no handler is at, if there is one that is:
// it may take long, and others can go on with the rest. It reports whether it did.
// w.mu is held.
func (w *Worker) handOver() bool {
	held := false
	for p := range w.lanes {
		held = held || w.lanes[p].state == laneHeld
	}
	if !held || !w.q.store.Info().Shared {
		return false // giveBack is next, or has nobody to give to
	}
	for p := range w.lanes {
		w.assign(&w.lanes[p], false)
	}
	for _, list := range []*laneList{&w.ready, &w.fetch} {
		for list.len() > 0 {
			w.rest(list.pop())
		}
	}
	return true
}

// shares tells whether the worker takes part when partitions are divided.
func (w *Worker) shares() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.s.fixed() && !w.stopping
}

// giveBack releases all partitions, so that their next owner need not wait, and
// does not take this one for dead.
func (w *Worker) giveBack(ctx context.Context) error {
	var changes []*change
	unsaved := 0
	w.mu.Lock()
	for p := range w.lanes {
		if l := &w.lanes[p]; l.token != (token{}) && !l.lost {
			if l.done > l.saved {
				unsaved++
			}
			c := w.change(l)
			c.to.owner = token{}
			changes = append(changes, c)
		}
	}
	w.mu.Unlock()
	if err := w.q.store.RetryUntilDone(ctx, "giving back partitions", func() error { return w.keeper.write(ctx, changes) }); err != nil {
		return fmt.Errorf("queue: giving back the partitions of group %q of topic %q, %d with progress: %w", w.s.Group, w.s.Topic, unsaved, err)
	}
	return nil
}

// fail ends the worker with an error.
func (w *Worker) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(err)
}

func (w *Worker) failLocked(err error) {
	if w.err == nil {
		w.err = err
	}
	if w.stop != nil {
		w.stop()
	}
}

// logGrew tells the worker of partitions that have grown.
func (w *Worker) logGrew(ends []eventlog.End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range ends {
		l := &w.lanes[e.Partition]
		l.head = max(l.head, e.Last)
		if l.state == laneIdle {
			w.rest(l)
		}
	}
}

// rest puts a lane that nobody holds where it belongs. w.mu is held.
func (w *Worker) rest(l *lane) {
	if l.lost {
		w.empty(l)
		l.begin()
	}
	switch {
	case !l.mine:
		w.empty(l)
		l.state = laneIdle
		if l.token != (token{}) {
			w.keeper.giveUp(l)
		}
	case len(l.events) > 0:
		l.state = laneReady
		w.ready.push(l)
		w.runnable.Signal()
	case l.head > l.done:
		l.state = laneFetch
		w.fetch.push(l)
		w.fetchable.Signal()
	default:
		l.state = laneIdle
	}
}

// restAfter puts a lane to rest when d has passed. Meanwhile it holds no events,
// which would keep others from being fetched. w.mu is held.
func (w *Worker) restAfter(l *lane, d time.Duration) {
	if d <= 0 || l.lost || !l.mine {
		w.rest(l)
		return
	}
	w.empty(l)
	if w.stopping {
		l.state = laneIdle
		return
	}
	l.state = laneWaiting
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if l.timer == timer && l.state == laneWaiting && !w.stopping { // else it came too late
			w.rest(l)
		}
	})
	l.timer = timer
}

// empty drops a lane's events. w.mu is held.
func (w *Worker) empty(l *lane) { w.drop(l, len(l.events)) }

// drop takes the first n events from a lane. w.mu is held.
func (w *Worker) drop(l *lane, n int) {
	if n == 0 {
		return
	}
	for _, ev := range l.events[:n] {
		w.bytes -= ev.size()
	}
	w.inFlight -= n
	l.events = l.events[n:]
	if len(l.events) == 0 {
		l.events = nil
	}
	w.fetchable.Signal()
}

func (w *Worker) stopTimers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.lanes {
		if t := w.lanes[p].timer; t != nil {
			t.Stop()
		}
	}
}
