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
// makes the store fail with kv.ErrUnavailable and kv.ErrCorrupt; the process
// goes on. Contents have no checksums.
//
// # Snapshots and the size of the file
//
// bbolt never overwrites a page that an open snapshot sees. It also keeps,
// until the snapshot is released, every page by which the file has grown while
// it was open. So a transaction that stays open while much is written makes
// the file larger, by at most what is written during its lifetime. bbolt uses the
// pages again once they are free, so the next long transaction finds enough free
// pages. The file does not shrink: Compact writes a small copy.
//
// The driver needs a system with a unified page cache, such as Linux, macOS or a
// BSD; nobody has tried it on Windows.
//
// # Reading the source
//
// bolt.go has Open and Options, file.go how a file is locked, checked and
// opened, check.go the check of its structure, state.go what the driver itself
// keeps in it. driver.go is the open store, txn.go a transaction on it,
// cursor.go a walk, combiner.go the way of a commit. compact.go makes a small
// copy of a file.
package bolt
