package pebble

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tito-db/tito-go/kv"
)

// The first byte of a key tells whose it is.
const (
	ownSpace  = 0x00 // the driver's
	userSpace = 0x01 // the store's users'
	endSpace  = 0x02
)

// formatNumber is the layout of the keys and values below. A store with
// another one is not opened.
const formatNumber = 1

// The driver's own keys. Each value is a big-endian uint64.
var ( // immutable
	formatKey   = []byte{ownSpace, 'f'}
	lifetimeKey = []byte{ownSpace, 'l'} // of read-write transactions, in nanoseconds
	reservedKey = []byte{ownSpace, 'r'} // no higher version was ever handed out
	versionKey  = []byte{ownSpace, 'v'} // of the newest commit; each commit writes it
)

// state is what the driver's own keys say.
type state struct {
	lifetime          time.Duration
	reserved, version kv.Version
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
	var format, life, reserved, version uint64
	for _, f := range []struct {
		key []byte
		to  *uint64
	}{{formatKey, &format}, {lifetimeKey, &life}, {reservedKey, &reserved}, {versionKey, &version}} {
		if *f.to, err = readNumber(db, f.key); err != nil {
			return state{}, err
		}
		if format != formatNumber {
			return state{}, fmt.Errorf("%w: its format is %d, this program reads %d", kv.ErrCorrupt, format, formatNumber)
		}
	}
	s := state{time.Duration(life), kv.Version(reserved), kv.Version(version)}
	switch {
	case s.lifetime <= 0 || s.reserved < s.version:
		return state{}, fmt.Errorf("%w: the driver's own keys contradict one another", kv.ErrCorrupt)
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
	setNumber(b, formatKey, formatNumber)
	setNumber(b, lifetimeKey, uint64(lifetime))
	setNumber(b, reservedKey, 0)
	setNumber(b, versionKey, 0)
	if err := db.Apply(b, pebble.Sync); err != nil {
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

// setNumber adds a pair of the driver's to b.
func setNumber(b *pebble.Batch, key []byte, n uint64) {
	op := deferNumber(b, key)
	binary.BigEndian.PutUint64(op, n)
}

// deferNumber adds a pair of the driver's to b, whose value the caller fills
// in before b is applied. Nothing may be added to b after it.
func deferNumber(b *pebble.Batch, key []byte) []byte {
	op := b.SetDeferred(len(key), 8)
	copy(op.Key, key)
	_ = op.Finish() // fails on indexed batches only
	return op.Value
}

// readNumber returns the value of one of the driver's own keys.
func readNumber(r pebble.Reader, key []byte) (uint64, error) {
	v, done, err := r.Get(key)
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
