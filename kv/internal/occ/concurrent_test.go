package occ_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// TestSnapshotMatchesItsVersion: while commits go on, a snapshot for which
// Snapshot says ok holds the state of exactly the version that it names.
func TestSnapshotMatchesItsVersion(t *testing.T) {
	ctl := occ.New(occ.Options{})
	var state atomic.Uint64 // the engine: each commit stores its version
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var torn, matched atomic.Int64
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var seen uint64
				v, ok := ctl.Snapshot(func() {
					runtime.Gosched() // whole commits happen here
					seen = state.Load()
				})
				switch {
				case ok && seen != uint64(v):
					torn.Add(1)
				case ok:
					matched.Add(1)
				case seen < uint64(v):
					torn.Add(1) // v is a lower bound even if not ok
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 300 {
		ticket := ctl.Begin()
		ticket.Pin(ctl.Published())
		_, err := ctl.Commit(ticket, &kv.Commit{Writes: []kv.Write{{Key: []byte{byte(i)}}}}, func(v kv.Version) error {
			runtime.Gosched()
			state.Store(uint64(v))
			runtime.Gosched()
			return nil
		})
		ticket.Release()
		require.NoError(t, err)
		for before := matched.Load(); matched.Load() == before; {
			runtime.Gosched() // a reader gets its turn between commits
		}
	}
	close(stop)
	readers.Wait()
	require.Zero(t, torn.Load())
}

// TestNoLostUpdate: goroutines that each read, add one and write lose none of
// their additions, watermarks ascend, and no version repeats.
func TestNoLostUpdate(t *testing.T) {
	type world struct {
		sum     int
		version kv.Version
	}
	ctl := occ.New(occ.Options{MaxMemory: 8})
	var state atomic.Pointer[world]
	state.Store(&world{})
	add := func() (kv.Version, error) {
		ticket := ctl.Begin()
		defer ticket.Release()
		snapshot := state.Load()
		ticket.Pin(snapshot.version)
		runtime.Gosched()
		return ctl.Commit(ticket, &kv.Commit{Writes: []kv.Write{{Key: []byte("sum")}}}, func(v kv.Version) error {
			state.Store(&world{snapshot.sum + 1, v})
			return nil
		})
	}
	const workers, each = 4, 50
	var wg sync.WaitGroup
	versions := make([][]kv.Version, workers)
	failures := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			mark := kv.Version(0)
			for len(versions[w]) < each {
				v, err := add()
				switch {
				case err == nil:
					versions[w] = append(versions[w], v)
				case !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrTxnTooOld):
					failures <- err
					return
				}
				m := ctl.Watermark()
				if m < mark {
					failures <- errors.New("the watermark went back")
					return
				}
				mark = m
			}
		})
	}
	wg.Wait()
	require.Empty(t, failures)
	require.Equal(t, workers*each, state.Load().sum)
	seen := map[kv.Version]bool{}
	for _, vs := range versions {
		for i, v := range vs {
			require.False(t, seen[v], "a version repeats")
			require.True(t, i == 0 || v > vs[i-1], "a version goes back")
			seen[v] = true
		}
	}
}

// TestReserve: no commit uses a version that has not been reserved, and while
// reserving fails none is handed out.
func TestReserve(t *testing.T) {
	var reserved kv.Version
	var failure error
	ctl := occ.New(occ.Options{Last: 7, Reserve: func(v kv.Version) error {
		if failure == nil {
			reserved = v
		}
		return failure
	}})
	require.Equal(t, kv.Version(7), ctl.Published())
	commit := func() (kv.Version, error) {
		ticket := ctl.Begin()
		defer ticket.Release()
		ticket.Pin(ctl.Published())
		return ctl.Commit(ticket, &kv.Commit{Locks: [][]byte{[]byte("a")}}, func(v kv.Version) error {
			require.LessOrEqual(t, v, reserved)
			return nil
		})
	}
	failure = errors.New("disk full")
	v, err := commit()
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.ErrorIs(t, err, failure)
	require.Zero(t, v)
	require.Equal(t, kv.Version(7), ctl.Published())

	failure = nil
	v, err = commit()
	require.NoError(t, err)
	require.Greater(t, v, kv.Version(7))
	require.Equal(t, v, ctl.Published())
}

// TestSnapshotNoticesCommits: one that begins or ends meanwhile, or is under
// way all the time, makes Snapshot say that it does not know.
func TestSnapshotNoticesCommits(t *testing.T) {
	ctl := occ.New(occ.Options{})
	commit := func(apply func()) {
		ticket := ctl.Begin()
		defer ticket.Release()
		ticket.Pin(ctl.Published())
		_, err := ctl.Commit(ticket, &kv.Commit{Writes: []kv.Write{{Key: []byte("a")}}}, func(kv.Version) error {
			apply()
			return nil
		})
		require.NoError(t, err)
	}
	v, ok := ctl.Snapshot(func() {})
	require.True(t, ok)
	require.Equal(t, ctl.Published(), v)

	_, ok = ctl.Snapshot(func() { commit(func() {}) })
	require.False(t, ok)
	commit(func() { _, ok = ctl.Snapshot(func() {}) })
	require.False(t, ok)

	applying, proceed, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	_, ok = ctl.Snapshot(func() { // begins
		go func() {
			defer close(done)
			commit(func() {
				close(applying)
				<-proceed
			})
		}()
		<-applying
	})
	require.False(t, ok)
	close(proceed)
	<-done
	_, ok = ctl.Snapshot(func() {})
	require.True(t, ok)
}
