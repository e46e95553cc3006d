package access

import (
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
)

// The errors of stored rows, which package queue exports under the same names.
var (
	// ErrCorrupt is also kv.ErrCorrupt: a stored row cannot be what a queue wrote.
	ErrCorrupt error = &sentinel{"queue: store is corrupt", kv.ErrCorrupt} // immutable

	// ErrNewerFormat is also kv.ErrNewerFormat: a stored row has a format above the
	// one that this program knows.
	ErrNewerFormat error = &sentinel{"queue: newer format than this program knows", kv.ErrNewerFormat} // immutable

	// RowErrors are what a rowenc.Reader reports the faults of a row by.
	RowErrors = rowenc.Errors{Corrupt: ErrCorrupt, Newer: ErrNewerFormat} // immutable
)

// sentinel is an error with a text of its own that errors.Is finds to be below, too.
type sentinel struct {
	text  string
	below error
}

// Error returns the text.
func (s *sentinel) Error() string { return s.text }

// Unwrap returns the error below.
func (s *sentinel) Unwrap() error { return s.below }
