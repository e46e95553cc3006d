package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/tito-db/tito-go/kv"
)

// growth is how far the file grows beyond what is needed. Growing takes an extra
// sync, and so it is made rare.
const growth = 1 << 20

// openDB locks, checks and opens a file. The second result is what holds the
// lock; bbolt closes it.
func openDB(file string, o *Options) (*bbolt.DB, *os.File, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, classify(err)
	}
	db, err := openLocked(f, o)
	if err != nil {
		_ = f.Close() // gives the lock back; bbolt may have done it
		return nil, nil, classify(err)
	}
	return db, f, nil
}

func openLocked(f *os.File, o *Options) (*bbolt.DB, error) {
	if err := lock(f, o.LockTimeout); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > 0 {
		// A process that was killed may have left a commit that can be seen and
		// is not durable; WaitDurable promises that what was read is.
		if err := f.Sync(); err != nil {
			return nil, err
		}
		if err := check(f, info.Size(), o.Verify); err != nil {
			return nil, err
		}
	}
	db, err := openEngine(f, o)
	if err != nil {
		return nil, err
	}
	db.AllocSize = growth
	if info.Size() == 0 {
		if err := syncFolder(f.Name()); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func openEngine(f *os.File, o *Options) (db *bbolt.DB, err error) {
	defer shield(debug.SetPanicOnFault(true), &err)
	return bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:  o.LockTimeout, // bbolt locks too; where lock has done so, bbolt finds its lock taken by us and passes
		MaxSize:  o.MaxSize,
		// Above MaxSize, so that bbolt never has to map the file anew: while it does
		// that, it waits for all snapshots and lets no transaction begin.
		InitialMmapSize: o.MaxSize + 1,
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true, // they take a lock in each Begin
	})
}

// shield makes a panic of bbolt, or a fault in reading its map, the error of
// the function that defers it.
func shield(before bool, err *error) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", kv.ErrCorrupt, p)
	}
}

// syncFolder makes a new file's name durable.
func syncFolder(file string) error {
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// classify makes an error of opening a file one of kv's.
func classify(err error) error {
	for _, known := range []error{kv.ErrCorrupt, kv.ErrNewerFormat, kv.ErrLocked, kv.ErrOptions, kv.ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %w", kv.ErrLocked, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
}
