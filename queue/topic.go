package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// The first check of the hints comes soon after the start, further ones seldom:
// each reads the tombstones of all that was published lately.
const (
	firstHintCheck = time.Minute
	hintCheckEvery = 10 * time.Minute
)

// forgetEvery is how often what Message.Unique has left behind is removed.
const forgetEvery = time.Minute

// topic keeps one topic going in this process, while workers run on it: a
// goroutine moves what was published to the log, and tells the workers how far
// the log goes.
type topic struct {
	q          *Queue
	name       string
	partitions int

	dirty  atomic.Uint32 // shards in which something was published
	awake  chan struct{} // holds one signal
	stop   context.CancelFunc
	exited chan struct{}

	mu      sync.Mutex
	last    []uint64 // of each partition, the newest event that is known
	workers []*Worker
}

// attach makes w one of the topic's workers, and starts the topic for the first.
func (q *Queue) attach(w *Worker, name string, partitions int) *topic {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.topics[name]
	if t == nil {
		t = &topic{q: q, name: name, partitions: partitions, awake: make(chan struct{}, 1), exited: make(chan struct{}), last: make([]uint64, partitions)}
		ctx, stop := context.WithCancel(context.Background())
		t.stop = stop
		q.topics[name] = t
		go t.run(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.workers = append(t.workers, w)
	return t
}

// detach is the end of attach. It waits for the topic to end after its last worker.
func (q *Queue) detach(w *Worker, t *topic) {
	q.mu.Lock()
	t.mu.Lock()
	t.workers = slices.DeleteFunc(t.workers, func(x *Worker) bool { return x == w })
	ended := len(t.workers) == 0
	t.mu.Unlock()
	if ended {
		delete(q.topics, t.name)
		t.stop()
	}
	q.mu.Unlock()
	if ended {
		<-t.exited
	}
}

// published tells that a transaction of this process has published to shards.
func (t *topic) published(shards uint32) {
	t.dirty.Or(shards)
	t.wake()
}

func (t *topic) wake() {
	select {
	case t.awake <- struct{}{}:
	default: // it has been told
	}
}

// run works until ctx ends. What this process publishes wakes it. What others
// publish, and what was published by a commit that ended unknown, it finds by
// polling, less and less often while there is nothing.
func (t *topic) run(ctx context.Context) {
	defer close(t.exited)
	seq := &sequencer{store: t.q.store, keys: t.q.keys, topic: t.name, partitions: t.partitions}
	shared := t.q.store.Info().Shared
	interval := t.q.opts.MinPoll
	stale := false     // the log may go further than this process knows
	var poll time.Time // when to look at every shard; at once at the start
	check := time.Now().Add(firstHintCheck)
	checked := make(chan uint32, 1) // what a check has found
	checking := false
	var checks sync.WaitGroup
	defer checks.Wait()
	forget := time.Now().Add(jitter(forgetEvery))
	for ctx.Err() == nil {
		now := time.Now()
		polling := !now.Before(poll)
		which := t.dirty.Swap(0)
		if polling {
			which = allShards
		}
		which &= t.q.sequences(t.name)
		if polling && !checking && !now.Before(check) {
			checking = true
			s := *seq
			checks.Go(func() { checked <- t.check(ctx, &s, which) })
		}
		select {
		case found := <-checked:
			checking, check = false, now.Add(hintCheckEvery) // also if it failed
			t.moveStrays(ctx, seq, found)
		default:
		}
		busy, err := t.advance(ctx, seq, which, polling || stale)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.dirty.Or(which)
			stale = true // a pass that ended unknown may have been done
			t.failed(err)
			interval = min(2*interval, t.q.opts.MaxPoll)
			pause(ctx, jitter(interval))
			continue
		}
		stale = false
		if polling {
			interval = min(2*interval, t.q.opts.MaxPoll)
			if busy && shared {
				interval = t.q.opts.MinPoll
			}
			poll = now.Add(jitter(interval))
		}
		if !now.Before(forget) {
			forget = now.Add(jitter(forgetEvery))
			more, err := t.q.forget(ctx, t.name)
			if err != nil && ctx.Err() == nil {
				t.q.log.Warn("queue: removing expired uniqueness failed", "topic", t.name, "error", err)
			}
			if more {
				forget = now
			}
		}
		if t.dirty.Load() == 0 {
			t.sleep(ctx, time.Until(poll))
		}
	}
}

// advance moves rows of the shards in which, and reads how far others have come.
func (t *topic) advance(ctx context.Context, seq *sequencer, which uint32, look bool) (busy bool, err error) {
	if which != 0 {
		m, err := seq.move(ctx, which, false)
		if err != nil {
			return false, err
		}
		t.dirty.Or(m.shards)
		t.raise(m.ends)
		busy = m.rows > 0
	}
	if look {
		grown, err := t.look(ctx, seq)
		if err != nil {
			return busy, err
		}
		busy = busy || grown
	}
	return busy, nil
}

// check returns the shards that have rows where the hints say that there are none.
// There are some only if a transaction has outlived the store's lifetime. It can take
// long (see strays), so it runs beside all else.
func (t *topic) check(ctx context.Context, seq *sequencer, which uint32) (found uint32) {
	found, err := seq.strays(ctx, which)
	if err != nil && ctx.Err() == nil {
		t.q.log.Warn("queue: checking the hints of the inbox failed", "topic", t.name, "error", err)
	}
	return found
}

// moveStrays moves what a check has found.
func (t *topic) moveStrays(ctx context.Context, seq *sequencer, found uint32) {
	if found == 0 {
		return
	}
	m, err := seq.move(ctx, found, true)
	if err != nil {
		if ctx.Err() == nil {
			t.q.log.Warn("queue: moving rows below the hint of the inbox failed", "topic", t.name, "error", err)
		}
		return
	}
	t.q.log.Warn("queue: rows below the hint of the inbox; transactions outlive the store's lifetime", "topic", t.name, "rows", m.below)
	t.dirty.Or(m.shards)
	t.raise(m.ends)
}

// look reads how far the log goes.
func (t *topic) look(ctx context.Context, seq *sequencer) (grown bool, err error) {
	var ends []partitionEnd
	err = t.q.store.View(ctx, func(tx *kv.Txn) error {
		heads, err := readHeads(ctx, tx, seq.keys, t.name, t.partitions, allShards)
		for shard, h := range heads {
			for i, last := range h.last {
				ends = append(ends, partitionEnd{shard*len(h.last) + i, last})
			}
		}
		return err
	})
	if err != nil {
		return false, err
	}
	return t.raise(ends), nil
}

// raise tells the workers of partitions that have grown.
func (t *topic) raise(ends []partitionEnd) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := ends[:0]
	for _, e := range ends {
		if e.last > t.last[e.partition] {
			t.last[e.partition] = e.last
			grown = append(grown, e)
		}
	}
	if len(grown) == 0 {
		return false
	}
	for _, w := range t.workers {
		w.raise(grown)
	}
	return true
}

// failed reports an error. Workers whose store cannot recover end with it.
func (t *topic) failed(err error) {
	t.q.log.Warn("queue: sequencing failed", "topic", t.name, "error", err)
	if !t.q.fatal(err) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.workers {
		w.fail(err)
	}
}

// sleep waits until the topic is woken, d has passed, or ctx ends.
func (t *topic) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-t.awake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pause waits until d has passed or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// jitter spreads what many processes do every d: it takes up to a quarter off.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// fatal tells whether the store will not recover from err while it is open.
func (q *Queue) fatal(err error) bool {
	return errors.Is(err, kv.ErrClosed) || errors.Is(err, ErrCorrupt) || errors.Is(err, kv.ErrCorrupt) ||
		errors.Is(err, kv.ErrUnavailable) && !q.store.Info().Shared
}
