package pebble

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// Checkpoint writes a copy of store, as of some moment during the call, to the
// directory dir, which must not exist and must lie outside of the store's own.
// Commits go on meanwhile. If dir is on the store's file system, Checkpoint links
// the table files instead of copying them, so that it is fast and the copy takes
// little space at first. Open opens the copy. A Checkpoint that fails may leave a
// part of dir behind.
//
// The error wraps kv.ErrOptions if store is not a store of this package, or if dir
// exists.
func Checkpoint(store *kv.Store, dir string) error {
	var d *driver
	if !store.As(&d) {
		return fmt.Errorf("%w: not an open pebble store", kv.ErrOptions)
	}
	d.closing.RLock()
	defer d.closing.RUnlock()
	if d.closed {
		return kv.ErrClosed
	}
	if err := d.fuse.err(); err != nil {
		return err
	}
	err := d.db.Checkpoint(dir, pebble.WithFlushedWAL())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", kv.ErrOptions, err)
	}
	return d.engineError(err)
}
