package record

import (
	"errors"
	"fmt"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
)

// The sentinels of stored data, which package tito exports. Each wraps kv's.
var (
	// ErrCorrupt: a stored row, index entry, event or catalogue entry is not what
	// Tito writes.
	ErrCorrupt = fmt.Errorf("tito: corrupt data (%w)", kv.ErrCorrupt)

	// ErrNewerFormat: it has a format that this program does not know.
	ErrNewerFormat = fmt.Errorf("tito: %w", kv.ErrNewerFormat)
)

// The sentinels of changes that cannot be made, which package tito exports too.
// Apply wraps them in a RowError, ErrDuplicate in a DuplicateError.
var (
	// ErrNotFound: the row has to be there and is not.
	ErrNotFound = errors.New("tito: row not found")

	// ErrExists: the row is there and must not be.
	ErrExists = errors.New("tito: row exists already")

	// ErrStale: the row does not have the expected revision, or was changed while
	// the call was at work.
	ErrStale = errors.New("tito: row has another revision")

	// ErrRepeated: one call changes a row twice.
	ErrRepeated = errors.New("tito: id given twice in one call")

	// ErrNewerSchema: the row has a higher schema version than the program knows.
	ErrNewerSchema = errors.New("tito: row of a newer schema version")

	// ErrDuplicate: another row has the values in a unique index.
	ErrDuplicate = errors.New("tito: duplicate value in unique index")
)

// Errors has the sentinels for a rowenc.Reader.
var Errors = rowenc.Errors{Corrupt: ErrCorrupt, Newer: ErrNewerFormat} // immutable

// RowError says which mutation of a call failed: its table and primary key name it,
// since no call changes a row twice.
type RowError struct {
	Layout *Layout
	PK     []byte
	Err    error
}

func (e *RowError) Error() string { return fmt.Sprintf("table %q: %v", e.Layout.Table, e.Err) }

// Unwrap returns the failure itself.
func (e *RowError) Unwrap() error { return e.Err }

// DuplicateError says which unique index refused a mutation. It wraps ErrDuplicate.
type DuplicateError struct {
	Layout *Layout
	Index  *Index
	Owner  []byte // primary key of the row that has the values, as stored: it may be damaged
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v: table %q, index %q", ErrDuplicate, e.Layout.Table, e.Index.Name)
}

// Unwrap returns ErrDuplicate.
func (e *DuplicateError) Unwrap() error { return ErrDuplicate }
