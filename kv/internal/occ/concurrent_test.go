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
