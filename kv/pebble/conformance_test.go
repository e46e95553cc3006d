package pebble_test

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kvtest"
)

func openDir(dir string, o *kv.Options) (*kv.Store, error) {
	var opts pebble.Options
	if o != nil {
		opts.Options = *o
	}
	return pebble.Open(dir, &opts)
}

func TestConformance(t *testing.T) {
	h := kvtest.Files(openDir)
	h.Caps = kvtest.Caps{NoSync: true, PromptWatermark: true}
	kvtest.Run(t, h)
}

// TestConformanceInMemory has what real files have not: machines that crash,
// and a clock that a test can set.
func TestConformanceInMemory(t *testing.T) {
	var disks sync.Map // *kv.Store to its *vfs.MemFS
	open := func(disk *vfs.MemFS, o *kv.Options) (*kv.Store, error) {
		if o == nil {
			o = &kv.Options{}
		}
		s, err := openOn(disk, *o)
		if err == nil {
			disks.Store(s, disk)
		}
		return s, err
	}
	disk := func(s *kv.Store) *vfs.MemFS {
		d, _ := disks.Load(s)
		return d.(*vfs.MemFS)
	}
	kvtest.Run(t, kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			s, err := open(vfs.NewCrashableMem(), o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Reopen: func(_ testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			_ = s.Close() // it may have been closed before
			return open(disk(s), o)
		},
		Crash: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			percent, seed := []int{0, 30, 50, 100}[rand.IntN(4)], rand.Uint64()
			t.Logf("%d percent of unsynced data reach the disk, seed %d", percent, seed)
			left := disk(s).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 0))})
			_ = s.Close() // does not reach what is left
			return open(left, o)
		},
		Caps: kvtest.Caps{NoSync: true, PromptWatermark: true, FakeTime: true},
	})
}

var kills = flag.Int("kills", kvtest.DefaultKills, "how many processes TestKill kills")

// TestKill has memtables so small that the processes flush and compact.
func TestKill(t *testing.T) {
	open := func(dir string, o *kv.Options) (*kv.Store, error) {
		opts := pebble.Options{MemTableSize: pebble.MinMemTableSize}
		if o != nil {
			opts.Options = *o
		}
		return pebble.Open(dir, &opts)
	}
	kvtest.Kill(t, open, &kvtest.KillOptions{Kills: *kills})
}
