package catalog

import "errors"

// The sentinels of definitions, which package tito exports.
var (
	// ErrSchema: a definition is invalid, or contradicts what the store has.
	ErrSchema = errors.New("tito: schema error")

	// ErrIndexNotReady: an index does not have an entry for every row.
	ErrIndexNotReady = errors.New("tito: index is not built")
)
