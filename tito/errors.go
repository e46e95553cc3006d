package tito

import (
	"errors"
	"fmt"

	"github.com/tito-db/tito-go/tito/internal/catalog"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// The sentinels of this package, found with errors.Is. Errors of the store
// (kv.ErrConflict, kv.ErrTxnTooLarge, ...) and of contexts stay visible too.
var (
	// ErrNotFound: there is no row with the id.
	ErrNotFound = record.ErrNotFound // immutable

	// ErrExists: Create was given an id that has a row.
	ErrExists = record.ErrExists // immutable

	// ErrStale: the row's revision is not the expected one, or a function that the
	// write calls changed the row meanwhile.
	ErrStale = record.ErrStale // immutable

	// ErrDuplicate: a unique index has an entry of another row for the same
	// values. The error is a *DuplicateError.
	ErrDuplicate = record.ErrDuplicate // immutable

	// ErrRepeated: one call of a Many write names an id twice.
	ErrRepeated = record.ErrRepeated // immutable

	// ErrMultiple: One found more than one row.
	ErrMultiple = errors.New("tito: more than one row")

	// ErrNoID: the record's id is the zero value, and its kind has no
	// generator (see StringID, UUIDID and IDOf.Generate).
	ErrNoID = errors.New("tito: record has no id")

	// ErrIDChanged: the function given to Patch changed the record's id.
	ErrIDChanged = errors.New("tito: patch changed the id")

	// ErrInvalid: Schema.Validate refused the record, and its error is wrapped
	// too; or the record is nil, or has text that the codec cannot hold.
	ErrInvalid = errors.New("tito: invalid record")

	// ErrTooManyEntries: a record has more entries in one index than
	// MaxEntries, by a product of multi-value fields or a long list.
	ErrTooManyEntries = errors.New("tito: too many index entries for one record")

	// ErrCorrupt: a stored row, index entry, event or catalogue entry is not what
	// Tito writes. It wraps kv.ErrCorrupt.
	ErrCorrupt = record.ErrCorrupt // immutable

	// ErrNewerFormat: a stored row, event or catalogue was written in a format that
	// this version of the program does not know; use the version that wrote it, or
	// a newer one. It wraps kv.ErrNewerFormat.
	ErrNewerFormat = record.ErrNewerFormat // immutable

	// ErrDecode: a row's payload could not be decoded into the model. The
	// error is a *RowError.
	ErrDecode = errors.New("tito: row cannot be decoded")

	// ErrUnknownCodec: a row, or an event's image, was encoded by a codec that the
	// program does not have. It wraps ErrDecode.
	ErrUnknownCodec = fmt.Errorf("%w: no codec", ErrDecode)

	// ErrNewerSchema: the row was written under a newer Schema.Version than
	// the program declares.
	ErrNewerSchema = record.ErrNewerSchema // immutable

	// ErrSchema: a definition is invalid, or contradicts what the store was
	// created with.
	ErrSchema = catalog.ErrSchema // immutable

	// ErrIndexNotReady: an index is new to a table that has rows already.
	ErrIndexNotReady = catalog.ErrIndexNotReady // immutable

	// ErrNotRegistered: the table was not given to Open.
	ErrNotRegistered = errors.New("tito: table is not part of this database")

	// ErrEvent: an event was published by another table than the one it is read
	// for, or by none.
	ErrEvent = errors.New("tito: not an event of the table")

	// ErrOptions: an option of Open is out of range, or those of a write do not
	// fit it.
	ErrOptions = errors.New("tito: invalid options")

	// ErrQuery: the query contradicts itself or its table.
	ErrQuery = errors.New("tito: invalid query")

	// ErrBadCursor: the page cursor is not one that this query gave out.
	ErrBadCursor = errors.New("tito: bad cursor")

	// ErrMissing: a Strict relation refers to a row that does not exist.
	ErrMissing = errors.New("tito: related row is missing")
)

// DuplicateError says which unique index refused a write, and who owns the
// value. It wraps ErrDuplicate.
type DuplicateError struct {
	Table string
	Index string
	Owner any // the id of the row that has the value, of the table's id type
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v: table %q, index %q", ErrDuplicate, e.Table, e.Index)
}

// Unwrap returns ErrDuplicate.
func (e *DuplicateError) Unwrap() error { return ErrDuplicate }

// RowError says which row a failure is about.
type RowError struct {
	Table string
	ID    any // of the table's id type
	Err   error
}

func (e *RowError) Error() string {
	return fmt.Sprintf("table %q, row %v: %v", e.Table, e.ID, e.Err)
}

// Unwrap returns the failure itself.
func (e *RowError) Unwrap() error { return e.Err }
