package kv

import (
	"context"
	"time"
)

// Driver is the minimal ordered transactional store that an engine supplies;
// everything else (write set, merge, limits, lifetimes, retries) is done once,
// above it, by Store. A Driver is used by many goroutines at once.
//
// The contract that a driver has to keep, and that kvtest proves:
//
//   - Begin gives a snapshot of one committed state and the version of that
//     state. A Begin that follows an acknowledged Commit sees it.
//   - Commit writes all or nothing, and refuses with ErrConflict if a
//     transaction that committed after this one's ReadVersion wrote a key that
//     this one writes or locks, or locked a key that this one writes.
//   - It must not be stricter in a way that callers could rely on: reads are
//     not validated, so write skew without Lock is possible.
//
// Bytes passed to Commit and the bounds of a Range may be kept and are never
// modified. Keys passed to Get, BatchGet and Seek belong to the caller again
// when these return.
type Driver interface {
	// Begin opens a transaction on the newest committed state.
	Begin(ctx context.Context, o BeginOptions) (DriverTxn, error)

	// Watermark returns a version such that no read-write transaction with a
	// lower ReadVersion can still commit.
	Watermark(ctx context.Context) (Version, error)

	// WaitDurable returns once every commit at or below v survives a crash.
	WaitDurable(ctx context.Context, v Version) error

	// Info describes the opened store. It never changes while the store is open.
	Info() Info

	// As sets target, a non-nil pointer, to the native handle if its type is
	// one that the driver documents, and reports whether it did. It is also the one
	// way to what a driver can do beyond this interface: target is then a pointer to
	// an interface or function type. A type assertion would fail on a driver with
	// something wrapped around it (see Intercept), while a wrapper that embeds the
	// Driver passes As on.
	As(target any) bool

	// Close releases the engine. Store calls it once, when no transaction is open.
	Close() error
}

// BeginOptions says what kind of transaction Begin opens.
type BeginOptions struct {
	// ReadOnly promises that Store never calls Commit.
	ReadOnly bool
}

// Info is what a Store must know of its driver.
type Info struct {
	// Name of the driver, for messages: "memory", "pebble".
	Name string

	// Limits of the engine. Store enforces them, lowered by its Options.
	Limits Limits

	// TxnLifetime bounds read-write transactions. The driver keeps it in the
	// store, so that all processes agree.
	TxnLifetime time.Duration

	// Shared tells whether several processes can have the store open at the
	// same time.
	Shared bool

	// NoSync tells whether commits may skip waiting for durability. A driver
	// may say so only if a later synced commit makes all earlier ones durable.
	NoSync bool
}

// Limits are sizes in bytes. A write past one fails before anything is written.
type Limits struct {
	MaxKeySize   int // one key
	MaxValueSize int // one value
	MaxTxnSize   int // all that one transaction writes: keys, values and locked keys
}

// DriverTxn is one transaction of a driver. One goroutine at a time uses it and
// its cursors. Store calls Release exactly once, after Commit too.
type DriverTxn interface {
	// ReadVersion is the version of the snapshot: it holds the effects of
	// exactly the commits at or below it.
	ReadVersion() Version

	// Get returns the value of key, owned by the caller, or nil if it has none.
	Get(ctx context.Context, key []byte) ([]byte, error)

	// BatchGet returns the values of keys, positionally and owned by the
	// caller, nil for those that have none. It is one round trip. Keys may
	// repeat and come in any order.
	BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error)

	// Cursor opens a cursor over r, positioned before its first pair.
	Cursor(ctx context.Context, r Range, o CursorOptions) (DriverCursor, error)

	// Commit applies c atomically and returns its version, which is above the
	// ReadVersion and every version handed out before Commit was called. Two
	// commits that run side by side may get the same version if they have no key in
	// common. Errors that wrap ErrConflict, ErrTxnTooOld, ErrTxnTooLarge,
	// ErrKeyTooLarge, ErrValueTooLarge, ErrReadOnly, ErrClosed or ErrUnavailable
	// promise that nothing was and will be written; Store reports any other error
	// as ErrCommitUnknown. Store calls Commit at most once, with all cursors closed.
	Commit(ctx context.Context, c *Commit) (Version, error)

	// Release frees the snapshot. Cursors have been closed before.
	Release()
}

// Commit is what a transaction asks its driver to do atomically. Keys ascend
// and are distinct, within and across Writes and Locks.
type Commit struct {
	Writes []Write
	Locks  [][]byte // keys to check for conflicts as if written, without writing them
	NoSync bool     // return when visible, without waiting for durability
}

// Write sets Key to Value, or deletes Key if Value is nil.
type Write struct {
	Key, Value []byte
}

// Range is a half-open interval of keys. A nil bound is unbounded, and a Range
// whose End is not above its Start is empty.
type Range struct {
	Start []byte // first key in the range
	End   []byte // first key after the range
}

// CursorOptions shape a driver's cursor.
type CursorOptions struct {
	Reverse  bool // from the last pair of the range to the first
	KeysOnly bool // Value is not asked for
	PageSize int  // how many pairs to fetch in one round trip; 0 lets the driver choose
}

// DriverCursor walks a range of a snapshot. Bytes from Key and Value are valid
// until the next call of Next, Seek or Close.
type DriverCursor interface {
	// Next moves to the next pair in the cursor's direction, the first one at
	// the first call. It returns false at the end and after an error, and
	// keeps returning false from then on unless Seek succeeds.
	Next(ctx context.Context) bool

	// Seek moves to the first pair at or after key in the cursor's direction
	// (reverse: the last pair whose key is at or below key), within the range.
	// It may move either way. Key has at least one byte unless the cursor goes
	// forward.
	Seek(ctx context.Context, key []byte) bool

	// Key and Value return the current pair. Store calls them only after Next or
	// Seek returned true, and Value only if the cursor is not KeysOnly.
	Key() []byte
	Value() []byte

	// Err returns the error that ended the cursor, nil at a plain end.
	Err() error

	// Close releases the cursor. Store calls it exactly once.
	Close()
}
