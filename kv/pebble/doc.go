// Package pebble is the driver of kv for Pebble, an embedded log-structured
// store: one directory, one process at a time, many goroutines.
//
//	store, err := pebble.Open("data", nil)
//
// # Isolation
//
// Pebble's batches detect no conflicts. The shared controller checks each
// commit and gives it its version under a lock; there the batch is put into
// Pebble's log queue and made visible. Waiting for the log to reach the disk
// happens outside of the lock, so that concurrent commits share one sync. The
// commit also replaces, under the lock, the snapshot that all transactions share
// which begin before the next commit. So a snapshot has an exact version, and
// Begin waits for no commit.
//
// # Durability
//
// A commit with kv.NoSync is in the log's queue when it returns, in the
// operating system's hands some moments later, and on the disk with the next
// synced commit, WaitDurable, or a Close that succeeds. Values that BatchGet
// returns may share an allocation, of at most 4 KiB.
//
// # Failure
//
// Pebble ends the process, panics or stalls when it cannot write. So it writes
// through a file system that acts as a fuse: the first failing write, sync,
// create or rename blows it, and from then on the files stay as they were at
// that moment. Commits in flight end in kv.ErrCommitUnknown, and each later
// call, reads included, wraps kv.ErrFailed and the cause. Close the store
// and open it again, in the same process if need be: what is found is every
// commit that was acknowledged as synced, and possibly some that were not.
//
// A full disk is such a failure. Damage found in the files is kv.ErrCorrupt.
//
// # Files
//
// docs/format.md describes the keys. The directory belongs to the driver:
// nothing else may be kept in it.
//
// # Reading the source
//
// options.go has Options, pebble.go opens and closes, snapshot.go shares snapshots,
// txn.go is a transaction, cursor.go its cursor, durable.go knows which commits a crash
// spares, format.go the driver's own keys, checkpoint.go copies an open store. fuse.go is
// the file system, with private.go and ahead.go; log.go is what Pebble logs.
package pebble
