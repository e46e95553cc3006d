package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// The first byte of a key tells whose it is.
const (
	userSpace = 0x01 // the store's users'; the driver's own is 0x00
	endSpace  = 0x02
)

// formatNumber is the layout of the keys and values below. A store with
// another one is not opened.
const formatNumber = 1

// The driver's own keys. Each value is a big-endian uint64.
const (
	formatKey   = "\x00f"
	lifetimeKey = "\x00l" // of read-write transactions, in nanoseconds
	reservedKey = "\x00r" // no higher version was ever handed out
)

// state is what the driver's own keys say.
type state struct {
	lifetime time.Duration
	reserved kv.Version
}

// loadState reads the driver's own keys. It makes them if the store is new.
func loadState(db *pebble.DB, lifetime time.Duration) (state, error) {
	fresh, err := empty(db)
	if err != nil {
		return state{}, err
	}
	if fresh {
		return createState(db, lifetime)
	}
	var format, life, reserved uint64
	for _, f := range []struct {
		key string
		to  *uint64
	}{{formatKey, &format}, {lifetimeKey, &life}, {reservedKey, &reserved}} {
		if *f.to, err = readNumber(db, f.key); err != nil {
			return state{}, err
		}
		if format != formatNumber {
			return state{}, fmt.Errorf("%w: its format is %d, this program reads %d", kv.ErrCorrupt, format, formatNumber)
		}
	}
	s := state{time.Duration(life), kv.Version(reserved)}
	switch {
	case s.lifetime <= 0:
		return state{}, fmt.Errorf("%w: its lifetime of transactions is out of range", kv.ErrCorrupt)
	case lifetime != 0 && lifetime != s.lifetime:
		return state{}, fmt.Errorf("%w: TxnLifetime is %v, but the store has %v", kv.ErrOptions, lifetime, s.lifetime)
	}
	return s, nil
}

func createState(db *pebble.DB, lifetime time.Duration) (state, error) {
	if lifetime == 0 {
		lifetime = kv.DefaultTxnLifetime
	}
	b := db.NewBatch()
	defer func() { _ = b.Close() }()
	err := errors.Join(
		setNumber(b, formatKey, formatNumber, nil),
		setNumber(b, lifetimeKey, uint64(lifetime), nil),
		setNumber(b, reservedKey, 0, nil),
		db.Apply(b, pebble.Sync))
	if err != nil {
		return state{}, err
	}
	// Pebble cannot tell damage in the first log that a store ever had from a
	// tail that was cut off by a crash. After a flush it can.
	return state{lifetime: lifetime}, db.Flush()
}

func empty(db *pebble.DB) (bool, error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return false, err
	}
	any := it.First()
	return !any, it.Close()
}

func setNumber(w pebble.Writer, key string, n uint64, o *pebble.WriteOptions) error {
	return w.Set([]byte(key), binary.BigEndian.AppendUint64(nil, n), o)
}

// readNumber returns the value of one of the driver's own keys.
func readNumber(r pebble.Reader, key string) (uint64, error) {
	v, done, err := r.Get([]byte(key))
	if err == pebble.ErrNotFound { //nolint:errorlint // the engine returns it bare
		return 0, fmt.Errorf("%w: one of the driver's own keys is missing", kv.ErrCorrupt)
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = done.Close() }()
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: one of the driver's own values has %d bytes", kv.ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
