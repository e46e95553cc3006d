package kv

import (
	"context"
	"errors"
	"fmt"
)

// The sentinels below are the whole vocabulary of failure. Every error of this
// package and of its drivers wraps one of them or a context error, and is
// found with errors.Is. Messages never contain keys or values.
var (
	// ErrNotFound: the key has no value in the transaction's snapshot and write set.
	ErrNotFound = errors.New("kv: key not found")

	// ErrConflict: another transaction that committed after this one's
	// ReadVersion wrote a key that this one writes or locks, or locked a key that
	// this one writes. Nothing was written; running the transaction again may succeed.
	ErrConflict = errors.New("kv: transaction conflict")

	// ErrCommitUnknown: the commit may have happened, may not have, or may
	// still happen. Update never runs the function again after it.
	ErrCommitUnknown = errors.New("kv: commit outcome unknown")

	// ErrTxnDone: the transaction has been committed or rolled back.
	ErrTxnDone = errors.New("kv: transaction is done")

	// ErrTxnTooLarge: the write set passed Options.MaxTxnSize. The transaction
	// can only be rolled back, whole or to an earlier Savepoint.
	ErrTxnTooLarge = errors.New("kv: transaction too large")

	// ErrTxnTooOld: a read-write transaction outlived its lifetime, or the
	// memory of commits that it must be checked against. Nothing was written.
	ErrTxnTooOld = errors.New("kv: transaction too old")

	// ErrSnapshotTooOld: a read-only transaction outlived its lifetime, or its
	// snapshot has been garbage collected.
	ErrSnapshotTooOld = errors.New("kv: snapshot too old")

	// ErrEmptyKey: keys have at least one byte.
	ErrEmptyKey = errors.New("kv: empty key")

	// ErrEmptyValue: values have at least one byte, because not every engine
	// can tell an empty value from none.
	ErrEmptyValue = errors.New("kv: empty value")

	// ErrKeyTooLarge: the key is longer than Limits.MaxKeySize.
	ErrKeyTooLarge = errors.New("kv: key too large")

	// ErrValueTooLarge: the value is longer than Limits.MaxValueSize.
	ErrValueTooLarge = errors.New("kv: value too large")

	// ErrReadOnly: a write or a lock in a read-only transaction.
	ErrReadOnly = errors.New("kv: transaction is read-only")

	// ErrManaged: Commit called inside Update, View or Run, which end the
	// transaction themselves, or by a function given to BeforeCommit.
	ErrManaged = errors.New("kv: transaction is managed by Update, View or Run")

	// ErrLateHook: a function given to BeforeCommit has called BeforeCommit. Nothing
	// was written.
	ErrLateHook = errors.New("kv: BeforeCommit called while the transaction commits")

	// ErrSavepoint: RollbackTo was given a savepoint of another transaction, one that
	// an earlier RollbackTo discarded or, while functions given to BeforeCommit run,
	// one made before the commit began.
	ErrSavepoint = errors.New("kv: savepoint is not part of this transaction")

	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("kv: store is closed")

	// ErrUnavailable: the engine cannot serve the call. Returned by a commit it
	// means that nothing was written.
	ErrUnavailable = errors.New("kv: store unavailable")

	// ErrLocked: another process holds the store's files.
	ErrLocked = errors.New("kv: store is locked by another process")

	// ErrCorrupt: stored data cannot be what this package or its driver wrote.
	ErrCorrupt = errors.New("kv: store is corrupt")

	// ErrNewerFormat: the store, or a row in it, was written in a format that this
	// version of the program does not know. Nothing was read from it or written;
	// a program built with the version that wrote it, or a newer one, reads it.
	ErrNewerFormat = errors.New("kv: newer format than this program knows")

	// ErrOptions: an option is out of range, or contradicts what the store was
	// created with.
	ErrOptions = errors.New("kv: invalid options")
)

// definite lists the errors by which a driver's Commit says that nothing was
// written and nothing will be.
var definite = [...]error{ // immutable
	ErrConflict, ErrTxnTooOld, ErrTxnTooLarge, ErrKeyTooLarge, ErrValueTooLarge,
	ErrReadOnly, ErrClosed, ErrUnavailable,
}

// commitError sorts a driver's commit error: a definite error stays as it is, and
// any other error means that the outcome is not known.
func commitError(err error) error {
	if errors.Is(err, ErrCommitUnknown) {
		return err
	}
	for _, d := range definite {
		if errors.Is(err, d) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
}

// ctxError reports the end of ctx before an operation, keeping both the
// context's error and its cause visible to errors.Is.
func ctxError(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("kv: %w: %w", err, cause)
	}
	return fmt.Errorf("kv: %w", err)
}
