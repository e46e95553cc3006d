// Package bolt is the bbolt driver of kv: a store in one file, with no log, no
// background work and nothing to tune. Choose it for data that fits the page
// cache, many reads and few writers; choose kv/pebble for heavy writing.
//
// Every commit is synced, so there is no kv.NoSync. bbolt allows one writer at
// a time; one goroutine, the combiner, takes all transactions that wait,
// checks each for conflicts and writes those that pass in one bbolt
// transaction, so that concurrent commits share its two syncs.
//
// bbolt trusts its file. Opening a store checks the structure of the file, as
// far as that takes no longer than opening should (see Options.Verify), and a
// page that turns out to be damaged later, or that the disk does not give,
// makes the store fail with kv.ErrFailed and kv.ErrCorrupt; the process
// goes on. Contents have no checksums.
//
// # Snapshots and the size of the file
//
// bbolt never overwrites a page that an open snapshot sees. So each snapshot can
// make the file larger by the data that was live when it was opened, once,
// however much is written meanwhile, and by a few MiB of free pages on top. What
// it kept is free when it ends and is used again. The file does not shrink:
// Compact writes a small copy, and Backup one of an open store.
//
// Left alone, bbolt would lose every page by which the file grows under a
// snapshot. The driver extends the database with free pages instead, when a
// commit beside an open snapshot has found too few. The pages take no space on
// the disk before they are used.
//
// # Opening after a crash
//
// The list of free pages is left out of commits beside a snapshot that has made
// the file grow, and while it is longer than 8192 pages (32 MiB); Close writes it.
// A file that a crash leaves without it is read as a whole when it is opened, as
// with Options.Verify.
//
// It needs a system with a unified page cache, such as Linux, macOS or a BSD;
// it has not been tried on Windows.
//
// # Reading the source
//
// bolt.go has Open and Options, file.go how a file is locked, checked and
// opened, check.go the check of its structure, state.go what the driver itself
// keeps in it. driver.go is the open store, txn.go a transaction on it,
// cursor.go a walk, combiner.go the way of a commit, space.go what keeps the
// file from growing. compact.go makes small copies of a file, Compact and Backup.
package bolt
