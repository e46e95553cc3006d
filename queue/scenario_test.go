package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// handlerKinds are the four kinds of handlers.
var handlerKinds = []string{"plain", "tx", "batch", "txbatch"}

// scenario is a small life of a topic with one group, whose end can be checked
// whatever went wrong meanwhile. Each publishing transaction raises a counter
// for each key that it publishes to, and the event says what it raised it to:
// so any two transactions on a key conflict, and a key's events in the log have
// to be 1, 2, 3 ... up to its counter.
//
// An event fails as its number says: see fate.
type scenario struct {
	testing.TB
	e      *engine
	kind   string // of the handler
	prefix string // of everything in the store

	mu      sync.Mutex
	handled map[string][]uint64 // key: events whose plain handler has succeeded
	tried   map[string]int      // event: how often it was handed to a handler alone
	current map[string]bool     // keys of which an event is being handled
	broken  []string            // what handlers saw that may not be
	// survives: a worker that has begun goes on, whatever happens to the store.
	survives bool

	restart int // workers that were replaced
}

func newScenario(t testing.TB, e *engine, kind, prefix string) *scenario {
	return &scenario{TB: t, e: e, kind: kind, prefix: prefix,
		handled: map[string][]uint64{}, tried: map[string]int{}, current: map[string]bool{}}
}

// scenarioRounds are the keys that the scenario's transactions publish to. The
// first three fates are those of keys a, b and c.
var scenarioRounds = [][]string{{"a", "b"}, {"c"}, {"b"}, {"a", "c", "a"}, {"b", "a"}, {"c", "b"}}

const scenarioAttempts = 3 // Subscription.MaxAttempts

var errHandler = errors.New("handler failed")

// poison events fail always.
func poison(key string, n uint64) bool { return key == "b" && n == 2 }

// fate is how an event is handled the n-th time that it comes alone.
func fate(key string, n uint64, try int) error {
	switch {
	case poison(key, n):
		return errHandler
	case key == "a" && n == 2 && try == 1:
		return errHandler
	case key == "c" && n == 1 && try == 1:
		return queue.Snooze(time.Millisecond)
	case key == "a" && n == 3 && try == 1:
		panic("handler panics")
	}
	return nil
}

func (s *scenario) row(kind, key string) []byte { return []byte(s.prefix + "x/" + kind + "/" + key) }

func number(row []byte) uint64 {
	if row == nil {
		return 0
	}
	return binary.BigEndian.Uint64(row)
}

// add adds one to a row that holds a number, and returns it.
func add(ctx context.Context, tx *kv.Txn, key []byte) (uint64, error) {
	row, err := tx.Get(ctx, key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	n := number(row) + 1
	return n, tx.Set(key, binary.BigEndian.AppendUint64(nil, n))
}

func (s *scenario) queue(store *kv.Store) *queue.Queue {
	q, err := queue.Open(store, &queue.Options{Prefix: []byte(s.prefix), Partitions: 16,
		MinPoll: time.Millisecond, MaxPoll: 4 * time.Millisecond, MemberTTL: 20 * time.Millisecond})
	require.NoError(s, err)
	return q
}

// publish runs one publishing transaction.
func (s *scenario) publish(store *kv.Store, q *queue.Queue, keys []string) error {
	ctx := s.Context()
	return store.Update(ctx, func(tx *kv.Txn) error {
		for _, key := range keys {
			n, err := add(ctx, tx, s.row("published", key))
			if err != nil {
				return err
			}
			m := queue.Message{Topic: "topic", Key: key, Payload: binary.BigEndian.AppendUint64(nil, n)}
			if err := q.Publish(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// start notes that an event's handler starts, and that it may.
func (s *scenario) start(ev *queue.Event, alone bool) (n uint64, try int) {
	n = binary.BigEndian.Uint64(ev.Payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current[ev.Key] {
		s.broken = append(s.broken, fmt.Sprintf("%s %d starts while another of the key is handled", ev.Key, n))
	}
	s.current[ev.Key] = true
	if alone {
		s.tried[fmt.Sprint(ev.Key, n)]++
	}
	return n, s.tried[fmt.Sprint(ev.Key, n)]
}

// plain handles an event outside of the store.
func (s *scenario) plain(evs ...*queue.Event) (err error) {
	for _, ev := range evs {
		n, try := s.start(ev, len(evs) == 1)
		err := func() error {
			defer s.finish(ev.Key)
			return fate(ev.Key, n, try)
		}()
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range evs {
		n := binary.BigEndian.Uint64(ev.Payload)
		done := s.handled[ev.Key]
		if n > 1 && !slices.Contains(done, n-1) && !poison(ev.Key, n-1) {
			s.broken = append(s.broken, fmt.Sprintf("%s %d is handled before the one that it follows", ev.Key, n))
		}
		s.handled[ev.Key] = append(done, n)
	}
	return nil
}

func (s *scenario) finish(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current[key] = false
}

// tx handles events in a transaction: for each it raises a row, which shows how
// often it was done, and checks that the one that it follows was done.
func (s *scenario) tx(ctx context.Context, tx *kv.Txn, evs ...*queue.Event) error {
	for _, ev := range evs {
		if err := s.txOne(ctx, tx, ev, len(evs) == 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) txOne(ctx context.Context, tx *kv.Txn, ev *queue.Event, alone bool) error {
	n, try := s.start(ev, alone)
	defer s.finish(ev.Key)
	if _, err := add(ctx, tx, s.row("effect", fmt.Sprint(ev.Key, n))); err != nil {
		return err
	}
	last, err := add(ctx, tx, s.row("last", ev.Key))
	if err != nil {
		return err
	}
	if poison(ev.Key, n-1) { // it did not count
		if last, err = add(ctx, tx, s.row("last", ev.Key)); err != nil {
			return err
		}
	}
	if last != n {
		s.mu.Lock()
		s.broken = append(s.broken, fmt.Sprintf("%s %d is handled after %d", ev.Key, n, last-1))
		s.mu.Unlock()
	}
	return fate(ev.Key, n, try)
}

func (s *scenario) subscription() queue.Subscription {
	sub := queue.Subscription{Topic: "topic", Group: "group", Concurrency: 1, MaxAttempts: scenarioAttempts,
		MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}
	switch s.kind {
	case "plain":
		sub.Handler = func(_ context.Context, ev *queue.Event) error { return s.plain(ev) }
	case "tx":
		sub.TxHandler = func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error { return s.tx(ctx, tx, ev) }
	case "batch":
		sub.BatchHandler = func(_ context.Context, evs []*queue.Event) error { return s.plain(evs...) }
	case "txbatch":
		sub.TxBatchHandler = func(ctx context.Context, tx *kv.Txn, evs []*queue.Event) error { return s.tx(ctx, tx, evs...) }
	}
	return sub
}

// published returns the counters of the keys.
func (s *scenario) published() map[string]uint64 {
	all := map[string]uint64{}
	require.NoError(s, s.e.store.View(s.Context(), func(tx *kv.Txn) error {
		for _, key := range []string{"a", "b", "c"} {
			row, err := tx.Get(s.Context(), s.row("published", key))
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			all[key] = number(row)
		}
		return nil
	}))
	return all
}

// idle tells whether everything published is done.
func (s *scenario) idle() bool {
	var events uint64
	for _, n := range s.published() {
		events += n
	}
	q := s.queue(s.e.store)
	var stats queue.Stats
	require.NoError(s, s.e.store.View(s.Context(), func(tx *kv.Txn) (err error) {
		stats, err = q.Group("topic", "group").Stats(s.Context(), tx)
		return err
	}))
	return stats.Inbox == 0 && stats.Events == events && stats.Done == events
}

// life publishes rounds and runs workers of one process until everything is
// done, or until dead says that the process is. A worker that ends with an error
// is replaced by another of the same Queue.
func (s *scenario) life(p *process, rounds [][]string, dead func() bool) {
	q := s.queue(p.store)
	before := len(rounds) / 2
	for _, keys := range rounds[:before] {
		s.tolerate(s.publish(p.store, q, keys))
	}
	// What is published while a worker runs may fail as well.
	first := true
	for !dead() {
		ctx, cancel := context.WithCancel(s.Context())
		w, err := q.Subscribe(s.subscription())
		require.NoError(s, err)
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		if first {
			for _, keys := range rounds[before:] {
				s.tolerate(s.publish(p.store, q, keys))
			}
			first = false
		}
		ended := false
		for !ended && !s.idle() {
			select {
			case <-s.e.committed:
			case err = <-ran:
				ended = true
			}
		}
		cancel()
		if !ended {
			err = <-ran
		}
		if err == nil && !ended {
			return
		}
		require.Error(s, err, "a worker ended that was not told to")
		s.tolerate(err)
		if s.survives {
			require.Empty(s, s.current, "a worker has ended, which should have tried again: %v", err)
		}
		s.restart++
		require.Less(s, s.restart, 10, "workers end again and again: %v", err)
	}
}

// tolerate fails the test unless err is one that faults cause.
func (s *scenario) tolerate(err error) {
	for _, may := range []error{kv.ErrUnavailable, kv.ErrClosed, kv.ErrCommitUnknown, kv.ErrConflict, errFault} {
		if err == nil || errors.Is(err, may) {
			return
		}
	}
	require.NoError(s, err)
}

var errFault = errors.New("injected fault")

// verify checks the invariants 1 to 6 at the end of a scenario.
func (s *scenario) verify() {
	require.Empty(s, s.broken)
	ctx := s.Context()
	published := s.published()
	q := s.queue(s.e.store)
	partitions, inbox, err := q.Partitions(ctx, "topic", "group") // and that positions are dense
	require.NoError(s, err)
	require.Zero(s, inbox, "events left in the inbox")

	log := map[string][]uint64{}
	for i, p := range partitions {
		for _, ev := range p.Events {
			log[ev.Key] = append(log[ev.Key], binary.BigEndian.Uint64(ev.Payload))
		}
		require.Equal(s, p.Head, p.Floor, "floor of partition %d", i)
		require.False(s, p.Owned && s.restart == 0, "partition %d was not given back", i)
		require.Zero(s, p.Attempts)
	}
	var letters []string
	require.NoError(s, s.e.store.View(ctx, func(tx *kv.Txn) error {
		for letter, err := range q.Group("topic", "group").DeadLetters(ctx, tx) {
			require.NoError(s, err)
			letters = append(letters, fmt.Sprint(letter.Event.Key, binary.BigEndian.Uint64(letter.Event.Payload)))
			require.NotEmpty(s, letter.Reason) // a fault may have failed the last attempt
			require.Equal(s, scenarioAttempts, letter.Event.Attempt)
		}
		return nil
	}))
	var wantLetters []string
	for key, upTo := range published {
		var want []uint64
		for n := uint64(1); n <= upTo; n++ {
			want = append(want, n)
			if poison(key, n) {
				wantLetters = append(wantLetters, fmt.Sprint(key, n))
			}
			s.verifyEffect(key, n)
		}
		require.Equal(s, want, log[key], "events of key %s in the log, in order", key)
	}
	require.Equal(s, wantLetters, letters, "dead letters")
}

// verifyEffect checks that an event had the effects that it should.
func (s *scenario) verifyEffect(key string, n uint64) {
	want := uint64(1)
	if poison(key, n) {
		want = 0
	}
	if s.kind == "plain" || s.kind == "batch" {
		require.Equal(s, want == 1, slices.Contains(s.handled[key], n), "event %s %d was handled", key, n)
		return
	}
	require.NoError(s, s.e.store.View(s.Context(), func(tx *kv.Txn) error {
		row, err := tx.Get(s.Context(), s.row("effect", fmt.Sprint(key, n)))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		require.Equal(s, want, number(row), "effects of event %s %d", key, n)
		return nil
	}))
}
