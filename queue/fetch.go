package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Bounds of one fetch.
const (
	maxFetch    = 1024 // events
	laneFetches = 128  // of one lane, for handlers of single events
	fetchPiece  = 256  // events in one batch get, between which their size is looked at
)

// laneShare is how many events a lane may hold: so few that all executors find
// lanes to work on, and some wait, before MaxInFlight is reached.
func (w *Worker) laneShare() int {
	if w.s.batches() {
		return w.s.BatchSize
	}
	return min(laneFetches, max(1, w.s.MaxInFlight/(2*w.s.Concurrency)))
}

// wanted is a lane that the fetcher holds, and how many of its events to read.
type wanted struct {
	*lane
	n     int
	waits bool // it was put to wait, and is not the fetcher's any more
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
			case l.waits:
			case err != nil:
				w.restAfter(l.lane, access.Jitter(w.q.opts.MaxPoll))
			default:
				w.rest(l.lane)
			}
		}
		w.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			if w.q.store.Fatal(err) {
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
	per := w.laneShare()
	var lanes []wanted
	for {
		if w.stopping || w.err != nil {
			return nil
		}
		if w.reassign {
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
		if budget < w.s.MaxInFlight/4 && budget < maxFetch && w.ready.len() > 0 {
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
			lanes = append(lanes, wanted{lane: l, n: n})
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
	w.mu.Lock()
	for i := range lanes { // claiming may have told that there is less to do, or nothing
		l := &lanes[i]
		if l.waits || l.head <= l.done {
			l.n = 0
		} else {
			l.n = int(min(uint64(l.n), l.head-l.done))
		}
	}
	w.mu.Unlock()
	// A transactional handler's transaction checks the owner. Before a plain one
	// starts there is only this: who was paused for long, or cut off, may have
	// lost the partition since it claimed it.
	checks := w.q.store.Info().Shared && !w.s.transactional()
	var keys [][]byte
	for _, l := range lanes {
		if l.n == 0 {
			continue
		}
		if checks {
			keys = append(keys, w.keys.checkpoints.key(l.partition))
		}
		for seq := l.done + 1; seq <= l.done+uint64(l.n); seq++ {
			keys = append(keys, eventlog.AppendPosition(w.keys.events[:len(w.keys.events):len(w.keys.events)], l.partition, seq))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	w.mu.Lock()
	room := maxInFlightBytes - w.bytes
	w.mu.Unlock()
	rows := make([][]byte, 0, len(keys))
	var version kv.Version
	err := w.q.store.View(ctx, func(tx *kv.Txn) error {
		version = tx.ReadVersion()
		for piece := range slices.Chunk(keys, fetchPiece) {
			got, err := tx.BatchGet(ctx, piece)
			if err != nil {
				return err
			}
			rows = append(rows, got...)
			for _, row := range got {
				room -= len(row)
			}
			if room <= 0 {
				break // the others' turn comes when these are done
			}
		}
		return nil
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
		if len(rows) == 0 { // reading has stopped
			break
		}
		if checks {
			cp, err := w.keys.checkpoints.of(l.partition, rows[0])
			if err != nil {
				return err
			}
			rows = rows[1:]
			if cp.owner != l.token {
				rows = rows[min(l.n, len(rows)):]
				w.mu.Lock()
				l.lost = true
				w.mu.Unlock()
				continue
			}
		}
		l.n = min(l.n, len(rows))
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
// A partition whose owner is alive is left to it while it gets on, and for as
// long as it should take to notice that the partition is no longer its own, and
// a handler to return. If it gives the partition back before, so much the better.
//
// Nothing depends on that: whoever takes a partition writes a new token, and
// what its former owner still has in hand fails, since it demands its own.
func (w *Worker) claim(ctx context.Context, lanes []wanted) error {
	var unowned []*wanted
	for i := range lanes {
		if l := &lanes[i]; l.token == (token{}) {
			unowned = append(unowned, l)
		}
	}
	for some := range slices.Chunk(unowned, max(1, w.q.store.TxnRoom()/changeSize)) {
		if err := w.claimSome(ctx, some); err != nil {
			return fmt.Errorf("queue: claiming partitions: %w", err)
		}
	}
	return nil
}

// claimSome claims partitions in one transaction.
func (w *Worker) claimSome(ctx context.Context, unowned []*wanted) error {
	partitions := make([]int, len(unowned))
	for i, l := range unowned {
		partitions[i] = l.partition
	}
	now := time.Now()
	tokens := make([]token, len(unowned)) // the same if the transaction is repeated
	for i := range tokens {
		tokens[i] = newToken(w.q.id)
	}
	var cps []checkpoint
	busy := make([]bool, len(unowned))
	since := make([]time.Time, len(unowned))
	err := w.q.store.UpdateKnown(ctx, "claims", func(tx *kv.Txn) (err error) {
		if cps, err = w.keys.checkpoints.read(ctx, tx, partitions); err != nil {
			return err
		}
		for i, l := range unowned {
			cp := &cps[i]
			if cp.owner == tokens[i] {
				continue // an earlier run committed after all
			}
			var crashed bool
			if busy[i], crashed, since[i] = w.judge(l.lane, cp, now, w.q.cluster.Health); busy[i] {
				continue
			}
			if crashed {
				cp.crashes++
				var failed bool
				if cp.trial, failed = cp.trial.died(); failed {
					cp.retry = retryState{attempts: cp.retry.attempts + 1, err: ErrDied.Error()}
				}
			}
			cp.owner, cp.trial = tokens[i], cp.trial.ended()
			if err := w.keys.checkpoints.write(tx, partitions[i], cp); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range unowned {
		cp := &cps[i]
		l.done, l.saved = cp.floor, cp.floor
		if busy[i] {
			l.busy = busyState{cp.owner, cp.floor, since[i], now}
			if l.head > l.done {
				l.waits = true
				w.restAfter(l.lane, access.Jitter(w.q.opts.MaxPoll))
			}
			continue
		}
		l.token, l.retry, l.crashes, l.trial = cp.owner, cp.retry, cp.crashes, cp.trial
		l.busy = busyState{}
		if cp.crashes > 1 {
			l.careful = cp.floor + w.carefulWindow()
		}
		if d := cp.retry.remaining(now); d > 0 {
			l.waits = true
			w.restAfter(l.lane, d)
		}
	}
	return nil
}

// judge tells whether a partition is left to the owner that it has, or else
// whether that one has died with it; and since when it stands as it does, as far
// as this worker has seen: what it saw before it was paused, or while it did not
// want the partition, does not count. What a former worker of this process has not
// given back nobody works on.
func (w *Worker) judge(l *lane, cp *checkpoint, now time.Time, health func(cluster.ID, time.Time) cluster.Health) (busy, crashed bool, since time.Time) {
	since = now
	if cp.owner == (token{}) || cp.owner.member() == w.q.id {
		return false, false, since
	}
	met := now
	if l.busy.owner == cp.owner && l.busy.floor == cp.floor {
		met = l.busy.since
		if now.Sub(l.busy.last) < w.q.opts.MemberTTL+2*w.q.opts.MaxPoll {
			since = met
		}
	}
	switch health(cp.owner.member(), met) {
	case cluster.Dead:
		return false, true, since
	case cluster.Alive:
		return now.Sub(since) < w.q.opts.MemberTTL+w.s.Timeout, false, since
	}
	return true, false, since
}
