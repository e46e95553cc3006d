package pebble

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

// The first byte of a key tells whose it is.
const (
	userSpace = 0x01 // the store's users'; the driver's own is 0x00
	endSpace  = 0x02
)

// formatNumber is the layout of the keys and values of this file. A store with a
// higher one is not opened.
const formatNumber = 1

// ownKeys are the driver's own keys. The value of each is a settings number.
var ownKeys = [...]string{ // immutable
	settings.Format:   "\x00f",
	settings.Lifetime: "\x00l",
	settings.Reserved: "\x00r",
}

// loadSettings reads the driver's own keys. It makes them if the store is new.
func loadSettings(db *pebble.DB, lifetime time.Duration) (settings.Settings, error) {
	fresh, err := empty(db)
	if err != nil {
		return settings.Settings{}, err
	}
	if fresh {
		return createSettings(db, lifetime)
	}
	s, err := settings.Load(formatNumber, func(f settings.Field) (uint64, error) { return readNumber(db, f) })
	if err != nil {
		return settings.Settings{}, err
	}
	return s, settings.Agree(s.Lifetime, lifetime)
}

func createSettings(db *pebble.DB, lifetime time.Duration) (settings.Settings, error) {
	s := settings.New(lifetime)
	b := db.NewBatch()
	defer func() { _ = b.Close() }()
	err := errors.Join(
		s.Store(formatNumber, func(f settings.Field, n uint64) error { return setNumber(b, f, n, nil) }),
		db.Apply(b, pebble.Sync))
	if err != nil {
		return settings.Settings{}, err
	}
	// Pebble cannot tell damage in the first log that a store ever had from a
	// tail that was cut off by a crash. After a flush it can.
	return s, db.Flush()
}

func empty(db *pebble.DB) (bool, error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return false, err
	}
	any := it.First()
	return !any, it.Close()
}

func setNumber(w pebble.Writer, f settings.Field, n uint64, o *pebble.WriteOptions) error {
	return w.Set([]byte(ownKeys[f]), settings.AppendNumber(nil, n), o)
}

// readNumber returns the value of one of the driver's own keys.
func readNumber(r pebble.Reader, f settings.Field) (uint64, error) {
	v, done, err := r.Get([]byte(ownKeys[f]))
	if err == pebble.ErrNotFound { //nolint:errorlint // the engine returns it bare
		return 0, fmt.Errorf("%w: one of the driver's own keys is missing", kv.ErrCorrupt)
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = done.Close() }()
	return settings.ParseNumber(v)
}
