//go:build unix

package queue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

var kills = flag.Int("kills", 5, "how many processes TestKill kills on each store")

// fileDrivers are those whose stores one process has for itself.
var fileDrivers = []string{"pebble", "bolt"}

// seeded draws a seed, or takes the one that was given, and logs it.
func seeded(t *testing.T) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// TestKill kills processes that publish and work, at random moments, one after
// the other on one store, and looks each time what is left.
func TestKill(t *testing.T) {
	for _, driver := range fileDrivers {
		t.Run(driver, func(t *testing.T) {
			rng := seeded(t)
			tr := newTrail(t)
			s := spec{Does: "trail", Driver: driver, Path: t.TempDir(), Dir: tr.dir, Keys: "k"}
			for n := range *kills {
				s.Name = fmt.Sprint(n)
				c := s.start(t)
				left := rng.IntN(400)
				if rng.IntN(8) == 0 {
					left = 0 // while it opens, or begins
				}
				for ; left > 0; left-- {
					line, ok := c.line()
					require.True(t, ok, "the process ended by itself")
					tr.heard(line)
				}
				late := rng.Int64N(int64(5 * time.Millisecond))
				<-time.After(time.Duration(late)) // another moment than just after a commit
				tr.heard(c.kill()...)
				tr.alone = s.Name
				tr.look(s)
			}
			store, q := tr.open(s)
			s.Name, tr.alone = "last", "last"
			tr.drain(store, q, s)
			tr.check(store, q)
			total := 0
			for _, n := range tr.acked {
				total += n
			}
			require.NoError(t, store.Close())
			t.Logf("%d kills, %d events in each topic", *kills, total)
		})
	}
}

func (t *trail) open(s spec) (*kv.Store, *queue.Queue) {
	store, err := s.open()
	require.NoError(t, err)
	q, err := s.queue(store)
	require.NoError(t, err)
	return store, q
}

// look opens the store and checks it.
func (t *trail) look(s spec) {
	store, q := t.open(s)
	t.check(store, q)
	require.NoError(t, store.Close())
}

// TestPoison: an event that kills its process ends as a dead letter; those that
// were with handlers at the same time, each time, do not.
func TestPoison(t *testing.T) {
	for _, driver := range fileDrivers {
		for _, kind := range kinds {
			t.Run(fmt.Sprint(driver, " ", kind), func(t *testing.T) {
				dir := t.TempDir()
				s := spec{Does: "poison", Driver: driver, Path: dir, Name: string(kind), Dir: dir}
				store, err := s.open()
				require.NoError(t, err)
				q, err := s.queue(store)
				require.NoError(t, err)
				for p, key := range queue.KeyIn(trailPartitions) {
					payload := "innocent"
					if p == 13 {
						payload = "poison"
					}
					publish(t, store, q, queue.Message{Topic: "a", Key: key, Payload: []byte(payload)},
						queue.Message{Topic: "a", Key: key, Payload: []byte("innocent")})
				}
				require.NoError(t, store.Close())
				deaths := 0
				for ended := false; !ended; deaths++ {
					require.Less(t, deaths, 12)
					c := s.start(t)
					for line, ok := c.line(); ok; line, ok = c.line() {
						ended = ended || line == "done"
					}
					_ = c.Wait() // or it was killed
				}
				t.Logf("%d deaths", deaths-1)

				store, err = s.open()
				require.NoError(t, err)
				defer store.Close()
				q, err = s.queue(store)
				require.NoError(t, err)
				require.NoError(t, store.View(t.Context(), func(tx *kv.Txn) error {
					n := 0
					for letter, err := range q.Group("a", "g").DeadLetters(t.Context(), tx) {
						require.NoError(t, err)
						require.Equal(t, "poison", string(letter.Event.Payload))
						require.Equal(t, queue.ErrDied.Error(), letter.Reason)
						require.Equal(t, 3, letter.Event.Attempt)
						n++
					}
					require.Equal(t, 1, n)
					return nil
				}))
			})
		}
	}
}

// bePoisoned works until all is done, or the poison kills it: while as many
// others as possible are with handlers, which takes each of them longer.
func (s *spec) bePoisoned() error {
	store, err := s.open()
	if err != nil {
		return err
	}
	q, err := s.queue(store)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var busy atomic.Int32
	do := func(evs ...*queue.Event) error {
		busy.Add(1)
		defer busy.Add(-1)
		for _, ev := range evs {
			if string(ev.Payload) != "poison" {
				<-time.After(20 * time.Millisecond)
				continue
			}
			for n := 0; n < 10 && busy.Load() < 4; n++ { // in vain if it is tried alone
				<-time.After(time.Millisecond)
			}
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	sub := queue.Subscription{Topic: "a", Group: "g", Concurrency: 4, BatchSize: 4, MaxAttempts: 3}
	switch kind(s.Name) {
	case plain:
		sub.Handler = func(_ context.Context, ev *queue.Event) error { return do(ev) }
	case tx:
		sub.TxHandler = func(_ context.Context, _ *kv.Txn, ev *queue.Event) error { return do(ev) }
	case batch:
		sub.BatchHandler = func(_ context.Context, evs []*queue.Event) error { return do(evs...) }
	case txBatch:
		sub.TxBatchHandler = func(_ context.Context, _ *kv.Txn, evs []*queue.Event) error { return do(evs...) }
	}
	w, err := q.Subscribe(sub)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	err = awaitIdle(ctx, store, q, "a", "g")
	stop()
	if err = errors.Join(err, <-ended, store.Close()); err == nil {
		fmt.Println("done")
	}
	return err
}
