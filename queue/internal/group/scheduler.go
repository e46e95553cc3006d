package group

import (
	"sync"
	"time"

	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Config says for whom the parts of a worker work, and within which bounds.
type Config struct {
	Store        *access.Store
	Keys         eventlog.Keys
	Topic, Group string

	Process   cluster.ID
	MemberTTL time.Duration // how long a process may show no sign of life
	Health    func(id cluster.ID, met time.Time) cluster.Health
	Owns      func(partition int) bool // whether a partition is this worker's while it leads

	Transactional bool // handlers commit the progress themselves
	Batch         int  // the most events that a handler takes at once; 0: handlers take one
	Concurrency   int  // how many handlers run at the same time
	MaxInFlight   int  // the most events in memory
	Timeout       time.Duration
}

// FetchPiece is how many events one batch get reads at most, between which the size
// of what was read is looked at.
const FetchPiece = 256

// MaxInFlightBytes bounds what partitions hold, short of one batch get.
const MaxInFlightBytes = 64 << 20

const (
	maxFetch    = 1024 // events of one fetch
	maxHeld     = 128  // events of one partition in memory, for handlers of single events
	maxRunAhead = 64   // see Checkpointer.Advance
)

// share is how many events a partition may hold: so few that all executors find
// partitions to work on, and some wait, before MaxInFlight is reached.
func (c *Config) share() int {
	if c.Batch > 0 {
		return c.Batch
	}
	return min(maxHeld, max(1, c.MaxInFlight/(2*c.Concurrency)))
}

// window is how many events of a partition may have been with a handler when its
// owner died.
func (c *Config) window() uint64 {
	if c.Batch > 0 {
		return uint64(maxRunAhead + c.Batch)
	}
	return maxRunAhead + 1
}

// Scheduler holds a worker's partitions, and says who works on which. The fetcher
// takes partitions that go further than the group has come, and executors take
// partitions that have events; a partition has no goroutine of its own. Only lists
// of partitions with work are looked at, so idle ones cost nothing.
type Scheduler struct {
	c            *Config
	checkpointer *Checkpointer

	mu         sync.Mutex
	stopping   bool // nothing new starts
	err        error
	stop       func() // makes the worker stop
	partitions []Partition
	timers     []*time.Timer // of each partition, the newest
	fetch      list          // of Fetchable partitions
	ready      list          // of Ready partitions
	inFlight   Usage         // events that partitions hold
	reassign   bool          // partitions may have become this worker's, or others'
	leading    bool          // whether the worker may have partitions at all

	fetchable *sync.Cond // something for the fetcher
	runnable  *sync.Cond // something for an executor
}

// NewScheduler returns the Scheduler of a worker, which has no partitions before Open.
func NewScheduler(c *Config, leading bool) *Scheduler {
	s := &Scheduler{c: c, leading: leading}
	s.fetchable, s.runnable = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	s.checkpointer = newCheckpointer(s)
	return s
}

// Open gives the Scheduler its partitions, and the Checkpointer the rows to write.
func (s *Scheduler) Open(rows *Rows) *Checkpointer {
	s.partitions = make([]Partition, rows.partitions)
	for n := range s.partitions {
		s.partitions[n].number = n
	}
	s.timers = make([]*time.Timer, rows.partitions)
	s.checkpointer.rows = rows
	return s.checkpointer
}

// Begin says what makes the worker stop when Fail is called. If that was before,
// the worker stops at once.
func (s *Scheduler) Begin(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = stop
	if s.err != nil {
		stop()
	}
}

// InFlight returns what memory the events take that partitions hold.
func (s *Scheduler) InFlight() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight
}

// Fail ends the worker with an error.
func (s *Scheduler) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(err)
}

func (s *Scheduler) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	if s.stop != nil {
		s.stop()
	}
}

// Err returns the first error that Fail was told.
func (s *Scheduler) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stop keeps anything new from starting. It gives up the partitions that no handler
// is at, if there is one that is and other processes can go on with the rest: the
// handler may take long. It reports whether it did.
func (s *Scheduler) Stop(shared bool) (gaveUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	s.fetchable.Broadcast()
	s.runnable.Broadcast()
	s.checkpointer.progress.Broadcast()
	held := false
	for n := range s.partitions {
		place := s.partitions[n].place
		held = held || place == Held || place == Releasing
	}
	if !held || !shared {
		return false // GiveBack is next, or has nobody to give to
	}
	for n := range s.partitions {
		s.assign(&s.partitions[n], false)
	}
	for _, l := range []*list{&s.ready, &s.fetch} {
		for l.len() > 0 {
			s.settle(l.pop())
		}
	}
	return true
}

// Stopping reports whether Stop was called.
func (s *Scheduler) Stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// StopTimers ends the waits of partitions.
func (s *Scheduler) StopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.timers {
		if t != nil {
			t.Stop()
		}
	}
}

// LogGrew tells of partitions that have grown.
func (s *Scheduler) LogGrew(ends []eventlog.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ends {
		p := &s.partitions[e.Partition]
		s.apply(p, p.LogGrew(e.Last))
	}
}

// Reassign has the fetcher look anew which partitions are this worker's.
func (s *Scheduler) Reassign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reassign = true
	s.fetchable.Signal()
}

// reassignLater is Reassign after a wait. s.mu is held.
func (s *Scheduler) reassignLater() {
	time.AfterFunc(s.pollWait(), s.Reassign)
}

// Lead tells whether the worker may have partitions at all. A worker that has ceased
// to lead gives up all of its partitions, and need not ask the store for that; one
// that begins to lead looks how far others have come.
func (s *Scheduler) Lead(leading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if leading == s.leading {
		return
	}
	s.leading = leading
	if leading {
		s.reassign = true
		s.fetchable.Signal()
		return
	}
	for n := range s.partitions {
		s.assign(&s.partitions[n], false)
	}
}

// pollWait is how long what failed, or is another's, is left alone.
func (s *Scheduler) pollWait() time.Duration { return access.Jitter(s.c.Store.MaxPoll) }

// Turn is a partition's turn in a job.
type Turn struct {
	*Partition
	Halted bool          // the job runs no more of the partition's events
	Wait   time.Duration // before the next event
}

// Part is a partition in a job, or in a piece of a job, with some of its events. The
// job may end before all events are done.
type Part struct {
	*Turn
	Events []eventlog.Event
}

// Left returns the events of the part that are not done.
func (p Part) Left() []eventlog.Event {
	i := 0
	for i < len(p.Events) && p.Events[i].Seq <= p.done {
		i++
	}
	return p.Events[i:]
}

// NextJob waits for partitions with events, and gives them to the calling executor.
// It returns nil when the worker stops.
func (s *Scheduler) NextJob() []Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stopping || s.err != nil {
			return nil
		}
		if parts := s.job(); parts != nil {
			return parts
		}
		if s.fetch.len() > 0 {
			s.fetchable.Signal() // the fetcher may wait for more room while there was other work
		}
		s.runnable.Wait()
	}
}

// TryJob is NextJob without the wait: it returns nil if there are no events.
func (s *Scheduler) TryJob() []Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job()
}

// job takes a partition that has events. A batch takes as many as fill it, and
// starts with what there is. s.mu is held.
func (s *Scheduler) job() []Part {
	var parts []Part
	room := max(s.c.Batch, 1)
	for room > 0 && s.ready.len() > 0 {
		p := s.ready.pop()
		if ok, e := p.TakeToDeliver(); !ok {
			s.apply(p, e)
			continue
		}
		alone := s.c.Batch == 0 || p.Single()
		if alone && len(parts) > 0 { // the next job's
			p.PutBack()
			s.ready.pushFront(p)
			break
		}
		part := Part{&Turn{Partition: p}, p.events}
		if !alone {
			part.Events = part.Events[:min(len(part.Events), room)]
			room -= len(part.Events)
		}
		parts = append(parts, part)
		if alone {
			break
		}
	}
	return parts
}

// EndJob takes back the partitions of a job.
func (s *Scheduler) EndJob(parts []Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range parts {
		s.settleAfter(part.Partition, part.Wait)
	}
}

// GoesOn reports whether the next event of a partition may start.
func (s *Scheduler) GoesOn(p *Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopping && s.err == nil && !p.lost && p.mine
}

// OthersWait reports whether there are partitions with events that nobody works on.
func (s *Scheduler) OthersWait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready.len() > 0
}

// Finish tells that the next event of a partition, whose end is stored, is done or
// dead.
func (s *Scheduler) Finish(p *Partition, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(p, p.Finish(seq, 1))
}

// Committed tells that the first n events of a partition that it holds, up to seq,
// are done by a transaction that has stored the checkpoint, too.
func (s *Scheduler) Committed(p *Partition, seq uint64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(p, p.Committed(seq, n))
}

// Failed tells what was stored of the failure of a partition's next event.
func (s *Scheduler) Failed(p *Partition, r Retry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Failed(r)
}

// Lose tells that the partitions of some parts are not this worker's any more, or
// stand elsewhere than it thinks: those whose stored checkpoint does not stand before
// the part's events.
func (s *Scheduler) Lose(parts []Part, stored []Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, part := range parts {
		if part.token != stored[i].Owner || stored[i].Floor != part.Events[0].Seq-1 {
			part.Lose()
		}
	}
}

// assign, settle and settleAfter are the partition's events of these names. s.mu is
// held.
func (s *Scheduler) assign(p *Partition, mine bool) { s.apply(p, p.Assign(mine)) }
func (s *Scheduler) settle(p *Partition)            { s.apply(p, p.Settle()) }
func (s *Scheduler) settleAfter(p *Partition, wait time.Duration) {
	s.apply(p, p.SettleAfter(wait, s.stopping))
}

// apply does what has to be done after a transition. s.mu is held.
func (s *Scheduler) apply(p *Partition, e Effects) {
	if e.StopWait {
		s.timers[p.number].Stop()
	}
	if e.Freed.Events > 0 {
		s.inFlight.Events -= e.Freed.Events
		s.inFlight.Bytes -= e.Freed.Bytes
		s.fetchable.Signal()
	}
	switch e.Next {
	case ToFetch:
		s.fetch.push(p)
		s.fetchable.Signal()
	case ToDeliver:
		s.ready.push(p)
		s.runnable.Signal()
	case ToRelease:
		s.checkpointer.release(p)
	case ToWait:
		s.wait(p, e.Wait)
	}
}

// wait tells a partition Due when d has passed. s.mu is held.
func (s *Scheduler) wait(p *Partition, d time.Duration) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timers[p.number] == timer && !s.stopping { // else it came too late
			s.apply(p, p.Due())
		}
	})
	s.timers[p.number] = timer
}
