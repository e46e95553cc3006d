//go:build unix

package queue_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

var rounds = flag.Int("rounds", 1, "how often TestProcesses kills, stops and pauses a process")

const (
	procTTL      = 3 * time.Second
	procLifetime = 4 * time.Second // of transactions
)

// participant is one of several processes that publish and work on one store.
type participant interface {
	kill()   // at once
	stop()   // well
	pause()  // for long
	resume() // as a zombie
}

// TestProcesses lets several processes publish and work on one store, some of
// which join, leave, are killed, or are paused for longer than their membership
// and their transactions live, and looks at the end that everything was done.
func TestProcesses(t *testing.T) {
	t.Run("memory", func(t *testing.T) { // with Queues for processes
		var driver kv.Driver
		store, err := memory.Open(&memory.Options{Options: kv.Options{TxnLifetime: procLifetime, Wrap: func(d kv.Driver) kv.Driver {
			driver = d
			return connection{d}
		}}})
		require.NoError(t, err)
		defer store.Close()
		f := newFleet(t, store, spec{Pace: 20 * time.Millisecond})
		f.start = func(s spec) participant {
			return inside(f.trail, s, func(wrap func(kv.Driver) kv.Driver) *kv.Store {
				store, err := kv.NewStore(connection{driver}, &kv.Options{Wrap: wrap})
				require.NoError(t, err)
				return store
			})
		}
		f.run()
	})
	t.Run("tikv", func(t *testing.T) {
		cluster := queue.Servers.Cluster(t)
		prefix := cluster.Prefix(t)
		o := tikv.Options{Options: kv.Options{TxnLifetime: procLifetime}}
		store, err := cluster.OpenAt(t.Context(), prefix, &o)
		require.NoError(t, err)
		defer store.Close()
		f := newFleet(t, store, spec{Driver: "tikv", Path: prefix, PD: cluster.PD(), Pace: 50 * time.Millisecond, Lifetime: procLifetime})
		if cluster.Kind() == tikvtest.Model {
			t.Log("the client library's model has one process, and slow locks: Queues join and leave, and none dies or is paused")
			f.gentle, f.spec.Pace = true, 200*time.Millisecond
		}
		f.start = func(s spec) participant {
			if !f.gentle {
				return outside(f.trail, s)
			}
			return inside(f.trail, s, func(wrap func(kv.Driver) kv.Driver) *kv.Store {
				o := o
				o.Wrap = wrap
				store, err := cluster.OpenAt(t.Context(), prefix, &o)
				require.NoError(t, err)
				return store
			})
		}
		f.run()
	})
}

// fleet is the processes on one store.
type fleet struct {
	*trail
	store  *kv.Store // the test's own
	q      *queue.Queue
	spec   spec
	start  func(s spec) participant
	procs  []participant
	gentle bool // they only join and leave
	names  int
}

func newFleet(t *testing.T, store *kv.Store, s spec) *fleet {
	f := &fleet{trail: newTrail(t), store: store, spec: s}
	f.spec.Does, f.spec.Dir, f.spec.TTL, f.spec.Publishers = "trail", f.dir, procTTL, 1
	var err error
	f.q, err = f.spec.queue(store)
	require.NoError(t, err)
	return f
}

func (f *fleet) join() participant {
	s := f.spec
	s.Name = fmt.Sprint(f.names)
	s.Keys = fmt.Sprint("p", f.names, ".")
	f.names++
	p := f.start(s)
	f.procs = append(f.procs, p)
	return p
}

func (f *fleet) run() {
	rng := seeded(f.T)
	for range 3 {
		f.join()
	}
	f.probe()
	for range *rounds {
		for _, i := range rng.Perm(3) { // what happens, to another one each
			if f.gentle {
				i = 1
			}
			p := f.procs[0]
			f.procs = f.procs[1:]
			switch i {
			case 0:
				p.kill()
				f.probe() // the others take over
				f.join()
			case 1:
				f.join()
				p.stop()
			case 2:
				p.pause()
				f.probe()
				<-time.After(procLifetime) // what it has begun is too old now
				p.resume()
				f.procs = append(f.procs, p)
			}
			f.probe()
		}
	}
	for _, p := range f.procs {
		p.stop()
	}
	s := f.spec
	s.Name = "last"
	f.drain(f.store, f.q, s)
	f.check(f.store, f.q)
	f.Logf("%d events in each topic, %d processes", f.published(), f.names)
}

// probe publishes an event to each partition and waits until the transactional
// groups have handled all: so each partition is worked on.
func (f *fleet) probe() {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	want := map[string]int{}
	for p, key := range queue.KeyIn(trailPartitions) {
		publisher := fmt.Sprint("probe", p)
		n, err := publishNext(ctx, f.store, f.q, publisher, key)
		for passes(err) {
			n, err = publishNext(ctx, f.store, f.q, publisher, key)
		}
		require.NoError(f, err)
		f.heard(fmt.Sprint("published ", publisher, " ", n))
		want[publisher] = n
	}
	for _, group := range []string{string(tx), string(txBatch)} {
		for publisher, n := range want {
			for {
				got := 0
				err := f.store.View(ctx, func(tx *kv.Txn) (err error) {
					got, err = readNumber(ctx, tx, "newest/"+group+"/"+publisher)
					return err
				})
				if !passes(err) {
					require.NoError(f, err, "group %s has handled %d of %s", group, got, publisher)
				}
				if got >= n {
					break
				}
				<-time.After(20 * time.Millisecond)
			}
		}
	}
}

// outside is a process of the operating system.
func outside(t *trail, s spec) participant {
	p := &osProcess{child: s.start(t.T), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		for line, ok := p.line(); ok; line, ok = p.line() {
			t.heard(line)
		}
	}()
	return p
}

type osProcess struct {
	*child
	ended chan struct{} // it prints no more
}

func (p *osProcess) kill() {
	require.NoError(p.t, p.Process.Kill())
	<-p.ended
	_ = p.Wait() // it was killed
}

func (p *osProcess) stop() {
	require.NoError(p.t, p.in.Close())
	<-p.ended
	require.NoError(p.t, p.Wait())
}

func (p *osProcess) pause()  { require.NoError(p.t, p.Process.Signal(syscall.SIGSTOP)) }
func (p *osProcess) resume() { require.NoError(p.t, p.Process.Signal(syscall.SIGCONT)) }

// inside is a Queue of this process, whose calls of the store can be held, or
// made to fail.
func inside(t *trail, s spec, open func(wrap func(kv.Driver) kv.Driver) *kv.Store) participant {
	p := &inProcess{t: t.T}
	store := open(p.faulty.Wrap)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() {
		err := s.trail(ctx, store, func(line string) error { t.heard(line); return nil })
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil && !p.dead {
			t.Error(err)
		}
		if err := store.Close(); err != nil && !p.dead {
			t.Error(err)
		}
	})
	t.Cleanup(func() { // the end of what was killed, too
		if p.fault != nil {
			p.fault.Lift()
		}
		p.stop()
	})
	return p
}

type inProcess struct {
	t      *testing.T
	faulty kvfault.Faulty
	fault  *kvfault.Fault // in force
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	dead bool
}

// kill leaves the process as one that reaches nothing any more.
func (p *inProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	p.fault = p.faulty.Inject(kvfault.Rule{Every: true, Err: errDead})
}

func (p *inProcess) stop() {
	p.cancel()
	p.wg.Wait()
}

func (p *inProcess) pause() {
	p.fault = p.faulty.Inject(kvfault.Rule{Every: true, Hold: true, Deaf: true})
}
func (p *inProcess) resume() { p.fault.Lift() }

func (t *trail) published() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, acked := range t.acked {
		n += acked
	}
	return n
}
