package bolt

import (
	"cmp"
	"context"
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
	if err := absent(dst); err != nil {
		return err
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
	tx, err := from.Begin(false)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // of a read transaction; it cannot fail
	return copyTo(dst, tx, &o, func() error { return nil })
}

// copyTo makes the new file dst of the state that tx sees. It appears complete
// or not at all. It ends with the error of goOn, which is called now and then.
func copyTo(dst string, tx *bbolt.Tx, o *Options, goOn func() error) error {
	unfinished := dst + ".compacting"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := copyBuckets(unfinished, tx, o, goOn); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, dst); err != nil {
		return err
	}
	return syncFolder(dst)
}

// copyBuckets copies the store in pieces that fit into memory.
func copyBuckets(file string, tx *bbolt.Tx, o *Options, goOn func() error) error {
	to, _, err := openDB(file, o)
	if err != nil {
		return err
	}
	to.NoSync = true // the file counts once it is complete
	for _, bucket := range [][]byte{metaBucket, dataBucket} {
		pairs := tx.Bucket(bucket).Cursor()
		k, v := pairs.First()
		for more := true; more && err == nil; more = k != nil {
			err = to.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists(bucket)
				if err != nil {
					return err
				}
				b.FillPercent = 0.9 // keys ascend
				for size := 0; k != nil && size < maxGroup; k, v = pairs.Next() {
					if err := b.Put(k, v); err != nil {
						return err
					}
					size += len(k) + len(v)
				}
				return goOn()
			})
		}
	}
	return errors.Join(err, to.Sync(), to.Close())
}

// absent returns an error if file exists.
func absent(file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, fmt.Errorf("%w: %w", kv.ErrOptions, fs.ErrExist))
	}
	return nil
}

// Backup writes a copy of an open store, as of some moment during the call, to a
// new file, without free pages. Transactions go on meanwhile. The copy appears
// complete or not at all, readable by its owner only, and Open opens it. While it
// is made the store keeps the state that is copied, as it does for any snapshot.
//
// Errors wrap kv.ErrOptions if store is not one of this package, and together
// with fs.ErrExist if file exists, as the store's own does; kv.ErrClosed if the
// store is closed, which ends a Backup under way; or the error of ctx.
func Backup(ctx context.Context, store *kv.Store, file string) error {
	var d *driver
	if !store.As(&d) {
		return fmt.Errorf("kv: back up bbolt store: %w: not an open bbolt store", kv.ErrOptions)
	}
	if err := d.backup(ctx, file); err != nil {
		return fmt.Errorf("kv: back up bbolt store: %w", err)
	}
	return nil
}

// backup waits for another one: both might write the same file.
func (d *driver) backup(ctx context.Context, file string) (err error) {
	select {
	case d.copying <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.copying }()
	goOn := func() error {
		if d.closing.Load() {
			return kv.ErrClosed
		}
		return cmp.Or(ctx.Err(), d.err())
	}
	if err := cmp.Or(goOn(), absent(file)); err != nil {
		return classifyCopy(err)
	}
	defer d.shield(debug.SetPanicOnFault(true), &err)
	tx, err := d.db.Begin(false)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback() }() // of a read transaction; it cannot fail
	o, err := (&Options{MaxSize: d.maxSize}).withDefaults()
	if err != nil {
		return err
	}
	o.MaxSize = max(o.MaxSize, int(min(2*tx.Size(), math.MaxInt/2)))
	return classifyCopy(copyTo(file, tx, &o, goOn))
}

// classifyCopy makes an error of copying to a file one of kv's or a context's.
func classifyCopy(err error) error {
	switch {
	case err == nil, errors.Is(err, kv.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return classify(err)
}
