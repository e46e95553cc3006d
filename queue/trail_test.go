//go:build unix

package queue_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// A trail is a workload that is made to be interrupted: what it leaves tells
// whether the queue has kept its word.
//
// Each publisher of a process has a key of its own and counts its events, in the
// transaction that publishes them. Transactional groups count each event, and
// note the newest of each key, which has to be the one after the last; others
// write it to a file, which they sync. What is published is acknowledged to the
// parent.
const (
	trailPartitions = 32
	trailPublishers = 4
)

// trailGroups are the groups of the trail's topics, by kind of handler.
var trailGroups = map[string][]kind{"a": {plain, tx}, "b": {batch, txBatch}}

// beTrail publishes and works until it is stopped.
func (s *spec) beTrail() error {
	store, err := s.open()
	if err != nil {
		return err
	}
	ctx, cancel := untilStopped()
	defer cancel()
	err = s.trail(ctx, store, func(line string) error {
		_, err := fmt.Println(line) // one write
		return err
	})
	return errors.Join(err, store.Close())
}

// trail publishes, and works, until ctx ends or something fails.
func (s *spec) trail(ctx context.Context, store *kv.Store, report func(line string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q, err := s.queue(store)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	run := func(fn func() error) {
		wg.Go(func() {
			if err := fn(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
				cancel()
			}
		})
	}
	for topic, kinds := range trailGroups {
		for _, kind := range kinds {
			sub, err := s.subscription(topic, kind)
			if err != nil {
				return err
			}
			w, err := q.Subscribe(sub)
			if err != nil {
				return err
			}
			run(func() error { return w.Run(ctx) })
		}
	}
	for n := range cmp.Or(s.Publishers, trailPublishers) {
		run(func() error {
			key := fmt.Sprint(s.Keys, n)
			for ctx.Err() == nil {
				n, err := publishNext(ctx, store, q, key, key)
				switch {
				case ctx.Err() != nil:
					return nil
				case passes(err): // it counts, or not
				case err != nil:
					return fmt.Errorf("publish: %w", err)
				default:
					if err := report(fmt.Sprint("published ", key, " ", n)); err != nil {
						return err
					}
				}
				if s.Pace > 0 {
					select {
					case <-time.After(s.Pace):
					case <-ctx.Done():
					}
				}
			}
			return nil
		})
	}
	wg.Wait()
	return failed
}

// passes tells whether an error says nothing of the next try.
func passes(err error) bool {
	return errors.Is(err, kv.ErrCommitUnknown) || errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrTxnTooOld) || errors.Is(err, kv.ErrConflict)
}

// publishNext publishes a publisher's next event, to both topics, with a key
// that nobody else has.
func publishNext(ctx context.Context, store *kv.Store, q *queue.Queue, publisher, key string) (n int, err error) {
	err = store.Update(ctx, func(tx *kv.Txn) error {
		var err error
		if n, err = readNumber(ctx, tx, "published/"+publisher); err != nil {
			return err
		}
		n++
		payload := fmt.Appendf(nil, "%s/%d", publisher, n)
		return errors.Join(
			setNumber(tx, "published/"+publisher, n),
			q.Publish(ctx, tx, queue.Message{Topic: "a", Key: key, Payload: payload}, queue.Message{Topic: "b", Key: key, Payload: payload}))
	})
	return n, err
}

func readNumber(ctx context.Context, tx *kv.Txn, key string) (n int, err error) {
	v, err := tx.Get(ctx, []byte(key))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		_, err = fmt.Sscan(string(v), &n)
	}
	return n, err
}

func setNumber(tx *kv.Txn, key string, n int) error {
	return tx.Set([]byte(key), fmt.Append(nil, n))
}

func (s *spec) subscription(topic string, kind kind) (queue.Subscription, error) {
	sub := queue.Subscription{Topic: topic, Group: string(kind), BatchSize: 16}
	var file *os.File
	if kind == plain || kind == batch {
		var err error
		name := fmt.Sprint(topic, ".", kind, ".", s.Name, ".log")
		if file, err = os.OpenFile(filepath.Join(s.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return sub, err
		}
	}
	note := func(evs ...*queue.Event) error {
		var lines []byte
		for _, ev := range evs {
			lines = fmt.Appendf(lines, "%d %d %s\n", ev.Partition, ev.Seq, ev.Payload)
		}
		if _, err := file.Write(lines); err != nil {
			return err
		}
		return file.Sync()
	}
	count := func(ctx context.Context, tx *kv.Txn, evs ...*queue.Event) error {
		for _, ev := range evs {
			if err := countInOrder(ctx, tx, string(kind), ev); err != nil {
				return err
			}
		}
		return nil
	}
	switch kind {
	case plain:
		sub.Handler = func(_ context.Context, ev *queue.Event) error { return note(ev) }
	case batch:
		sub.BatchHandler = func(_ context.Context, evs []*queue.Event) error { return note(evs...) }
	case tx:
		sub.TxHandler = func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error { return count(ctx, tx, ev) }
	case txBatch:
		sub.TxBatchHandler = func(ctx context.Context, tx *kv.Txn, evs []*queue.Event) error { return count(ctx, tx, evs...) }
	}
	return sub, nil
}

// countInOrder counts an event, and how many came at the wrong time.
func countInOrder(ctx context.Context, tx *kv.Txn, group string, ev *queue.Event) error {
	key, text, _ := strings.Cut(string(ev.Payload), "/")
	n := 0
	if _, err := fmt.Sscan(text, &n); err != nil {
		return err
	}
	last, err := readNumber(ctx, tx, "newest/"+group+"/"+key)
	if err != nil {
		return err
	}
	if n != last+1 {
		wrong, err := readNumber(ctx, tx, "wrong/"+group)
		if err := errors.Join(err, setNumber(tx, "wrong/"+group, wrong+1)); err != nil {
			return err
		}
	}
	return errors.Join(setNumber(tx, "newest/"+group+"/"+key, n), countEffects(ctx, tx, group, []*queue.Event{ev}))
}

// trail is what the parent knows.
type trail struct {
	*testing.T
	mu     sync.Mutex // of acked
	dir    string
	alone  string              // the process that has worked since the last check, if it was just one
	acked  map[string]int      // newest acknowledged event, by key
	floors map[string][]uint64 // of each group, when it was looked at last
}

func newTrail(t *testing.T) *trail {
	return &trail{T: t, dir: t.TempDir(), acked: map[string]int{}, floors: map[string][]uint64{}}
}

// heard notes a line of a process.
func (t *trail) heard(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range lines {
		var key string
		var n int
		_, err := fmt.Sscanf(line, "published %s %d", &key, &n)
		require.NoError(t, err, "a process says: %s", line)
		t.acked[key] = max(t.acked[key], n)
	}
}

// check compares what there is with what was acknowledged, and what groups have
// done with their progress. Nobody works on the store meanwhile.
func (t *trail) check(store *kv.Store, q *queue.Queue) {
	t.Helper()
	published := 0
	require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) error {
		for key, acked := range t.acked {
			n, err := readNumber(t.Context(), tx, "published/"+key)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, acked, "published by %s", key)
			t.acked[key] = n
			published += n
		}
		return nil
	}))
	for topic, kinds := range trailGroups {
		require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) error {
			log, err := q.ReadLog(t.Context(), tx, topic, trailPartitions)
			require.NoError(t, err)
			t.checkLog(log, published)
			for _, kind := range kinds {
				t.checkGroup(tx, q, topic, kind, log)
			}
			return nil
		}))
	}
}

// checkLog: each event that was published is there once, positions are dense,
// and the events of a key are in order (invariants 1 to 3).
func (t *trail) checkLog(log queue.Log, published int) {
	t.Helper()
	seen := map[string]bool{}
	newest := map[string]int{}
	see := func(payload string) {
		require.False(t, seen[payload], "%s is there twice", payload)
		seen[payload] = true
	}
	for p, events := range log.Events {
		require.Len(t, events, int(log.Heads[p]), "partition %d", p)
		for i, ev := range events {
			require.Equal(t, uint64(i+1), ev.Seq)
			see(string(ev.Payload))
			key, text, _ := strings.Cut(string(ev.Payload), "/")
			newest[key]++
			require.Equal(t, fmt.Sprint(newest[key]), text, "of %s", key)
		}
	}
	for _, payload := range log.Inbox {
		see(payload)
	}
	require.Len(t, seen, published)
}

// checkGroup: what is below the floor was done, exactly once by transactional
// handlers, and the floor does not go back (invariants 4 to 6).
func (t *trail) checkGroup(tx *kv.Txn, q *queue.Queue, topic string, kind kind, log queue.Log) {
	t.Helper()
	group := string(kind)
	terms, err := q.Terms(t.Context(), tx, topic, group, trailPartitions)
	require.NoError(t, err)
	transactional := kind == "tx" || kind == txBatch
	done := map[string]bool{} // partition, position and payload
	for _, line := range t.lines(topic, kind) {
		done[line] = true
	}
	floors := make([]uint64, trailPartitions)
	if !transactional && t.alone != "" {
		t.checkLife(topic, kind)
	}
	for p, events := range log.Events {
		floors[p] = terms[p].Floor
		if t.alone != "" { // else one may have been slow, or paused
			require.Zero(t, terms[p].Attempts, "no handler has failed")
		}
		require.LessOrEqual(t, floors[p], log.Heads[p])
		if before := t.floors[topic+group]; before != nil {
			require.GreaterOrEqual(t, floors[p], before[p], "progress in partition %d", p)
		}
		for _, ev := range events {
			line := fmt.Sprintf("%d %d %s", p, ev.Seq, ev.Payload)
			if !transactional {
				require.True(t, done[line] || ev.Seq > floors[p], "%s %s: %s was not done", topic, group, line)
				delete(done, line)
				continue
			}
			v, err := tx.Get(t.Context(), effectKey(group, ev))
			if ev.Seq > floors[p] {
				require.ErrorIs(t, err, kv.ErrNotFound, "%s %s: %s was done too soon", topic, group, line)
				continue
			}
			require.NoError(t, err, "%s %s: %s was not done", topic, group, line)
			require.Equal(t, []byte{1}, v)
		}
	}
	require.Empty(t, done, "handled, and not in the log")
	t.floors[topic+group] = floors
	wrong, err := readNumber(t.Context(), tx, "wrong/"+group)
	require.NoError(t, err)
	require.Zero(t, wrong, "events out of order")
}

// checkLife: a process that had the store for itself began where the floor was,
// and handled one event after the other.
func (t *trail) checkLife(topic string, kind kind) {
	t.Helper()
	newest := map[int]uint64{}
	for p, floor := range t.floors[topic+string(kind)] {
		newest[p] = floor
	}
	for _, line := range t.linesOf(topic, kind, t.alone) {
		var p int
		var seq uint64
		_, err := fmt.Sscan(line, &p, &seq)
		require.NoError(t, err)
		require.Equal(t, newest[p]+1, seq, "partition %d", p)
		newest[p] = seq
	}
}

// lines returns what a plain group has written. A process that was killed may
// leave a part of a line at the end.
func (t *trail) lines(topic string, kind kind) []string { return t.linesOf(topic, kind, "*") }

func (t *trail) linesOf(topic string, kind kind, process string) (lines []string) {
	names, err := filepath.Glob(filepath.Join(t.dir, fmt.Sprint(topic, ".", kind, ".", process, ".log")))
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		whole := strings.Split(string(text), "\n")
		lines = append(lines, whole[:len(whole)-1]...)
	}
	return lines
}

// drain lets workers do all that is left.
func (t *trail) drain(store *kv.Store, q *queue.Queue, s spec) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for topic, kinds := range trailGroups {
		for _, kind := range kinds {
			sub, err := s.subscription(topic, kind)
			require.NoError(t, err)
			w, err := q.Subscribe(sub)
			require.NoError(t, err)
			wg.Go(func() {
				if err := w.Run(running); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for topic, kinds := range trailGroups {
		for _, kind := range kinds {
			require.NoError(t, awaitIdle(ctx, store, q, topic, string(kind)))
		}
	}
	stop()
	wg.Wait()
}

// awaitIdle waits until a group has done all that there is.
func awaitIdle(ctx context.Context, store *kv.Store, q *queue.Queue, topic, group string) error {
	for {
		var s queue.Stats
		err := store.View(ctx, func(tx *kv.Txn) (err error) {
			s, err = q.Group(topic, group).Stats(ctx, tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("group %q of topic %q, %+v: %w", group, topic, s, err)
		}
		if s.Lag() == 0 {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
