package queue

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// maxTurn is how long an executor stays with one partition while other partitions
// wait.
const maxTurn = 10 * time.Millisecond

// job is the work of an executor on partitions that it holds.
type job struct {
	w     *Worker
	parts []group.Part
}

// execute runs jobs until the worker stops. A handler that ends its goroutine
// (runtime.Goexit; a test's FailNow) ends the worker with it: its partitions would be
// held for ever.
func (w *Worker) execute() {
	returns := false
	defer func() {
		if !returns {
			w.sched.Fail(ErrHandlerExited)
		}
	}()
	for {
		parts := w.sched.NextJob()
		if parts == nil {
			returns = true
			return
		}
		j := &job{w, parts}
		j.run()
		w.sched.EndJob(parts)
	}
}

func (j *job) run() {
	if len(j.parts) == 1 && (!j.w.s.batches() || j.parts[0].Single()) {
		j.runSingly(j.parts[0])
		return
	}
	j.runBatch(j.parts)
}

// runSingly hands out a part's events one by one.
func (j *job) runSingly(p group.Part) {
	began := time.Now()
	for !p.Halted && j.w.sched.GoesOn(p.Partition) {
		events := p.Left()
		if len(events) == 0 {
			return
		}
		j.runEvent(p, &events[0])
		if time.Since(began) > maxTurn && j.w.sched.OthersWait() {
			return
		}
	}
}

// runEvent hands out one event.
func (j *job) runEvent(p group.Part, ev *eventlog.Event) {
	w := j.w
	if r := p.Retry(); r.Attempts >= uint32(w.s.MaxAttempts) && !w.s.Block {
		j.bury(p, ev, r.Attempts, errors.New(r.Err)) // its process died at the last attempt
		return
	}
	if p.Suspect() {
		if !w.q.enterQuarantine() {
			p.Halted, p.Wait = true, access.Jitter(w.q.opts.MaxPoll)
			return
		}
		defer w.q.leaveQuarantine()
	}
	if cp, needed := p.Mark(); needed {
		c := group.NewChange(p.Partition)
		c.To = cp
		if !w.checkpointer.Persist(c) {
			p.Halted = true
			return
		}
	}
	one := []group.Part{{Turn: p.Turn, Events: p.Left()[:1]}}
	result, err := j.deliver(one)
	switch result {
	case deliveryDone:
		j.done(one)
	case deliveryFailed:
		j.fail(p, ev, err)
	default:
		j.broken(result, err, p)
	}
}

// enterQuarantine reports whether no other suspect of the process is with a handler,
// of whatever topic and group. If so none will be until leaveQuarantine. It does not
// wait, because there are other partitions to work on.
func (q *Queue) enterQuarantine() bool {
	select {
	case q.quarantine <- struct{}{}:
		return true
	default:
		return false
	}
}

func (q *Queue) leaveQuarantine() { <-q.quarantine }

// runBatch hands out the events of several parts at once.
func (j *job) runBatch(parts []group.Part) {
	live := make([]group.Part, 0, len(parts))
	total := 0
	for _, p := range parts {
		if events := p.Left(); !p.Halted && len(events) > 0 && j.w.sched.GoesOn(p.Partition) {
			live = append(live, p)
			total += len(events)
		}
	}
	switch total {
	case 0:
		return
	case 1:
		j.runEvent(live[0], &live[0].Left()[0])
		return
	}
	all := make([]group.Part, len(live))
	for i, p := range live {
		all[i] = group.Part{Turn: p.Turn, Events: p.Left()}
	}
	result, err := j.deliver(all)
	switch result {
	case deliveryDone:
		j.done(all)
	case deliveryConflict:
		first, second := halve(live, total)
		j.runBatch(first)
		j.runBatch(second)
	case deliveryFailed:
		for _, p := range live {
			j.runSingly(p)
		}
	default:
		j.broken(result, err, live...)
	}
}

// halve splits the events that are left in parts in two. A part that is in both
// halves has its later events in the second, which runs them only if the earlier
// events are done: see group.Part.Left and runBatch.
func halve(parts []group.Part, total int) (first, second []group.Part) {
	room := total / 2
	for i, p := range parts {
		n := len(p.Left())
		if n <= room {
			room -= n
			first = append(first, p)
			continue
		}
		second = slices.Clone(parts[i:])
		if room > 0 {
			first = append(first, group.Part{Turn: p.Turn, Events: p.Left()[:room]})
		}
		break
	}
	return first, second
}

// done notes that all events of parts are done.
func (j *job) done(parts []group.Part) {
	for _, p := range parts {
		seq := p.Events[len(p.Events)-1].Seq
		if j.w.s.transactional() {
			j.w.sched.Committed(p.Partition, seq, len(p.Events))
		} else {
			j.w.checkpointer.Advance(p.Partition, seq, len(p.Events))
		}
	}
}

// fail decides what becomes of an event whose handler failed when it ran alone,
// and keeps that.
func (j *job) fail(p group.Part, ev *eventlog.Event, err error) {
	w := j.w
	v := w.s.classify(err, p.Retry().Attempts)
	if v.dead {
		j.bury(p, ev, v.attempts, err)
		return
	}
	w.q.log.Info("queue: event comes again", "topic", w.s.Topic, "group", w.s.Group, "partition", p.Number(), "seq", ev.Seq, "attempts", v.attempts, "wait", v.wait, "error", err)
	p.Halted, p.Wait = true, v.wait
	c := group.NewChange(p.Partition)
	c.To.Retry = group.Retry{Attempts: v.attempts, Due: time.Now().Add(v.wait), Wait: v.wait, Err: group.Reason(err)}
	if w.checkpointer.Persist(c) {
		w.sched.Failed(p.Partition, c.To.Retry)
	}
}

// bury makes an event a dead letter; its partition goes on.
func (j *job) bury(p group.Part, ev *eventlog.Event, attempts uint32, err error) {
	w := j.w
	if !w.checkpointer.Persist(group.NewDeadLetter(p.Partition, ev, attempts, group.Reason(err))) {
		p.Halted = true
		return
	}
	w.q.log.Warn("queue: event given up", "topic", w.s.Topic, "group", w.s.Group, "partition", p.Number(), "seq", ev.Seq, "attempts", attempts, "error", err)
	w.sched.Finish(p.Partition, ev.Seq)
}

// broken ends the job for parts whose events did not get to the handler, or did not
// get committed, through no fault of the events.
func (j *job) broken(result delivery, err error, parts ...group.Part) {
	for _, p := range parts {
		p.Halted = true
		if result == deliveryBroken {
			p.Wait = access.Jitter(j.w.q.opts.MaxPoll)
		}
	}
	if result != deliveryBroken {
		return
	}
	if j.w.q.store.Fatal(err) {
		j.w.sched.Fail(err)
		return
	}
	j.w.q.log.Warn("queue: handing out events failed", "topic", j.w.s.Topic, "group", j.w.s.Group, "error", err)
}

// delivery says how handing out events went.
type delivery uint8

const (
	deliveryDone     delivery = iota
	deliveryFailed            // the handler failed, or its transaction for its sake
	deliveryConflict          // the transaction of several events conflicted, or was too large
	deliveryLost              // a partition has another owner
	deliveryStopped           // the worker ends
	deliveryBroken            // the store failed, before or after the handler
)

// deliver gives the events of parts to the handler, once, or more often if its
// transaction conflicts.
func (j *job) deliver(parts []group.Part) (delivery, error) {
	if j.w.s.transactional() {
		return j.deliverTx(parts)
	}
	err := j.w.s.call(j.w.ctx, func(ctx context.Context) error {
		if j.w.s.BatchHandler != nil {
			return j.w.s.BatchHandler(ctx, j.eventsOf(parts))
		}
		return j.w.s.Handler(ctx, j.eventOf(parts[0]))
	})
	switch {
	case err == nil:
		return deliveryDone, nil
	case j.w.ctx.Err() != nil:
		return deliveryStopped, err
	}
	return deliveryFailed, err
}

var (
	errLost     = errors.New("queue: partition has another owner")
	errPanicked = errors.New("queue: handler panicked")
)

// errDone says that the events are done, by a commit that had ended unknown: the
// checkpoints tell.
var errDone = errors.New("queue: events are done")

// deliverTx runs a transactional handler: in one transaction it checks that the
// partitions are still this worker's and stand where it thinks, runs the handler,
// and writes the new checkpoints. Another process may try that for the same event,
// and an earlier commit that ended unknown may land late. Exactly one of all these
// transactions commits, because all write the same checkpoint.
func (j *job) deliverTx(parts []group.Part) (delivery, error) {
	w := j.w
	partitions := make([]int, len(parts))
	total := 0
	for i, p := range parts {
		partitions[i] = p.Number()
		total += len(p.Events)
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
					return w.s.TxBatchHandler(ctx, tx, j.eventsOf(parts))
				}
				return w.s.TxHandler(ctx, tx, j.eventOf(parts[0]))
			})
			took = time.Since(began)
			if p := (*PanicError)(nil); errors.As(handlerErr, &p) {
				return errPanicked // whatever the value, it is neither a conflict nor the store's failure
			}
			if handlerErr != nil {
				return handlerErr
			}
			for i, p := range parts {
				cp := group.Checkpoint{Owner: p.Token(), Floor: p.Events[len(p.Events)-1].Seq}
				if err := w.rows.Put(tx, partitions[i], &cp); err != nil {
					return err
				}
			}
			return nil
		})
		if p := (*PanicError)(nil); handlerErr == nil && errors.As(err, &p) {
			handlerErr, err = err, errPanicked // a function that the handler gave to kv.Txn.BeforeCommit
		}
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
			return deliveryDone, nil
		case errors.Is(err, errLost):
			return deliveryLost, err
		case w.ctx.Err() != nil:
			return deliveryStopped, err
		case panicked:
			return deliveryFailed, handlerErr
		case handlerErr == nil && errors.Is(err, kv.ErrCommitUnknown):
			w.q.log.Warn("queue: commit of a handler's transaction ended unknown", "topic", w.s.Topic, "group", w.s.Group, "error", err)
			continue // the checkpoints tell
		case total > 1 && (errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrTxnTooLarge)):
			return deliveryConflict, err
		case !ran && !errors.Is(err, kv.ErrConflict), unavailable:
			return deliveryBroken, err
		case handlerErr == nil && errors.Is(err, kv.ErrTxnTooOld) && took < w.s.Timeout/2:
			return deliveryBroken, err // the store was slow, not the handler: the attempt does not count
		}
		return deliveryFailed, err
	}
}

// runTx is kv.Store.Run, which lives when the commit panics. If a function panics that
// a handler has given to kv.Txn.OnCommit, what was committed is done. Before that it is
// a function given to kv.Txn.BeforeCommit, or the error that such a function returned,
// and runTx returns a PanicError.
func (j *job) runTx(o *kv.TxnOptions, fn func(tx *kv.Txn) error) (err error) {
	var committing *kv.Txn // nil while fn runs, which lives when a handler panics
	defer func() {
		if committing == nil {
			return
		}
		switch p := recover(); {
		case p == nil:
		case committing.CommitVersion() == 0:
			err = panicked(p)
		default:
			j.w.q.log.Error("queue: a function given to OnCommit panicked", "topic", j.w.s.Topic, "group", j.w.s.Group,
				"panic", p, "stack", string(debug.Stack()))
			err = nil
		}
	}()
	return j.w.q.store.Run(j.w.ctx, o, func(tx *kv.Txn) error {
		committing = nil
		err := fn(tx)
		if err == nil {
			committing = tx
		}
		return err
	})
}

// check compares the stored checkpoints with what the worker thinks.
func (j *job) check(tx *kv.Txn, parts []group.Part, partitions []int) error {
	cps, err := j.w.rows.Read(j.w.ctx, tx, partitions)
	if err != nil {
		return err
	}
	before, after := 0, 0
	for i, p := range parts {
		switch p.Standing(&cps[i], p.Events[0].Seq, p.Events[len(p.Events)-1].Seq) {
		case group.After:
			after++
		case group.Before:
			before++
		}
	}
	if after == len(parts) {
		return errDone
	}
	if before < len(parts) {
		// Partitions that have another owner, or are further than this worker thinks,
		// begin anew with what is stored.
		j.w.sched.Lose(parts, cps)
		return errLost
	}
	return nil
}

// eventsOf makes the events that a handler gets. They are copies: the handler may
// change them, and the worker's own say what comes next. The first event of a
// partition may have failed before.
func (j *job) eventsOf(parts []group.Part) []*Event {
	n := 0
	for _, p := range parts {
		n += len(p.Events)
	}
	copies := make([]Event, 0, n)
	events := make([]*Event, 0, n)
	for _, p := range parts {
		attempt := 1 + int(p.Retry().Attempts)
		for i := range p.Events {
			copies = append(copies, j.event(p, &p.Events[i], attempt))
			events = append(events, &copies[len(copies)-1])
			attempt = 1
		}
	}
	return events
}

// eventOf is eventsOf for one event.
func (j *job) eventOf(p group.Part) *Event {
	ev := j.event(p, &p.Events[0], 1+int(p.Retry().Attempts))
	return &ev
}

func (j *job) event(p group.Part, ev *eventlog.Event, attempt int) Event {
	return newEvent(j.w.s.Topic, p.Number(), ev, attempt)
}
