package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Bounds of one fetch.
const (
	maxFetch    = 1024 // events
	laneFetches = 128  // of one lane, for handlers of single events
)

// wanted is a lane that the fetcher holds, and how many of its events to read.
type wanted struct {
	*lane
	n    int
	upTo uint64 // the lane's head, which may rise meanwhile
	left bool   // claim has put the lane to wait: it is the fetcher's no longer
}

// fetchLoop claims partitions and reads their events, for many of them at once.
func (w *Worker) fetchLoop(ctx context.Context) {
	for {
		lanes := w.nextFetch(ctx)
		if lanes == nil {
			return
		}
		err := w.fetchLanes(ctx, lanes)
		w.mu.Lock()
		for _, l := range lanes {
			switch {
			case l.left:
			case err != nil:
				w.restAfter(l.lane, jitter(w.q.opts.MaxPoll))
			default:
				w.rest(l.lane)
			}
		}
		w.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			if w.q.fatal(err) {
				w.fail(err)
			} else {
				w.q.log.Warn("queue: fetching failed", "topic", w.s.Topic, "group", w.s.Group, "error", err)
			}
		}
	}
}

// nextFetch waits for lanes to fetch and takes hold of them. It returns nil when
// the worker stops.
func (w *Worker) nextFetch(ctx context.Context) []wanted {
	w.mu.Lock()
	defer w.mu.Unlock()
	per := laneFetches
	if w.s.batches() {
		per = w.s.BatchSize
	}
	var lanes []wanted
	for {
		if w.stopping || w.err != nil {
			return nil
		}
		if w.reassign {
			w.reassign = false
			w.mu.Unlock()
			err := w.load(ctx) // of new ones, how far others have come
			w.mu.Lock()
			if err != nil {
				w.q.log.Warn("queue: assigning partitions failed", "topic", w.s.Topic, "group", w.s.Group, "error", err)
				w.later(func() { w.reassign = true })
			}
			continue
		}
		budget := min(maxFetch, w.s.MaxInFlight-w.inFlight)
		if budget < w.s.MaxInFlight/4 && budget < maxFetch {
			budget = 0 // a fetch for each event that is done would cost as much as many events' does
		}
		for budget > 0 && w.bytes < maxInFlightBytes && w.fetch.len() > 0 {
			l := w.fetch.pop()
			if l.lost || !l.mine || l.head <= l.done {
				w.rest(l)
				continue
			}
			l.state = laneHeld
			n := min(per, budget, int(min(l.head-l.done, maxFetch)))
			lanes = append(lanes, wanted{lane: l, n: n, upTo: l.head})
			budget -= n
		}
		if lanes != nil {
			return lanes
		}
		w.fetchable.Wait()
	}
}

func (w *Worker) fetchLanes(ctx context.Context, lanes []wanted) error {
	if err := w.claim(ctx, lanes); err != nil {
		return err
	}
	var keys [][]byte
	for i := range lanes {
		l := &lanes[i]
		if l.left || l.upTo <= l.done { // claiming has told that there is nothing to do
			l.n = 0
			continue
		}
		l.n = min(l.n, int(min(l.upTo-l.done, maxFetch)))
		for seq := l.done + 1; seq <= l.done+uint64(l.n); seq++ {
			keys = append(keys, appendEvent(w.keys.events[:len(w.keys.events):len(w.keys.events)], l.partition, seq))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	var rows [][]byte
	var version kv.Version
	err := w.q.store.View(ctx, func(tx *kv.Txn) (err error) {
		version = tx.ReadVersion()
		rows, err = tx.BatchGet(ctx, keys)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: fetching events: %w", err)
	}
	if !w.s.transactional() {
		// What a plain handler does may not depend on a position, or an event,
		// that a crash can take back.
		if err := w.q.store.WaitDurable(ctx, version); err != nil {
			return fmt.Errorf("queue: fetching events: %w", err)
		}
	}
	for _, l := range lanes {
		if l.n == 0 {
			continue
		}
		events := make([]*Event, l.n)
		size := 0
		for i := range events {
			seq := l.done + 1 + uint64(i)
			if rows[i] == nil {
				return fmt.Errorf("%w: the log has no event %d in partition %d of topic %q", ErrCorrupt, seq, l.partition, w.s.Topic)
			}
			if events[i], err = parseEventRow(w.s.Topic, l.partition, seq, rows[i]); err != nil {
				return err
			}
			size += events[i].size()
		}
		rows = rows[l.n:]
		w.mu.Lock()
		l.events = events
		w.inFlight += len(events)
		w.bytes += size
		w.mu.Unlock()
	}
	return nil
}

// carefulWindow is how many events of a partition may have been with a handler
// when its owner died.
func (w *Worker) carefulWindow() uint64 {
	if w.s.batches() {
		return uint64(maxRunAhead + w.s.BatchSize)
	}
	return maxRunAhead + 1
}

// claim makes this worker the owner of those lanes that have none of its tokens.
// A partition whose owner is alive is left to it for MemberTTL, in which it
// should notice that the partition is no longer its own, and finish.
//
// Nothing depends on that: whoever takes a partition writes a new token, and
// what its former owner still has in hand fails, since it demands its own.
func (w *Worker) claim(ctx context.Context, lanes []wanted) error {
	var unowned []*wanted
	var partitions []int
	for i := range lanes {
		if l := &lanes[i]; l.token == (token{}) {
			unowned, partitions = append(unowned, l), append(partitions, l.partition)
		}
	}
	if len(unowned) == 0 {
		return nil
	}
	now := time.Now()
	tokens := make([]token, len(unowned)) // the same if the transaction is repeated
	for i := range tokens {
		tokens[i] = newToken(w.q.id)
	}
	var cps []checkpoint
	busy := make([]bool, len(unowned))
	err := updateKnown(ctx, w.q.store, func(tx *kv.Txn) (err error) {
		if cps, err = w.keys.checkpoints.read(ctx, tx, partitions); err != nil {
			return err
		}
		for i, l := range unowned {
			cp := &cps[i]
			if cp.owner == tokens[i] {
				continue // an earlier run committed after all
			}
			if busy[i] = w.defers(l.lane, cp.owner, now); busy[i] {
				continue
			}
			if cp.owner != (token{}) && cp.owner.member() != w.q.id {
				cp.crashes++ // or it is slow
				if cp.started {
					cp.retry = retryState{attempts: cp.retry.attempts + 1, err: ErrDied.Error()}
				}
			}
			cp.owner, cp.started = tokens[i], false
			if err := w.keys.checkpoints.write(tx, partitions[i], cp); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: claiming partitions: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range unowned {
		cp := &cps[i]
		l.done, l.saved = cp.floor, cp.floor
		if busy[i] {
			if l.busyOwner != cp.owner {
				l.busyOwner, l.busySince = cp.owner, now
			}
			if l.left = l.upTo > l.done; l.left {
				w.restAfter(l.lane, jitter(w.q.opts.MaxPoll))
			}
			continue
		}
		l.token, l.retry, l.crashes = cp.owner, cp.retry, cp.crashes
		l.busyOwner = token{}
		if cp.crashes > 1 {
			l.careful = cp.floor + w.carefulWindow()
		}
		if d := cp.retry.remaining(now); d > 0 {
			l.left = true
			w.restAfter(l.lane, d)
		}
	}
	return nil
}

// defers tells whether a partition is left to the owner that it has.
func (w *Worker) defers(l *lane, owner token, now time.Time) bool {
	return owner != (token{}) && w.q.alive(owner.member()) &&
		(l.busyOwner != owner || now.Sub(l.busySince) < w.q.opts.MemberTTL)
}
