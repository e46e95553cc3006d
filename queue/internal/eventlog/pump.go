package eventlog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// The first check of the hints comes soon after the start, further ones seldom:
// each reads the tombstones of all that was published lately.
const (
	FirstHintCheck = time.Minute
	hintCheckEvery = 10 * time.Minute
)

// forgetEvery is how often what Message.Unique has left behind is removed.
const forgetEvery = time.Minute

// Pump moves what is published to one topic to its log while Run runs, and tells
// its listener how far the log goes.
type Pump struct {
	store      *access.Store
	keys       Keys
	topic      string
	partitions int
	to         Listener

	dirty atomic.Uint32 // shards in which something was published, a bit for each
	awake chan struct{} // holds one signal

	last []uint64 // of each partition, the newest event that is known
}

// Listener is what a Pump works for. The Pump calls its functions from one goroutine.
type Listener struct {
	// OwnedShards returns the shards that this process sequences, a bit for each.
	OwnedShards func() uint32

	// LogGrew is told of partitions that have grown.
	LogGrew func(ends []End)

	// Failed is told of an error after which the Pump tries again.
	Failed func(err error)
}

// NewPump returns the Pump of a topic with so many partitions.
func NewPump(store *access.Store, keys Keys, topic string, partitions int, to Listener) *Pump {
	return &Pump{
		store: store, keys: keys, topic: topic, partitions: partitions, to: to,
		awake: make(chan struct{}, 1), last: make([]uint64, partitions),
	}
}

// Published tells that a transaction of this process has published to shards.
func (p *Pump) Published(shards uint32) {
	p.dirty.Or(shards)
	select {
	case p.awake <- struct{}{}:
	default: // it has been told
	}
}

// Run works until ctx ends. What this process publishes wakes it. By polling, less
// and less often while there is nothing, it finds what others publish, and what a
// commit published that ended unknown.
func (p *Pump) Run(ctx context.Context) {
	seq := NewSequencer(p.store, p.keys, p.topic, p.partitions)
	shared := p.store.Info().Shared
	wait := access.Backoff{Min: p.store.MinPoll, Max: p.store.MaxPoll} // between polls
	wait.Next()
	stale := false     // the log may go further than this process knows
	var poll time.Time // when to look at every shard; at once at the start
	check := time.Now().Add(FirstHintCheck)
	checked := make(chan uint32, 1) // what a check has found
	checking := false
	var checks sync.WaitGroup
	defer checks.Wait()
	forget := time.Now().Add(access.Jitter(forgetEvery))
	for ctx.Err() == nil {
		now := time.Now()
		polling := !now.Before(poll)
		which := p.dirty.Swap(0)
		if polling {
			which = AllShards
		}
		which &= p.to.OwnedShards()
		if polling && !checking && !now.Before(check) {
			checking = true
			s := *seq
			checks.Go(func() { checked <- p.check(ctx, &s, which) })
		}
		select {
		case found := <-checked:
			checking, check = false, now.Add(hintCheckEvery) // also if it failed
			p.moveStrays(ctx, seq, found)
		default:
		}
		busy, err := p.advance(ctx, seq, which, polling || stale)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.dirty.Or(which)
			stale = true // a pass that ended unknown may have been done
			p.store.Log.Warn("queue: sequencing failed", "topic", p.topic, "error", err)
			p.to.Failed(err)
			wait.Pause(ctx)
			continue
		}
		stale = false
		if polling {
			if busy && shared {
				wait.Reset()
			}
			poll = now.Add(access.Jitter(wait.Next()))
		}
		if !now.Before(forget) {
			forget = now.Add(access.Jitter(forgetEvery))
			more, err := Forget(ctx, p.store, p.keys, p.topic)
			if err != nil && ctx.Err() == nil {
				p.store.Log.Warn("queue: removing expired uniqueness failed", "topic", p.topic, "error", err)
			}
			if more {
				forget = now
			}
		}
		if p.dirty.Load() == 0 {
			p.sleep(ctx, time.Until(poll))
		}
	}
}

// advance moves rows of the shards in which, and with look reads how far others
// have come.
func (p *Pump) advance(ctx context.Context, seq *Sequencer, which uint32, look bool) (busy bool, err error) {
	if which != 0 {
		m, err := seq.Move(ctx, which, false)
		if err != nil {
			return false, err
		}
		p.dirty.Or(m.Shards)
		p.logGrew(m.Ends)
		busy = m.Rows > 0
	}
	if look {
		grown, err := p.look(ctx)
		if err != nil {
			return busy, err
		}
		busy = busy || grown
	}
	return busy, nil
}

// check returns the shards that have rows where the hints say that there are none.
// There are some only if a transaction has outlived the store's lifetime. A check
// can take long (see Sequencer.Strays), so it runs beside all else.
func (p *Pump) check(ctx context.Context, seq *Sequencer, which uint32) (found uint32) {
	found, err := seq.Strays(ctx, which)
	if err != nil && ctx.Err() == nil {
		p.store.Log.Warn("queue: checking the hints of the inbox failed", "topic", p.topic, "error", err)
	}
	return found
}

// moveStrays moves what a check has found.
func (p *Pump) moveStrays(ctx context.Context, seq *Sequencer, found uint32) {
	if found == 0 {
		return
	}
	m, err := seq.Move(ctx, found, true)
	if err != nil {
		if ctx.Err() == nil {
			p.store.Log.Warn("queue: moving rows below the hint of the inbox failed", "topic", p.topic, "error", err)
		}
		return
	}
	p.store.Log.Warn("queue: rows below the hint of the inbox; transactions outlive the store's lifetime", "topic", p.topic, "rows", m.Below)
	p.dirty.Or(m.Shards)
	p.logGrew(m.Ends)
}

// look reads how far the log goes.
func (p *Pump) look(ctx context.Context) (grown bool, err error) {
	var ends []End
	err = p.store.View(ctx, func(tx *kv.Txn) error {
		heads, err := ReadHeads(ctx, tx, p.keys, p.topic, p.partitions, AllShards)
		for shard, h := range heads {
			for i, last := range h.Last {
				ends = append(ends, End{shard*len(h.Last) + i, last})
			}
		}
		return err
	})
	if err != nil {
		return false, err
	}
	return p.logGrew(ends), nil
}

// logGrew tells the listener of the partitions that have grown, if any has.
func (p *Pump) logGrew(ends []End) bool {
	grown := ends[:0]
	for _, e := range ends {
		if e.Last > p.last[e.Partition] {
			p.last[e.Partition] = e.Last
			grown = append(grown, e)
		}
	}
	if len(grown) == 0 {
		return false
	}
	p.to.LogGrew(grown)
	return true
}

// sleep waits until the Pump is woken, d has passed, or ctx ends.
func (p *Pump) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-p.awake:
	case <-timer.C:
	case <-ctx.Done():
	}
}
