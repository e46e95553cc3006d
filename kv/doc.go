// Package kv is a portable, ordered, transactional key-value store: one
// transaction engine over thin drivers, so that an in-memory store, Pebble,
// bbolt and TiKV behave alike.
//
// A driver package opens a [Store]; everything else is used through it:
//
//	store, err := memory.Open(nil)
//	...
//	err = store.Update(ctx, func(tx *kv.Txn) error {
//		return tx.Set([]byte("greeting"), []byte("hello"))
//	})
//
// # Isolation
//
// A transaction reads one snapshot, taken at its ReadVersion, plus its own
// writes. Commit fails with [ErrConflict] if another transaction that
// committed after that version wrote a key that this one wrote or locked, or
// locked a key that this one writes: the first committer wins. Blind writes
// and deletes of absent keys count as writes.
//
// That is snapshot isolation: write skew and phantoms are possible, on every
// driver. [Txn.Lock] makes a key that was only read part of the check and so
// prevents write skew. A transaction that begins after a commit was
// acknowledged sees it. A read-only transaction never fails to commit, unless a
// function given to [Txn.BeforeCommit] fails.
//
// # Durability and failure
//
// A [Sync] commit survives a crash of process and machine, and so do all
// commits before it. A commit becomes visible before it is durable;
// [Store.WaitDurable] waits. A commit that ends in [ErrCommitUnknown] may or
// may not have happened; it is never repeated by [Store.Update]. After a
// failed sync or log write an embedded store refuses every later call;
// reopening it shows what is true.
//
// # Sizes and lifetimes
//
// Keys have 1 to 2048 bytes and values 1 byte to 6 MiB unless the driver says
// otherwise ([Limits]); a transaction writes at most Options.MaxTxnSize. A
// read-write transaction lives at most 15 s, a read-only one 5 minutes,
// unless set otherwise, and then its snapshot is released: this bounds what
// the engines must keep for old snapshots.
//
// # Layers above
//
// A layer that rests on transactions (tables, a queue) keeps what it knows of one
// with [Txn.Attach], which follows savepoints, and does at the end what it has
// gathered with [Txn.BeforeCommit] and [Txn.OnCommit].
//
// # Reading the source
//
// driver.go is what an engine has to supply. store.go opens and ends
// transactions, txn.go is one transaction, writeset.go its pending writes,
// cursor.go the merge of both, attach.go what layers keep with a transaction,
// update.go the retry loop. errors.go says which errors there are and which of a
// driver's leave a commit unknown, intercept.go watches a driver's calls. What the
// embedded drivers share is in internal/occ, the check for conflicts, and
// internal/settings, the format and the numbers of a store.
package kv
