package tito

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito/internal/catalog"
)

// Options of a DB. The zero value means the defaults; nil works too.
type Options struct {
	// Prefix is put before every key, so that a store can be shared with
	// others: no other's keys may begin with it. At most 256 bytes; default
	// none.
	Prefix []byte

	// CursorKey signs page cursors (HMAC-SHA256), so that a client cannot
	// alter them. Without it a cursor that was altered within its query's
	// range is not noticed. Use at least 32 random bytes, the same in all
	// processes.
	CursorKey []byte

	// Strict makes a query fail with ErrCorrupt when it meets an index entry
	// whose row does not match. By default it skips and counts the entry; see
	// DB.StaleEntries.
	Strict bool

	// Queue has the options of the queue that events are published to. Its
	// Prefix is the database's, so leave it empty.
	Queue *queue.Options
}

// DB is a set of tables in a store. It is safe for any number of goroutines,
// and holds nothing that has to be closed; the store remains the caller's.
type DB struct {
	store    *kv.Store
	queue    *queue.Queue
	opts     Options
	byName   map[string]AnyTable
	bindings atomic.Pointer[bindings] // of transactions to come
	stale    atomic.Uint64
	txKey    any // a txKey
}

// Open registers the tables with the store, in one transaction: tables that it
// does not know are added to its catalogue. A definition that contradicts the
// catalogue is an error that wraps ErrSchema and says what to do, and nothing
// is changed; an index that is new to a table with rows is ErrIndexNotReady.
// Databases that are open keep the definition that they were opened with, so
// open those anew, in all processes, before a table that they write gets an
// index.
func Open(ctx context.Context, store *kv.Store, o *Options, tables ...AnyTable) (*DB, error) {
	db := &DB{store: store, byName: map[string]AnyTable{}}
	if o != nil {
		db.opts = *o
		db.opts.Prefix, db.opts.CursorKey = slices.Clone(o.Prefix), slices.Clone(o.CursorKey)
	}
	if err := layout.CheckPrefix(db.opts.Prefix); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	db.txKey = txKey(db.opts.Prefix)
	var err error
	if db.queue, err = openQueue(store, &db.opts); err != nil {
		return nil, err
	}
	declared := make([]catalog.Table, len(tables))
	for i, t := range tables {
		if t == nil {
			return nil, fmt.Errorf("%w: nil table", ErrSchema)
		}
		if declared[i], err = t.definition(); err != nil {
			return nil, err
		}
		if db.byName[t.Name()] != nil {
			return nil, fmt.Errorf("%w: table %q is given twice", ErrSchema, t.Name())
		}
		db.byName[t.Name()] = t
	}
	if err := checkRelations(tables, db.byName); err != nil {
		return nil, err
	}
	var snapshot *catalog.Snapshot
	err = store.Update(ctx, func(tx *kv.Txn) error {
		snapshot, err = catalog.Register(ctx, tx, db.opts.Prefix, declared)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tito: open: %w", err)
	}
	all := newBindings(snapshot, tables, declared)
	db.bindings.Store(&all)
	return db, nil
}

// checkRelations fails if a relation's target is not among the tables.
func checkRelations(tables []AnyTable, byName map[string]AnyTable) error {
	for _, t := range tables {
		for _, r := range t.relations() {
			target, ok := byName[r.target]
			switch {
			case !ok:
				return fmt.Errorf("%w: table %q, relation %q: its target %q was not given to Open", ErrSchema, t.Name(), r.name, r.target)
			case !r.accepts(target):
				return fmt.Errorf("%w: table %q, relation %q: table %q has other types", ErrSchema, t.Name(), r.name, r.target)
			}
		}
	}
	return nil
}

// openQueue opens the queue beside the tables.
func openQueue(store *kv.Store, o *Options) (*queue.Queue, error) {
	var opts queue.Options
	if o.Queue != nil {
		opts = *o.Queue
	}
	if len(opts.Prefix) > 0 {
		return nil, fmt.Errorf("%w: Queue.Prefix is set; the queue has the database's Prefix", ErrOptions)
	}
	opts.Prefix = o.Prefix
	q, err := queue.Open(store, &opts)
	if err != nil {
		return nil, fmt.Errorf("tito: open: %w", err)
	}
	return q, nil
}

// Store returns the store underneath.
func (db *DB) Store() *kv.Store { return db.store }

// Queue returns the queue that events are published to: for workers that
// handle them, and for messages that are not of a table.
func (db *DB) Queue() *queue.Queue { return db.queue }

// StaleEntries returns how many index entries queries have skipped because
// their row was missing or did not have them. It stays 0 unless the store is
// damaged or was written to by something else.
func (db *DB) StaleEntries() uint64 { return db.stale.Load() }
