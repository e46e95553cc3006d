package tito

import (
	"context"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Tx is a transaction on a DB. Like the kv.Txn beneath it, it is for one
// goroutine.
type Tx struct {
	db       *DB
	kv       *kv.Txn
	bindings bindings // of all that is done through the Tx
	state    *txState
}

// txState is what the DBs of one prefix keep with a transaction: they share their
// rows, so each use of the transaction has to know of the others' changes.
type txState struct {
	first   Tx
	others  []*Tx // of further DBs of the prefix
	changes record.Changes
	spare   *scratch // nil while a call uses it
}

// txKey is the key of a txState: the prefix of its DBs.
type txKey string

// scratch is memory that the calls of a transaction which write use one after the
// other. A call within a call, from a function of the program, takes another.
type scratch struct {
	batch    record.Batch
	values   valueList // of all new entries
	messages []queue.Message
	payloads []byte
}

// Mark implements kv.Attached.
func (s *txState) Mark() any { return nil }

// Reset implements kv.Attached: rows have changed, back to what they were.
func (s *txState) Reset(any) { s.changes.Note() }

// takeScratch returns memory for one call that writes, to be given back.
func (tx *Tx) takeScratch() *scratch {
	s := tx.state.spare
	if s == nil {
		s = new(scratch)
	}
	tx.state.spare = nil
	s.batch.Reset(tx.kv, &tx.state.changes)
	s.values.reset()
	return s
}

// giveBack ends a call's use of the memory.
func (tx *Tx) giveBack(s *scratch) { tx.state.spare = s }

// Update runs fn in a read-write transaction and commits it; see kv.Store.Update
// for retries. fn may run more than once, so it must have no effects but on tx.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return db.store.Update(ctx, func(t *kv.Txn) error { return fn(db.Tx(t)) })
}

// View runs fn in a read-only transaction: one snapshot for all its reads.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	return db.store.View(ctx, func(t *kv.Txn) error { return fn(db.Tx(t)) })
}

// Run is Update, or with o.ReadOnly View, with options of its own: durability,
// lifetime, attempts.
func (db *DB) Run(ctx context.Context, o *kv.TxnOptions, fn func(tx *Tx) error) error {
	return db.store.Run(ctx, o, func(t *kv.Txn) error { return fn(db.Tx(t)) })
}

// Begin opens a transaction, to be ended by Commit or Rollback. Prefer Update
// and View, which end it and retry conflicts.
func (db *DB) Begin(ctx context.Context, o *kv.TxnOptions) (*Tx, error) {
	t, err := db.store.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	return db.Tx(t), nil
}

// Tx makes a store's transaction one of this DB, so that Tito's writes and
// others commit together. It must be a transaction of the DB's store. For one
// transaction it always returns the same Tx.
func (db *DB) Tx(t *kv.Txn) *Tx {
	s := t.Attach(db.txKey, func() kv.Attached {
		s := &txState{}
		s.first = db.newTx(t, s)
		return s
	}).(*txState)
	if s.first.db == db {
		return &s.first
	}
	for _, tx := range s.others {
		if tx.db == db {
			return tx
		}
	}
	tx := db.newTx(t, s)
	s.others = append(s.others, &tx)
	return &tx
}

func (db *DB) newTx(t *kv.Txn, s *txState) Tx {
	return Tx{db: db, kv: t, bindings: *db.bindings.Load(), state: s}
}

// KV returns the store's transaction.
func (tx *Tx) KV() *kv.Txn { return tx.kv }

// Commit commits a transaction that Begin opened; see kv.Txn.Commit.
func (tx *Tx) Commit(ctx context.Context) error { return tx.kv.Commit(ctx) }

// Rollback ends a transaction that Begin opened, without writing anything. It
// does nothing after Commit.
func (tx *Tx) Rollback() { tx.kv.Rollback() }

// Reader is what reads take: a *Tx, to read in its transaction, or a *DB, for
// a snapshot of the read's own.
type Reader interface {
	read(ctx context.Context, fn func(tx *Tx) error) error
}

func (db *DB) read(ctx context.Context, fn func(tx *Tx) error) error { return db.View(ctx, fn) }

func (tx *Tx) read(_ context.Context, fn func(tx *Tx) error) error { return fn(tx) }
