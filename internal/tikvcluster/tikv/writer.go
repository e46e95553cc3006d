package main

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"

	"github.com/pingcap/badger"
	"github.com/pingcap/badger/y"
	"github.com/pingcap/errors"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/lockstore"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv/kverrors"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv/mvcc"
	"github.com/pingcap/tidb/pkg/util/rowcodec"
)

// lockPrefix begins the keys under which locks are kept in the database.
// unistore lets no client reach a key that begins with 0xff.
var lockPrefix = []byte("\xff\x00lock/") // immutable

// writer carries out what unistore's transaction engine decides. It stands in
// for unistore's own, which keeps locks in memory alone, and mends four more
// things that a client of TiKV relies on:
//
//   - Locks are durable, and change in one atomic, synced write with the data
//     that they guard. A prewrite that was acknowledged survives a crash, which
//     an asynchronous commit is nothing but.
//   - A transaction that was rolled back cannot prewrite afterwards. unistore
//     looks for the rollback of the primary key only, so that a late prewrite of
//     another key would resurrect half of it.
//   - A prewrite that only locks a key becomes a write of the value that the key
//     has, or a delete where it has none. unistore records no committed lock, so
//     that an older transaction could still write the key.
//   - Values stay what they are; see mark.
//
// Write runs under the latches of all keys in the batch, so that what it reads
// of them stays true until it returns.
type writer struct {
	db      *badger.DB
	version *uint64 // of internal keys; atomic, always growing

	mu    sync.Mutex          // held by those who change locks
	locks *lockstore.MemStore // may be read meanwhile
}

func newWriter(bundle *mvcc.DBBundle) *writer {
	return &writer{
		db:      bundle.DB,
		locks:   bundle.LockStore,
		version: &bundle.StateTS,
	}
}

// loadLocks fills the lock store with what the last process left.
func (w *writer) loadLocks() error {
	return w.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Seek(lockPrefix); it.ValidForPrefix(lockPrefix); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if len(value) > 0 {
				w.locks.Put(it.Item().KeyCopy(nil)[len(lockPrefix):], value)
			}
		}
		return nil
	})
}

// Open implements mvcc.DBWriter.
func (w *writer) Open() {}

// Close implements mvcc.DBWriter.
func (w *writer) Close() {}

// NewWriteBatch implements mvcc.DBWriter. A commit timestamp of 0 means that the
// batch commits nothing.
func (w *writer) NewWriteBatch(startTS, commitTS uint64, _ *kvrpcpb.Context) mvcc.WriteBatch {
	return &batch{startTS: startTS, commitTS: commitTS}
}

// DeleteRange implements mvcc.DBWriter. The service lets no request come here.
func (w *writer) DeleteRange(_, _ []byte, _ mvcc.LatchHandle) error {
	return errors.New("tikv: delete-range is not part of the stand-in")
}

// Write makes a batch durable and then visible, or returns why it did neither.
func (w *writer) Write(wb mvcc.WriteBatch) error {
	b := wb.(*batch)
	if len(b.ops) == 0 {
		return nil
	}
	if err := w.prepare(b); err != nil {
		return err
	}
	// One transaction of the database a batch: after a crash badger gives the
	// timestamps of its last key to all keys of a transaction. Those that are
	// written at the same time share a sync all the same.
	version := atomic.AddUint64(w.version, 1)
	err := w.db.Update(func(txn *badger.Txn) error {
		for i := range b.ops {
			for _, e := range b.ops[i].entries(b, version) {
				if err := txn.SetEntry(e); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	hint := new(lockstore.Hint)
	for i := range b.ops {
		switch o := &b.ops[i]; {
		case o.locks():
			w.locks.PutWithHint(o.key, o.stored, hint)
		case o.unlock:
			w.locks.DeleteWithHint(o.key, hint)
		}
	}
	return nil
}

// prepare checks what a batch prewrites, and gives its operations their final
// form.
func (w *writer) prepare(b *batch) error {
	var buf []byte
	txn := w.db.NewTransaction(false)
	defer txn.Discard()
	for i := range b.ops {
		o := &b.ops[i]
		switch o.kind {
		case opCommit:
			// A commit in one phase comes without the lock of a prewrite.
			buf = w.locks.Get(o.key, buf)
			if len(buf) > 0 {
				held := mvcc.DecodeLock(buf)
				o.unlock = true
				if held.StartTS == b.startTS && held.Op != uint8(kvrpcpb.Op_PessimisticLock) {
					continue
				}
			}
		case opPrewrite:
		default:
			continue
		}
		if err := settle(txn, o, b.startTS); err != nil {
			return err
		}
	}
	return nil
}

// settle mends one prewritten key.
func settle(txn *badger.Txn, o *op, startTS uint64) error {
	status, err := get(txn, mvcc.EncodeExtraTxnStatusKey(o.key, startTS))
	if err != nil {
		return err
	}
	if status != nil && mvcc.DBUserMeta(status.UserMeta()).CommitTS() == 0 {
		return kverrors.ErrAlreadyRollback
	}
	switch o.lock.Op {
	case uint8(kvrpcpb.Op_Put):
		o.lock.Value = unmark(o.key, o.lock.Value)
	case uint8(kvrpcpb.Op_Lock):
		// The engine has found no version after the start timestamp, or the
		// transaction holds the key: the latest version is what it has seen.
		o.lock.Op, o.lock.Value = uint8(kvrpcpb.Op_Del), nil
		item, err := get(txn, o.key)
		if err != nil {
			return err
		}
		if item != nil && !item.IsEmpty() {
			o.lock.Op = uint8(kvrpcpb.Op_Put)
			if o.lock.Value, err = item.ValueCopy(nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// get returns the latest version of a key, or nil.
func get(txn *badger.Txn, key []byte) (*badger.Item, error) {
	txn.SetReadTS(math.MaxUint64)
	item, err := txn.Get(key)
	if errors.ErrorEqual(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	return item, err
}

type opKind int

const (
	opPrewrite opKind = iota
	opCommit
	opRollback
	opPessimisticLock // also changes a lock of any kind
	opPessimisticRollback
)

// op is what a batch does to one key.
type op struct {
	kind   opKind
	key    []byte
	lock   *mvcc.Lock
	unlock bool   // the lock of the key goes
	stored []byte // the lock as it is kept
}

func (o *op) locks() bool { return o.kind == opPrewrite || o.kind == opPessimisticLock }

// entries returns what the op writes to the database, each under another key.
func (o *op) entries(b *batch, version uint64) []*badger.Entry {
	var entries []*badger.Entry
	switch {
	case o.locks():
		o.stored = o.lock.MarshalBinary()
		entries = append(entries, &badger.Entry{Key: y.KeyWithTs(lockKey(o.key), version), Value: o.stored})
	case o.unlock:
		e := &badger.Entry{Key: y.KeyWithTs(lockKey(o.key), version)}
		e.SetDelete()
		entries = append(entries, e)
	}
	switch o.kind {
	case opCommit:
		if o.lock.Op != uint8(kvrpcpb.Op_PessimisticLock) {
			entries = append(entries, &badger.Entry{
				Key:      y.KeyWithTs(o.key, b.commitTS),
				Value:    o.lock.Value,
				UserMeta: mvcc.NewDBUserMeta(b.startTS, b.commitTS),
			})
		}
	case opRollback:
		entries = append(entries, &badger.Entry{
			Key:      y.KeyWithTs(mvcc.EncodeExtraTxnStatusKey(o.key, b.startTS), b.startTS),
			UserMeta: mvcc.NewDBUserMeta(b.startTS, 0),
		})
	}
	return entries
}

func lockKey(key []byte) []byte { return append(bytes.Clone(lockPrefix), key...) }

// batch collects the writes of one request.
type batch struct {
	startTS, commitTS uint64
	ops               []op
}

func (b *batch) Prewrite(key []byte, lock *mvcc.Lock) {
	b.ops = append(b.ops, op{kind: opPrewrite, key: key, lock: lock})
}

// Commit makes the write of a lock visible, and removes the lock if there is one.
func (b *batch) Commit(key []byte, lock *mvcc.Lock) {
	b.ops = append(b.ops, op{kind: opCommit, key: key, lock: lock})
}

// Rollback records that the transaction will never write the key.
func (b *batch) Rollback(key []byte, deleteLock bool) {
	b.ops = append(b.ops, op{kind: opRollback, key: key, unlock: deleteLock})
}

func (b *batch) PessimisticLock(key []byte, lock *mvcc.Lock) {
	b.ops = append(b.ops, op{kind: opPessimisticLock, key: key, lock: lock})
}

func (b *batch) PessimisticRollback(key []byte) {
	b.ops = append(b.ops, op{kind: opPessimisticRollback, key: key, unlock: true})
}

// mark protects a value from the engine. unistore takes a key of the shape that
// TiDB gives to a row for a row, and re-encodes its value, unless it begins with
// the version byte of TiDB's newer format. Tito's keys may have that shape: so
// the service puts the byte before the value, and the writer takes it off.
func mark(key, value []byte) []byte {
	if !rowcodec.IsRowKey(key) {
		return value
	}
	return append([]byte{rowcodec.CodecVer}, value...)
}

func unmark(key, value []byte) []byte {
	if !rowcodec.IsRowKey(key) {
		return value
	}
	return value[1:]
}
