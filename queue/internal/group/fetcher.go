package group

import (
	"context"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Fetcher claims partitions and reads their events, for many of them at once.
type Fetcher struct {
	s      *Scheduler
	c      *Config
	rows   *Rows
	events []byte // prefix of the log
}

// NewFetcher returns the Fetcher of a Scheduler that is open.
func NewFetcher(s *Scheduler) *Fetcher {
	return &Fetcher{s: s, c: s.c, rows: s.checkpointer.rows, events: s.c.Keys.Events(s.c.Topic)}
}

// fetching is a partition that the fetcher holds, and how many of its events to read.
type fetching struct {
	*Partition
	n     int
	waits bool // it was put to wait, and is not the fetcher's any more
}

// Run works until the worker stops.
func (f *Fetcher) Run(ctx context.Context) {
	for {
		taken := f.next(ctx)
		if taken == nil {
			return
		}
		err := f.fetch(ctx, taken)
		f.end(taken, err)
		if err != nil && ctx.Err() == nil {
			if f.c.Store.Fatal(err) {
				f.s.Fail(err)
			} else {
				f.c.Store.Log.Warn("queue: fetching failed", "topic", f.c.Topic, "group", f.c.Group, "error", err)
			}
		}
	}
}

// TryFetch claims and reads once what there is to fetch, if anything, without a wait.
func (f *Fetcher) TryFetch(ctx context.Context) error {
	f.s.mu.Lock()
	taken := f.take()
	f.s.mu.Unlock()
	err := f.fetch(ctx, taken)
	f.end(taken, err)
	return err
}

// end gives back the partitions that fetch had.
func (f *Fetcher) end(taken []fetching, err error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for i := range taken {
		switch t := &taken[i]; {
		case t.waits:
		case err != nil:
			f.s.settleAfter(t.Partition, f.s.pollWait())
		default:
			f.s.settle(t.Partition)
		}
	}
}

// Load reads how far the group and the log are, and assigns partitions. What is
// published from then on the topic's Pump tells.
func (f *Fetcher) Load(ctx context.Context) error {
	s := f.s
	s.mu.Lock()
	s.reassign = false
	s.mu.Unlock()
	var cps []Checkpoint
	var heads [eventlog.Shards]eventlog.Head
	err := f.c.Store.View(ctx, func(tx *kv.Txn) error {
		var err error
		if cps, err = f.rows.All(ctx, tx); err != nil {
			return err
		}
		heads, err = eventlog.ReadHeads(ctx, tx, f.c.Keys, f.c.Topic, len(cps), eventlog.AllShards)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: group %q of topic %q: %w", f.c.Group, f.c.Topic, err)
	}
	mine := make([]bool, len(cps))
	for n := range mine {
		mine[n] = f.c.Owns(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	per := len(cps) / eventlog.Shards
	for n := range s.partitions {
		p := &s.partitions[n]
		s.apply(p, p.Loaded(heads[n/per].Last[n%per], &cps[n], mine[n] && s.leading && !s.stopping))
	}
	return nil
}

// next waits for partitions to fetch and takes hold of them. It returns nil when the
// worker stops.
func (f *Fetcher) next(ctx context.Context) []fetching {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stopping || s.err != nil {
			return nil
		}
		if s.reassign {
			s.mu.Unlock()
			err := f.Load(ctx) // of new partitions, how far others have come
			s.mu.Lock()
			if err != nil {
				f.c.Store.Log.Warn("queue: assigning partitions failed", "topic", f.c.Topic, "group", f.c.Group, "error", err)
				s.reassignLater()
			}
			continue
		}
		if taken := f.take(); taken != nil {
			return taken
		}
		s.fetchable.Wait()
	}
}

// take takes hold of partitions to fetch, as many as there is room for. s.mu is held.
func (f *Fetcher) take() []fetching {
	s := f.s
	share := f.c.share()
	var taken []fetching
	budget := min(maxFetch, f.c.MaxInFlight-s.inFlight.Events)
	if budget < f.c.MaxInFlight/4 && budget < maxFetch && s.ready.len() > 0 {
		budget = 0 // a fetch for each event that is done would cost as much as many events' does
	}
	for budget > 0 && s.inFlight.Bytes < MaxInFlightBytes && s.fetch.len() > 0 {
		p := s.fetch.pop()
		n, e := p.TakeToFetch(min(share, budget))
		if n == 0 {
			s.apply(p, e)
			continue
		}
		taken = append(taken, fetching{Partition: p, n: n})
		budget -= n
	}
	return taken
}

// fetch claims the partitions and reads their events.
func (f *Fetcher) fetch(ctx context.Context, taken []fetching) error {
	if err := f.claim(ctx, taken); err != nil {
		return err
	}
	s := f.s
	s.mu.Lock()
	for i := range taken { // claiming may have told that there is less to do, or nothing
		t := &taken[i]
		if t.waits || t.head <= t.done {
			t.n = 0
		} else {
			t.n = int(min(uint64(t.n), t.head-t.done))
		}
	}
	room := MaxInFlightBytes - s.inFlight.Bytes
	s.mu.Unlock()
	// A transactional handler's transaction checks the owner. Before a plain one
	// starts there is only this: who was paused for long, or cut off, may have lost
	// the partition since it claimed it.
	checks := f.c.Store.Info().Shared && !f.c.Transactional
	rows, version, err := f.read(ctx, f.keys(taken, checks), room)
	if err != nil {
		return fmt.Errorf("queue: fetching events: %w", err)
	}
	if rows == nil {
		return nil
	}
	if !f.c.Transactional {
		// What a plain handler does may not depend on a position, or an event, that
		// a crash can take back.
		if err := f.c.Store.WaitDurable(ctx, version); err != nil {
			return fmt.Errorf("queue: fetching events: %w", err)
		}
	}
	return f.distribute(taken, rows, checks)
}

// keys returns the keys of the events to read, in the order of taken. With checks
// each partition's checkpoint comes before its events.
func (f *Fetcher) keys(taken []fetching, checks bool) [][]byte {
	var keys [][]byte
	for i := range taken {
		t := &taken[i]
		if t.n == 0 {
			continue
		}
		if checks {
			keys = append(keys, f.rows.key(t.number))
		}
		for seq := t.done + 1; seq <= t.done+uint64(t.n); seq++ {
			keys = append(keys, eventlog.AppendPosition(f.events[:len(f.events):len(f.events)], t.number, seq))
		}
	}
	return keys
}

// read returns the rows of keys, in one snapshot, and its version. It stops when it
// has room bytes: the others' turn comes when these are done.
func (f *Fetcher) read(ctx context.Context, keys [][]byte, room int) (rows [][]byte, version kv.Version, err error) {
	if len(keys) == 0 {
		return nil, 0, nil
	}
	rows = make([][]byte, 0, len(keys))
	err = f.c.Store.View(ctx, func(tx *kv.Txn) error {
		version = tx.ReadVersion()
		for piece := range slices.Chunk(keys, FetchPiece) {
			got, err := tx.BatchGet(ctx, piece)
			if err != nil {
				return err
			}
			rows = append(rows, got...)
			for _, row := range got {
				room -= len(row)
			}
			if room <= 0 {
				break
			}
		}
		return nil
	})
	return rows, version, err
}

// distribute gives the partitions the events that were read.
func (f *Fetcher) distribute(taken []fetching, rows [][]byte, checks bool) error {
	s := f.s
	for i := range taken {
		t := &taken[i]
		if t.n == 0 {
			continue
		}
		if len(rows) == 0 { // reading has stopped
			break
		}
		if checks {
			cp, err := f.rows.parse(t.number, rows[0])
			if err != nil {
				return err
			}
			rows = rows[1:]
			if cp.Owner != t.token {
				rows = rows[min(t.n, len(rows)):]
				s.mu.Lock()
				t.Lose()
				s.mu.Unlock()
				continue
			}
		}
		events := make([]eventlog.Event, min(t.n, len(rows)))
		size := 0
		for j := range events {
			seq := t.done + 1 + uint64(j)
			if rows[j] == nil {
				return fmt.Errorf("%w: the log has no event %d in partition %d of topic %q", access.ErrCorrupt, seq, t.number, f.c.Topic)
			}
			var err error
			if events[j], err = eventlog.ParseEvent(f.c.Topic, t.number, seq, rows[j]); err != nil {
				return err
			}
			size += events[j].Size()
		}
		rows = rows[len(events):]
		s.mu.Lock()
		t.Fetched(events)
		s.inFlight.Events += len(events)
		s.inFlight.Bytes += size
		s.mu.Unlock()
	}
	return nil
}
