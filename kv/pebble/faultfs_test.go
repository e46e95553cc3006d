package pebble_test

import (
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

// openOn opens a store on fs with tables and logs so small that a short test
// flushes, compacts and recycles.
func openOn(fs vfs.FS, o kv.Options) (*kv.Store, error) {
	return pebble.Open("db", pebble.Tune(pebble.Options{Options: o, CacheSize: 1 << 20, MemTableSize: pebble.MinMemTableSize},
		func(e *engine.Options) {
			e.FS = fs
			e.MaxManifestFileSize = 2 << 10
			e.Experimental.FileCacheShards = 1
		}))
}

// fault makes some operations fail as if the disk were full.
type fault struct {
	path string // part of the names of the files concerned
	ops  []errorfs.OpKind
	once bool

	skip  atomic.Int64 // how many of the operations still succeed
	armed atomic.Bool
	fired atomic.Bool
}

// arm makes the operation after the next skip ones fail, and all that follow
// unless the fault occurs once. Those that a store survives are not counted, and
// fail from the start.
func (f *fault) arm(skip int) {
	f.skip.Store(int64(skip))
	f.armed.Store(true)
}

func (f *fault) MaybeError(op errorfs.Op) error {
	if !f.armed.Load() || !f.matches(op) {
		return nil
	}
	survived := op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpFilePreallocate
	if !survived && (f.skip.Add(-1) >= 0 || f.fired.Swap(true) && f.once) {
		return nil
	}
	return &os.PathError{Op: "fault", Path: op.Path, Err: syscall.ENOSPC}
}

func (f *fault) String() string { return f.path }

func (f *fault) matches(op errorfs.Op) bool {
	for _, kind := range f.ops {
		if op.Kind == kind && strings.Contains(op.Path, f.path) {
			return true
		}
	}
	return false
}

// faultFS passes what is done on fs by f. It mends errorfs, whose ReuseForWrite
// returns files without faults, so that recycled logs would escape.
func faultFS(fs vfs.FS, f *fault) vfs.FS { return reuseFS{errorfs.Wrap(fs, f), f} }

type reuseFS struct {
	vfs.FS
	fault *fault
}

func (f reuseFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fault.MaybeError(errorfs.Op{Kind: errorfs.OpReuseForWrite, Path: name}); err != nil {
		return nil, err
	}
	if err := f.Rename(old, name); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(name, c)
}
