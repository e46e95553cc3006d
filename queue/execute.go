package queue

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// maxTurn is how long an executor stays with one partition while others wait.
const maxTurn = 10 * time.Millisecond

// job is the work of an executor on lanes that it holds.
type job struct {
	w     *Worker
	parts []part
}

// turn is a lane's in a job.
type turn struct {
	lane   *lane
	halted bool          // nothing more of it in this job
	wait   time.Duration // before its next event
}

// part is a lane in a job, or in a piece of one, with some of its events. The job
// may end with not all of them done.
type part struct {
	*turn
	events []*Event
}

// execute runs jobs until the worker stops. A handler that ends its goroutine
// (runtime.Goexit; a test's FailNow) ends the worker with it: its lanes would be
// held for ever.
func (w *Worker) execute() {
	returns := false
	defer func() {
		if !returns {
			w.fail(ErrHandlerExited)
		}
	}()
	for {
		j := w.nextJob()
		if j == nil {
			returns = true
			return
		}
		j.run()
		w.mu.Lock()
		for _, p := range j.parts {
			w.restAfter(p.lane, p.wait)
		}
		w.mu.Unlock()
	}
}

// nextJob waits for lanes with events. A batch takes as many as fill it, and
// starts with what there is.
func (w *Worker) nextJob() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.stopping || w.err != nil {
			return nil
		}
		j := &job{w: w}
		room := w.s.BatchSize
		for room > 0 && w.ready.len() > 0 {
			l := w.ready.pop()
			if l.lost || !l.mine {
				w.rest(l)
				continue
			}
			p := part{&turn{lane: l}, l.events}
			alone := !w.s.batches() || l.single()
			if alone && len(j.parts) > 0 { // the next job's
				w.ready.pushFront(l)
				break
			}
			l.state = laneHeld
			if !alone {
				p.events = p.events[:min(len(p.events), room)]
				room -= len(p.events)
			}
			j.parts = append(j.parts, p)
			if alone {
				break
			}
		}
		if len(j.parts) > 0 {
			return j
		}
		if w.fetch.len() > 0 {
			w.fetchable.Signal() // which may wait for more room while there was other work
		}
		w.runnable.Wait()
	}
}

func (j *job) run() {
	if len(j.parts) == 1 && (!j.w.s.batches() || j.parts[0].lane.single()) {
		j.runSingly(j.parts[0])
		return
	}
	j.runBatch(j.parts)
}

// runSingly hands out a part's events one by one.
func (j *job) runSingly(p part) {
	began := time.Now()
	for !p.halted && j.w.goesOn(p.lane) {
		events := p.rest()
		if len(events) == 0 {
			return
		}
		j.runEvent(p, events[0])
		if time.Since(began) > maxTurn && j.w.othersWait() {
			return
		}
	}
}

// rest returns those of the part's events that are not done.
func (p part) rest() []*Event {
	i := 0
	for i < len(p.events) && p.events[i].Seq <= p.lane.done {
		i++
	}
	return p.events[i:]
}

// goesOn tells whether the next event of a lane may start.
func (w *Worker) goesOn(l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.stopping && w.err == nil && !l.lost && l.mine
}

func (w *Worker) othersWait() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready.len() > 0
}

// runEvent hands out one event.
func (j *job) runEvent(p part, ev *Event) {
	w, l := j.w, p.lane
	if n := l.retry.attempts; n >= uint32(w.s.MaxAttempts) && !w.s.Block {
		j.bury(p, ev, n, errors.New(l.retry.err)) // its process died at the last attempt
		return
	}
	if l.trial == suspect {
		if !w.enterAlone() {
			p.halted, p.wait = true, access.Jitter(w.q.opts.MaxPoll)
			return
		}
		defer w.leaveAlone()
	}
	if l.trial == suspect || l.done < l.careful {
		c := w.change(l)
		if c.to.trial = started; l.trial == suspect {
			c.to.trial = alone
		}
		if !w.persist(c) {
			p.halted = true
			return
		}
	}
	ev.Attempt = int(l.retry.attempts) + 1
	one := []part{{p.turn, []*Event{ev}}}
	result, err := j.hand(one)
	switch result {
	case handDone:
		j.done(one)
	case handFailed:
		j.fail(p, ev, err)
	default:
		j.broken(result, err, p)
	}
}

// enterAlone reports whether no other suspect of the process is with a handler, of
// whatever topic and group. If so none will be until leaveAlone. It does not wait,
// since there are other partitions to work on.
func (w *Worker) enterAlone() bool {
	select {
	case w.q.alone <- struct{}{}:
		return true
	default:
		return false
	}
}

func (w *Worker) leaveAlone() { <-w.q.alone }

// runBatch hands out the events of several parts at once.
func (j *job) runBatch(parts []part) {
	live := make([]part, 0, len(parts))
	total := 0
	for _, p := range parts {
		if events := p.rest(); !p.halted && len(events) > 0 && j.w.goesOn(p.lane) {
			live = append(live, p)
			total += len(events)
		}
	}
	switch total {
	case 0:
		return
	case 1:
		j.runEvent(live[0], live[0].rest()[0])
		return
	}
	all := make([]part, len(live))
	for i, p := range live {
		all[i] = part{p.turn, p.rest()}
		for k, ev := range all[i].events {
			ev.Attempt = 1
			if k == 0 {
				ev.Attempt += int(p.lane.retry.attempts)
			}
		}
	}
	result, err := j.hand(all)
	switch result {
	case handDone:
		j.done(all)
	case handConflict:
		first, second := halve(live, total)
		j.runBatch(first)
		j.runBatch(second)
	case handFailed:
		for _, p := range live {
			j.runSingly(p)
		}
	default:
		j.broken(result, err, live...)
	}
}

// halve splits the events that are left in parts in two. A part that is in both
// halves has its later events in the second, which runs them only if the earlier
// ones are done: see rest and runBatch.
func halve(parts []part, total int) (first, second []part) {
	room := total / 2
	for i, p := range parts {
		n := len(p.rest())
		if n <= room {
			room -= n
			first = append(first, p)
			continue
		}
		second = slices.Clone(parts[i:])
		if room > 0 {
			first = append(first, part{p.turn, p.rest()[:room]})
		}
		break
	}
	return first, second
}

// done notes that all events of parts are done.
func (j *job) done(parts []part) {
	for _, p := range parts {
		seq := p.events[len(p.events)-1].Seq
		if !j.w.s.transactional() {
			j.w.advance(p.lane, seq, len(p.events))
			continue
		}
		j.w.mu.Lock()
		p.lane.rise(seq)
		p.lane.saved = seq
		j.w.drop(p.lane, len(p.events))
		j.w.mu.Unlock()
	}
}

// fail decides what becomes of an event whose handler failed when it ran alone,
// and keeps that.
func (j *job) fail(p part, ev *Event, err error) {
	w, l := j.w, p.lane
	v := w.s.judge(err, l.retry.attempts)
	reason := reasonOf(err)
	if v.dead {
		j.bury(p, ev, v.attempts, err)
		return
	}
	w.q.log.Info("queue: event comes again", "topic", ev.Topic, "group", w.s.Group, "partition", ev.Partition, "seq", ev.Seq, "attempts", v.attempts, "wait", v.wait, "error", err)
	p.halted, p.wait = true, v.wait
	c := w.change(l)
	c.to.retry = retryState{attempts: v.attempts, due: time.Now().Add(v.wait), wait: v.wait, err: reason}
	if w.persist(c) {
		w.mu.Lock()
		l.retry = c.to.retry
		w.mu.Unlock()
	}
}

// bury makes an event a dead letter; its partition goes on.
func (j *job) bury(p part, ev *Event, attempts uint32, err error) {
	w, l := j.w, p.lane
	if !w.persist(w.deadLetter(l, ev, attempts, reasonOf(err))) {
		p.halted = true
		return
	}
	w.q.log.Warn("queue: event given up", "topic", ev.Topic, "group", w.s.Group, "partition", ev.Partition, "seq", ev.Seq, "attempts", attempts, "error", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	l.rise(ev.Seq)
	w.drop(l, 1)
}

// broken ends the job for parts whose events could not be handed out, through no
// fault of theirs.
func (j *job) broken(result handResult, err error, parts ...part) {
	for _, p := range parts {
		p.halted = true
		if result == handStore {
			p.wait = access.Jitter(j.w.q.opts.MaxPoll)
		}
	}
	if result != handStore {
		return
	}
	if j.w.q.store.Fatal(err) {
		j.w.fail(err)
		return
	}
	j.w.q.log.Warn("queue: handing out events failed", "topic", j.w.s.Topic, "group", j.w.s.Group, "error", err)
}

// handResult says how handing out events went.
type handResult uint8

const (
	handDone     handResult = iota
	handFailed              // the handler failed, or its transaction for its sake
	handConflict            // the transaction of several events conflicted, or was too large
	handLost                // a partition has another owner
	handStopped             // the worker ends
	handStore               // the store failed, before or after the handler
)

// hand gives the events of parts to the handler, once, or more often if its
// transaction conflicts.
func (j *job) hand(parts []part) (handResult, error) {
	if j.w.s.transactional() {
		return j.handTx(parts)
	}
	err := j.w.s.call(j.w.ctx, func(ctx context.Context) error {
		if j.w.s.BatchHandler != nil {
			return j.w.s.BatchHandler(ctx, eventsOf(parts))
		}
		return j.w.s.Handler(ctx, eventsOf(parts)[0])
	})
	switch {
	case err == nil:
		return handDone, nil
	case j.w.ctx.Err() != nil:
		return handStopped, err
	}
	return handFailed, err
}

var (
	errLost     = errors.New("queue: partition has another owner")
	errPanicked = errors.New("queue: handler panicked")
)

// errDone: the checkpoints say that the events are done, by a commit that had
// ended unknown.
var errDone = errors.New("queue: events are done")

// handTx runs a transactional handler: in one transaction it checks that the
// partitions are still this worker's and stand where it thinks, runs the handler,
// and writes the new checkpoints. Of all who try that for an event, another
// process, or an earlier commit that ended unknown and lands late, exactly one
// commits, since all write the same checkpoint.
func (j *job) handTx(parts []part) (handResult, error) {
	w := j.w
	partitions := make([]int, len(parts))
	total := 0
	for i, p := range parts {
		partitions[i] = p.lane.partition
		total += len(p.events)
	}
	o := &kv.TxnOptions{Lifetime: w.s.Timeout, Durability: w.s.Durability}
	if total > 1 {
		o.MaxAttempts = 1 // a smaller batch conflicts less
	}
	for again := access.Unknown(); ; again.Pause(w.ctx) {
		var handlerErr error
		var took time.Duration
		ran := false
		err := j.runTx(o, func(tx *kv.Txn) error {
			handlerErr, ran = nil, false
			if err := j.check(tx, parts, partitions); err != nil {
				return err
			}
			ran = true
			began := time.Now()
			handlerErr = w.s.call(w.ctx, func(ctx context.Context) error {
				if w.s.TxBatchHandler != nil {
					return w.s.TxBatchHandler(ctx, tx, eventsOf(parts))
				}
				return w.s.TxHandler(ctx, tx, eventsOf(parts)[0])
			})
			took = time.Since(began)
			if p := (*PanicError)(nil); errors.As(handlerErr, &p) {
				return errPanicked // whatever the value, it is neither a conflict nor the store's failure
			}
			if handlerErr != nil {
				return handlerErr
			}
			for i, p := range parts {
				cp := checkpoint{owner: p.lane.token, floor: p.events[len(p.events)-1].Seq}
				if err := w.keys.checkpoints.write(tx, partitions[i], &cp); err != nil {
					return err
				}
			}
			return nil
		})
		panicked := errors.Is(err, errPanicked)
		if handlerErr != nil && !panicked && !errors.Is(err, handlerErr) {
			handlerErr = nil // it was of an earlier try, after which no other could begin
		}
		// The store's, of which a handler that reads or writes may be the first to
		// learn. (ErrClosed from a handler may be of some other store; if not, noting
		// the failure fails too.)
		unavailable := errors.Is(err, kv.ErrUnavailable) && (handlerErr == nil || w.q.store.Info().Shared) ||
			errors.Is(err, kv.ErrClosed) && handlerErr == nil
		switch {
		case err == nil || errors.Is(err, errDone):
			return handDone, nil
		case errors.Is(err, errLost):
			return handLost, err
		case w.ctx.Err() != nil:
			return handStopped, err
		case panicked:
			return handFailed, handlerErr
		case handlerErr == nil && errors.Is(err, kv.ErrCommitUnknown):
			w.q.log.Warn("queue: commit of a handler's transaction ended unknown", "topic", w.s.Topic, "group", w.s.Group, "error", err)
			continue // the checkpoints tell
		case total > 1 && (errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrTxnTooLarge)):
			return handConflict, err
		case !ran && !errors.Is(err, kv.ErrConflict), unavailable:
			return handStore, err
		case handlerErr == nil && errors.Is(err, kv.ErrTxnTooOld) && took < w.s.Timeout/2:
			return handStore, err // it was slow, or had too much to remember: one that is ill makes no dead letters
		}
		return handFailed, err
	}
}

// runTx is kv.Store.Run, which lives when a function panics that a handler has given
// to kv.Txn.OnCommit: what was committed is done.
func (j *job) runTx(o *kv.TxnOptions, fn func(tx *kv.Txn) error) (err error) {
	var last *kv.Txn
	defer func() {
		if last == nil || last.CommitVersion() == 0 {
			return
		}
		if p := recover(); p != nil {
			j.w.q.log.Error("queue: a function given to OnCommit panicked", "topic", j.w.s.Topic, "group", j.w.s.Group,
				"panic", p, "stack", string(debug.Stack()))
			err = nil
		}
	}()
	return j.w.q.store.Run(j.w.ctx, o, func(tx *kv.Txn) error {
		last = tx
		return fn(tx)
	})
}

// check compares the stored checkpoints with the lanes.
func (j *job) check(tx *kv.Txn, parts []part, partitions []int) error {
	cps, err := j.w.keys.checkpoints.read(j.w.ctx, tx, partitions)
	if err != nil {
		return err
	}
	ahead, done := 0, 0
	for i, p := range parts {
		switch cp := &cps[i]; {
		case cp.owner == p.lane.token && cp.floor == p.events[len(p.events)-1].Seq:
			done++
		case cp.owner == p.lane.token && cp.floor == p.events[0].Seq-1:
			ahead++
		}
	}
	if done == len(parts) {
		return errDone
	}
	if ahead < len(parts) {
		// Lanes that have another owner, or are further than this worker thinks,
		// begin anew with what is stored.
		j.w.mu.Lock()
		defer j.w.mu.Unlock()
		for i, p := range parts {
			if cps[i].owner != p.lane.token || cps[i].floor != p.events[0].Seq-1 {
				p.lane.lost = true
			}
		}
		return errLost
	}
	return nil
}

// eventsOf makes what a handler gets: copies, for it may do with them as it likes,
// and what is done next depends on the worker's own.
func eventsOf(parts []part) []*Event {
	n := 0
	for _, p := range parts {
		n += len(p.events)
	}
	copies := make([]Event, 0, n)
	events := make([]*Event, 0, n)
	for _, p := range parts {
		for _, ev := range p.events {
			copies = append(copies, *ev)
			events = append(events, &copies[len(copies)-1])
		}
	}
	return events
}
