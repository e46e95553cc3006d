package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Txn is one transaction: a snapshot of the store plus its own writes. It is
// for one goroutine at a time. Inputs are copied; nothing is sent to the
// engine before Commit.
type Txn struct {
	store       *Store
	deadline    time.Time
	readVersion Version
	attached    attachments

	durability Durability
	readOnly   bool
	managed    bool // by Run, or by a commit under way: the user may not end it
	committing bool // the functions given to BeforeCommit run, or have run
	lateHook   bool // a function given to BeforeCommit has called BeforeCommit
	tooLarge   bool // a write did not fit: only a rollback is possible

	// expiredClean: the lifetime ended it, with nothing to write; a read-only
	// commit never fails.
	expiredClean bool

	older, newer *Txn // the store's list of open transactions, guarded by store.mu

	// mu lets the reaper and Close release an idle transaction's snapshot. It
	// is never contended otherwise.
	mu         sync.Mutex
	driver     DriverTxn // nil once released
	ended      error     // why no operation is possible any more; nil while open
	writes     writeSet
	savepoints int // how many have been made
	discarded  []discarded
	cursors    *Cursor // newest open cursor, linked by older and newer
	hooks      []hook

	commitVersion Version
	doomed        atomic.Pointer[error] // set by the reaper and Close
}

// Savepoint is a state of a transaction to which RollbackTo returns.
type Savepoint struct {
	txn      *Txn
	number   int // counts the transaction's savepoints from 1
	writes   writeSet
	tooLarge bool
	hooks    int
	marks    []any // of what was attached
}

// discarded is a span of savepoints to which RollbackTo returns no more: those with
// numbers above after and up to last. The transaction notes the discarded savepoints
// and not the live ones, so that the garbage collector can take a savepoint that the
// caller drops.
type discarded struct{ after, last int }

// Pair is a key and its value. Bytes from Scan are valid until the next
// iteration.
type Pair struct {
	Key, Value []byte
}

// ReadVersion returns the version of the transaction's snapshot: it holds the
// effects of exactly the commits at or below it.
func (t *Txn) ReadVersion() Version { return t.readVersion }

// CommitVersion returns the version at which the transaction committed, 0
// before that. One that wrote and locked nothing has its ReadVersion.
func (t *Txn) CommitVersion() Version { return t.commitVersion }

// ReadOnly tells whether writes and locks fail with ErrReadOnly.
func (t *Txn) ReadOnly() bool { return t.readOnly }

// Store returns the store that the transaction belongs to.
func (t *Txn) Store() *Store { return t.store }

// Info describes the store, with the limits that this transaction's writes have.
func (t *Txn) Info() Info { return t.store.info }

// Size returns how many bytes the transaction's writes and locks take of
// Limits.MaxTxnSize.
func (t *Txn) Size() int {
	t.mu.Lock()
	defer t.unlock()
	return t.writes.size
}

// Get returns the value of key, owned by the caller, or ErrNotFound.
func (t *Txn) Get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := t.get(ctx, key)
	if err == nil && v == nil {
		return nil, ErrNotFound
	}
	return v, err
}

// Has reports whether key has a value.
func (t *Txn) Has(ctx context.Context, key []byte) (bool, error) {
	v, err := t.get(ctx, key)
	return v != nil, err
}

// get returns a nil value for an absent key.
func (t *Txn) get(ctx context.Context, key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, ErrEmptyKey
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	if v, written := t.writes.get(key); written {
		return owned(v), nil
	}
	if len(key) > t.store.info.Limits.MaxKeySize {
		return nil, nil // cannot be stored, so it has no value
	}
	v, err := t.driver.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("kv: get: %w", err)
	}
	return v, nil
}

// BatchGet returns the values of keys positionally, nil for a key without a value.
// The caller owns the values. BatchGet costs one driver round trip, or none if the
// write set holds all the keys.
func (t *Txn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	for _, k := range keys {
		if len(k) == 0 {
			return nil, ErrEmptyKey
		}
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	if len(keys) == 0 {
		return nil, nil
	}
	if !t.answersAny(keys) {
		values, err := t.driver.BatchGet(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("kv: batch get: %w", err)
		}
		return values, nil
	}
	values := make([][]byte, len(keys))
	missing := make([][]byte, 0, len(keys))
	at := make([]int, 0, len(keys))
	for i, k := range keys {
		if v, written := t.writes.get(k); written {
			values[i] = owned(v)
		} else if len(k) <= t.store.info.Limits.MaxKeySize {
			missing, at = append(missing, k), append(at, i)
		}
	}
	if len(missing) == 0 {
		return values, nil
	}
	got, err := t.driver.BatchGet(ctx, missing)
	if err != nil {
		return nil, fmt.Errorf("kv: batch get: %w", err)
	}
	for i, v := range got {
		values[at[i]] = v
	}
	return values, nil
}

// answersAny tells whether BatchGet can answer for some key without the driver: the
// transaction has written that key, or the key is too long to be stored.
func (t *Txn) answersAny(keys [][]byte) bool {
	for _, k := range keys {
		if len(k) > t.store.info.Limits.MaxKeySize {
			return true
		}
		if _, written := t.writes.get(k); written {
			return true
		}
	}
	return false
}

func owned(v []byte) []byte {
	if v == nil {
		return nil
	}
	return append(make([]byte, 0, len(v)), v...)
}

// Set sets key to value. It fails with ErrEmptyKey, ErrEmptyValue,
// ErrKeyTooLarge or ErrValueTooLarge, and the transaction is as before; or
// with ErrTxnTooLarge, and then it can only be rolled back.
func (t *Txn) Set(key, value []byte) error {
	if len(value) == 0 {
		return ErrEmptyValue
	}
	if len(value) > t.store.info.Limits.MaxValueSize {
		return ErrValueTooLarge
	}
	return t.put(key, value)
}

// Delete removes key. Deleting an absent key is a write like any other: it
// takes part in the conflict check.
func (t *Txn) Delete(key []byte) error {
	return t.put(key, nil)
}

func (t *Txn) put(key, value []byte) error {
	if err := t.checkKey(key); err != nil {
		return err
	}
	if err := t.enterWrite(); err != nil {
		return err
	}
	defer t.unlock()
	if t.tooLarge || !t.writes.put(key, value, t.store.info.Limits.MaxTxnSize) {
		t.tooLarge = true
		return ErrTxnTooLarge
	}
	return nil
}

func (t *Txn) checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > t.store.info.Limits.MaxKeySize:
		return ErrKeyTooLarge
	}
	return nil
}

// DeleteRange removes every key in r that the transaction sees. It reads the
// range and deletes key by key, so the size limit bounds it, and it does not
// conflict with keys that others insert into the range.
func (t *Txn) DeleteRange(ctx context.Context, r Range) error {
	if t.readOnly {
		return ErrReadOnly
	}
	for p, err := range t.Scan(ctx, r, &ScanOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		if err := t.Delete(p.Key); err != nil {
			return err
		}
	}
	return nil
}

// Lock makes Commit fail with ErrConflict if another transaction that commits
// after this one's ReadVersion writes any of keys, and makes that other one
// fail if this one commits first. It is how a transaction says that its
// result depends on keys that it read and does not write, and so prevents
// write skew. Locking does not block, reads nothing and writes nothing.
//
// Whether two transactions that only lock the same key conflict is
// unspecified (on TiKV they do), so never lock one hot key from everywhere.
func (t *Txn) Lock(ctx context.Context, keys ...[]byte) error {
	for _, k := range keys {
		if err := t.checkKey(k); err != nil {
			return err
		}
	}
	if err := ctxError(ctx); err != nil {
		return err
	}
	if err := t.enterWrite(); err != nil {
		return err
	}
	defer t.unlock()
	for _, k := range keys {
		if t.tooLarge || !t.writes.lock(k, t.store.info.Limits.MaxTxnSize) {
			t.tooLarge = true
			return ErrTxnTooLarge
		}
	}
	return nil
}

// ScanOptions shape Scan and Cursor. The zero value is an ascending walk over
// keys and values; nil works too.
type ScanOptions struct {
	Reverse  bool // from the last key of the range to the first
	Limit    int  // at most so many pairs; 0 means all
	KeysOnly bool // values are nil, and need not be fetched
	PageSize int  // pairs to fetch in one round trip; 0 lets the driver choose
}

// Scan walks the pairs of r. It sees the transaction's writes up to the moment
// the walk begins, and none after that. A failure is yielded once, as the last
// element. A Pair's bytes are valid until the next iteration.
func (t *Txn) Scan(ctx context.Context, r Range, o *ScanOptions) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		c, err := t.Cursor(ctx, r, o)
		if err != nil {
			yield(Pair{}, err)
			return
		}
		defer c.Close()
		for c.Next(ctx) {
			if !yield(Pair{c.Key(), c.Value()}, nil) {
				return
			}
		}
		if err := c.Err(); err != nil {
			yield(Pair{}, err)
		}
	}
}

// Savepoint marks the transaction's present state. It costs little: the write
// set is shared until one of the two changes.
func (t *Txn) Savepoint() (*Savepoint, error) {
	sp := t.attached.newSavepoint()
	if err := t.mark(sp); err != nil {
		return nil, err
	}
	sp.marks = t.attached.marks(sp.marks)
	return sp, nil
}

func (t *Txn) mark(sp *Savepoint) error {
	if err := t.enterWrite(); err != nil {
		return err
	}
	defer t.unlock()
	t.savepoints++
	sp.txn, sp.number = t, t.savepoints
	sp.writes, sp.tooLarge, sp.hooks = t.writes.clone(), t.tooLarge, len(t.hooks)
	return nil
}

// RollbackTo undoes every write, lock, OnCommit and BeforeCommit since sp was made,
// an ErrTxnTooLarge included, and discards the savepoints made after sp. What is
// attached to the transaction returns to its state of then. sp itself can be used
// again.
func (t *Txn) RollbackTo(sp *Savepoint) error {
	if err := t.undo(sp); err != nil {
		return err
	}
	t.attached.reset(sp.marks)
	return nil
}

func (t *Txn) undo(sp *Savepoint) error {
	if sp == nil || sp.txn != t {
		return ErrSavepoint
	}
	if err := t.enterWrite(); err != nil {
		return err
	}
	defer t.unlock()
	if !t.discardAfter(sp.number) {
		return ErrSavepoint
	}
	t.writes = sp.writes.clone()
	t.tooLarge = sp.tooLarge
	clear(t.hooks[sp.hooks:])
	t.hooks = t.hooks[:sp.hooks]
	return nil
}

// discardAfter discards the savepoints made after number, and reports false if
// that itself has been discarded.
func (t *Txn) discardAfter(number int) bool {
	keep := len(t.discarded) // spans ascend and do not overlap
	for keep > 0 && t.discarded[keep-1].last >= number {
		keep--
	}
	if keep < len(t.discarded) && t.discarded[keep].after < number {
		return false
	}
	t.discarded = t.discarded[:keep]
	if number < t.savepoints {
		t.discarded = append(t.discarded, discarded{number, t.savepoints})
	}
	return true
}

// OnCommit registers fn to run after the transaction has committed, on the
// goroutine that commits and in order of registration. It does not run after
// a rollback, a failed commit or ErrCommitUnknown.
func (t *Txn) OnCommit(fn func()) {
	t.addHook(hook{after: fn})
}

// SetDurability chooses the durability of this transaction's commit.
func (t *Txn) SetDurability(d Durability) error {
	d, err := t.store.durability(d)
	if err != nil {
		return err
	}
	if err := t.enterWrite(); err != nil {
		return err
	}
	defer t.unlock()
	t.durability = d
	return nil
}

// Commit runs the functions given to BeforeCommit, ends the transaction and makes
// its writes visible, all or none. On success the functions given to OnCommit have
// run. Its errors:
//
//   - the error of a function given to BeforeCommit: nothing was written.
//   - ErrConflict, ErrTxnTooOld, ErrTxnTooLarge, a context error that had
//     occurred before, and others not named below: nothing was written.
//   - ErrCommitUnknown: see there. A context that ends during Commit gives
//     this error if the engine could not say what became of the commit.
//
// A transaction that wrote and locked nothing, and did not try to after its
// lifetime, always commits unless a function given to BeforeCommit fails.
func (t *Txn) Commit(ctx context.Context) error {
	if t.managed {
		return ErrManaged
	}
	return t.commit(ctx)
}

func (t *Txn) commit(ctx context.Context) error {
	if err := t.runBefore(ctx); err != nil {
		return err
	}
	hooks, err := t.commitWrites(ctx)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		if h.after != nil {
			h.after()
		}
	}
	return nil
}

func (t *Txn) commitWrites(ctx context.Context) ([]hook, error) {
	t.mu.Lock()
	defer t.unlock()
	t.finishDoomed()
	if t.expiredClean { // all that was read is one snapshot, whatever its age
		t.ended, t.expiredClean = ErrTxnDone, false
		return t.committed(t.readVersion), nil
	}
	if t.ended != nil {
		return nil, t.ended
	}
	defer t.finish(ErrTxnDone)
	if t.writes.empty() && !t.tooLarge { // nothing that could conflict
		return t.committed(t.readVersion), nil
	}
	if t.tooLarge {
		return nil, ErrTxnTooLarge
	}
	if t.expired() {
		return nil, t.tooOld()
	}
	if err := ctxError(ctx); err != nil {
		return nil, err
	}
	t.closeCursors()
	c := t.writes.commit()
	c.NoSync = t.durability == NoSync
	v, err := t.driver.Commit(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("kv: commit: %w", commitError(err))
	}
	return t.committed(v), nil
}

func (t *Txn) committed(v Version) []hook {
	t.commitVersion = v
	return t.hooks
}

// Rollback ends the transaction without writing anything. It may be called at
// any time, also after Commit, when it does nothing; so `defer tx.Rollback()`
// is safe.
func (t *Txn) Rollback() {
	if t.managed {
		return
	}
	t.rollback()
}

func (t *Txn) rollback() {
	t.mu.Lock()
	defer t.unlock()
	t.finish(ErrTxnDone)
	t.expiredClean = false
}

// enter begins an operation that may call the driver. On success the caller
// holds the lock, and must call unlock.
func (t *Txn) enter(ctx context.Context) error {
	if err := ctxError(ctx); err != nil {
		return err
	}
	return t.enterAny()
}

// enterWrite begins an operation that changes the write set. If it comes too
// late Commit fails too, so that nobody who overlooks the error takes the
// write for committed.
func (t *Txn) enterWrite() error {
	t.mu.Lock()
	t.finishDoomed()
	err := t.ended
	switch {
	case err != nil:
		t.expiredClean = t.expiredClean && t.readOnly
	case t.readOnly:
		err = ErrReadOnly
	}
	if err != nil {
		t.unlock()
	}
	return err
}

func (t *Txn) enterAny() error {
	t.mu.Lock()
	t.finishDoomed()
	err := t.ended
	if err != nil {
		t.unlock()
	}
	return err
}

// finishDoomed ends the transaction if the reaper or Close have asked for it.
func (t *Txn) finishDoomed() {
	if p := t.doomed.Load(); p != nil {
		t.finish(*p)
	}
}

// unlock ends an operation. The reaper and Close only mark a transaction that
// they find at work, so whoever unlocks it looks whether it has to go.
func (t *Txn) unlock() {
	t.mu.Unlock()
	if t.doomed.Load() != nil {
		t.reapIdle()
	}
}

// doom ends the transaction with reason, at once if it is idle, else when its
// operation ends. It does not wait.
func (t *Txn) doom(reason error) {
	t.doomed.CompareAndSwap(nil, &reason)
	t.reapIdle()
}

// reapIdle releases a doomed transaction unless an operation is under way,
// whose unlock will call it again: the mark is set before the lock is tried,
// and read after the lock is given back, so one of the two sees it.
func (t *Txn) reapIdle() {
	if t.mu.TryLock() {
		defer t.mu.Unlock()
		t.finishDoomed()
	}
}

// finish ends the transaction once, with reason, and releases what it holds,
// as far as possible even if the driver panics. t.mu is held.
func (t *Txn) finish(reason error) {
	if t.ended != nil {
		return
	}
	t.ended = reason
	t.expiredClean = errors.Is(reason, t.tooOld()) && t.writes.empty() && !t.tooLarge
	t.writes = writeSet{}
	defer t.store.unregister(t) // or Close would wait for ever
	if d := t.driver; d != nil {
		t.driver = nil
		defer d.Release()
	}
	t.closeCursors()
}

// finishUnlessBegun ends a transaction whose Begin failed or panicked.
func (t *Txn) finishUnlessBegun() {
	if t.driver == nil {
		t.finish(ErrTxnDone)
	}
}

func (t *Txn) closeCursors() {
	for c := t.cursors; c != nil; c = t.cursors {
		t.forget(c)
		c.end()
	}
}

// remember puts a cursor that was opened on the list.
func (t *Txn) remember(c *Cursor) {
	if c.older = t.cursors; c.older != nil {
		c.older.newer = c
	}
	t.cursors = c
}

// forget drops an open cursor from the list.
func (t *Txn) forget(c *Cursor) {
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		t.cursors = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	}
	c.older, c.newer = nil, nil
}

// expired tells whether the lifetime has passed. The reaper may be late.
func (t *Txn) expired() bool { return !time.Now().Before(t.deadline) }

func (t *Txn) tooOld() error {
	if t.readOnly {
		return ErrSnapshotTooOld
	}
	return ErrTxnTooOld
}
