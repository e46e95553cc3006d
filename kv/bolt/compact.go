package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
)

// Compact writes what the store in file src holds to a new file dst, without
// the free pages that src has gathered. No Store may have src open
// (kv.ErrLocked), and dst must not exist (kv.ErrOptions and fs.ErrExist). It
// appears complete or not at all. Other errors are those of Open.
func Compact(dst, src string) error {
	if err := compact(dst, src); err != nil {
		return fmt.Errorf("kv: compact bbolt store: %w", classify(err))
	}
	return nil
}

func compact(dst, src string) (err error) {
	defer shield(debug.SetPanicOnFault(true), &err)
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: the file is empty", kv.ErrCorrupt)
	}
	if _, err := os.Lstat(dst); err == nil {
		return fmt.Errorf("%w: %w", kv.ErrOptions, fs.ErrExist)
	}
	o, err := (&Options{Verify: true}).withDefaults()
	if err != nil {
		return err
	}
	// The copy of full pages can be larger than they are, and the file than DefaultMaxSize.
	o.MaxSize = max(o.MaxSize, int(min(2*info.Size(), math.MaxInt/2)))
	from, _, err := openDB(src, &o)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	if s, err := loadState(from, 0); err != nil || s == (state{}) {
		return cmp.Or(err, fmt.Errorf("%w: it holds no store", kv.ErrCorrupt))
	}
	unfinished := dst + ".compacting"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := copyTo(unfinished, from, &o); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, dst); err != nil {
		return err
	}
	return syncFolder(dst)
}

// copyTo copies a database to a new file, in pieces that fit into memory.
func copyTo(file string, from *bbolt.DB, o *Options) error {
	to, _, err := openDB(file, o)
	if err != nil {
		return err
	}
	const piece = 16 << 20
	to.NoSync, to.NoFreelistSync = true, false // the file counts once it is complete
	return errors.Join(bbolt.Compact(to, from, piece), to.Sync(), to.Close())
}
