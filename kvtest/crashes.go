package kvtest

import (
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/stretchr/testify/require"
)

// Cases of this group end the lives of a store, and compare what the store holds in
// its next life with what it had acknowledged. Kill does so with processes.

func crashCases() []testCase {
	return []testCase{
		{name: "many lives", run: func(f *fixture) { f.lives(1, false, f.endWell) }, needs: needReopen},
		{name: "closed under load", run: func(f *fixture) { f.lives(trailWorkers, true, f.endWell) }, needs: needReopen},
		{name: "crashes", run: func(f *fixture) { f.lives(1, false, f.endBadly) }, needs: needCrash},
		{name: "crashes under load", run: func(f *fixture) { f.lives(trailWorkers, true, f.endBadly) }, needs: needCrash},
		{name: "crashes after Close", run: func(f *fixture) { f.lives(1, false, f.endTwice) }, needs: needCrash},
		{name: "crashes during Close", run: func(f *fixture) { f.lives(2, false, f.endAtOnce) }, needs: needCrash},
	}
}

const trailWorkers = 6

// ending is how a life ends: with all that was acknowledged durable, or not.
type ending bool

const (
	well  ending = true
	badly ending = false
)

func (f *fixture) endWell() ending {
	f.ok(f.reopen(nil))
	return well
}

func (f *fixture) endBadly() ending {
	f.crash(nil)
	return badly
}

func (f *fixture) endTwice() ending {
	f.ok(f.store.Close())
	f.crash(nil)
	return well
}

// endAtOnce crashes a store that is being closed: nobody knows whether Close has
// made all commits durable.
func (f *fixture) endAtOnce() ending {
	var closing sync.WaitGroup
	dying := f.store
	closing.Go(func() { _ = dying.Close() }) // whatever it says: the machine it is on is gone
	f.crash(nil)
	closing.Wait()
	return badly
}

// lives lets a store live several times. Workers walk, and end ends each life:
// when they have stopped or, underLoad, while they go on.
func (f *fixture) lives(workers int, underLoad bool, end func() ending) {
	seed := f.seed()
	rng := rand.New(rand.NewPCG(seed, 0))
	t := newTrail(workers)
	for n := range f.scaled(10) {
		l := &life{told: make(chan struct{}), until: rng.IntN(60), underLoad: underLoad}
		l.start(f, workers, seed+uint64(n)+1)
		open := f.begin() // is lost
		f.ok(open.Set(entryKey(0, 1<<20), val("lost")))
		binding := l.acknowledged()
		how := end()
		f.ok(l.wait())
		for _, a := range l.all {
			t.add(a)
		}
		acked := t.acknowledged()
		if how == well {
			t.allDurable()
			binding = len(t.acks)
		}
		if err := t.check(f.ctx, f.store, binding); err != nil {
			f.Fatalf("Harness.Seed %d, life %d: %v", seed, n, err)
		}
		if how == well {
			require.Equal(f, acked, t.reached, "a commit that was refused is there")
		}
	}
	f.Logf("%d acknowledgements, %d unsynced commits lost", t.total, t.lost)
}

// life is a store's while workers walk on it.
type life struct {
	until     int  // acknowledgements before the end begins
	underLoad bool // workers go on until the store refuses

	mu     sync.Mutex
	all    []ack
	ending bool

	told chan struct{} // closed when there are until acknowledgements
	wg   sync.WaitGroup
	errs []error
}

func (l *life) start(f *fixture, workers int, seed uint64) {
	l.errs = make([]error, workers)
	store := f.store
	for w := range workers {
		l.wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			err := walk(f.ctx, store, w, rng, l.report)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil && !l.ending {
				l.errs[w] = err
				l.enough()
			}
		})
	}
}

func (l *life) report(a ack) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, a)
	if len(l.all) < l.until {
		return true
	}
	l.enough()
	return l.underLoad
}

// enough lets the end begin. l.mu is held.
func (l *life) enough() {
	select {
	case <-l.told:
	default:
		close(l.told)
	}
}

// acknowledged returns when the end may begin, and how many commits were
// acknowledged by then. From now on workers may fail.
func (l *life) acknowledged() int {
	<-l.told
	if !l.underLoad {
		l.wg.Wait()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	return len(l.all)
}

// wait returns when the workers have ended, with the error of one that failed
// before the end began.
func (l *life) wait() error {
	l.wg.Wait()
	return errors.Join(l.errs...)
}
