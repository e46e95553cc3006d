package record

import (
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

// Errors has the sentinels for a rowenc.Reader.
var Errors = rowenc.Errors{Corrupt: ErrCorrupt, Newer: ErrNewerFormat} // immutable
