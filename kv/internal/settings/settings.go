// Package settings is what a driver keeps in a store about the store itself: the
// number of its format, the lifetime of its read-write transactions and the
// highest version that may have been handed out. The package says what is checked
// when a store is opened and which error tells of it; where and in which bytes the
// numbers lie is each driver's, and docs/format.md specifies it.
package settings

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// tooHigh is a version of about the year 3085. A store that had reserved it would
// soon have no next version.
const tooHigh = 1 << 63

// Field names one of the numbers.
type Field uint8

// The numbers, in the order in which Load reads them: what the others mean depends
// on the format.
const (
	Format   Field = iota
	Lifetime       // in nanoseconds
	Reserved
)

// Settings are what a store's own numbers say, besides its format.
type Settings struct {
	// Lifetime bounds read-write transactions, for all processes alike.
	Lifetime time.Duration

	// Reserved is at or above every version that was ever handed out.
	Reserved kv.Version
}

// New returns the settings of a store that is being created. A lifetime of zero
// takes the default.
func New(lifetime time.Duration) Settings {
	return Settings{Lifetime: cmp.Or(lifetime, kv.DefaultTxnLifetime)}
}

// Load takes a store's settings from its numbers, each of which read returns.
// known is the highest format that the driver can use.
func Load(known uint64, read func(Field) (uint64, error)) (Settings, error) {
	format, err := read(Format)
	if err != nil {
		return Settings{}, err
	}
	if err := CheckFormat(format, known); err != nil {
		return Settings{}, err
	}
	lifetime, err := read(Lifetime)
	if err != nil {
		return Settings{}, err
	}
	reserved, err := read(Reserved)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Lifetime: time.Duration(lifetime), Reserved: kv.Version(reserved)}
	if err := CheckLifetime(s.Lifetime); err != nil {
		return Settings{}, err
	}
	if s.Reserved >= tooHigh {
		return Settings{}, fmt.Errorf("%w: its reserved version is out of range", kv.ErrCorrupt)
	}
	return s, nil
}

// Store hands each number to write, as a store of the given format keeps it.
func (s Settings) Store(format uint64, write func(Field, uint64) error) error {
	for f, n := range [...]uint64{Format: format, Lifetime: uint64(s.Lifetime), Reserved: uint64(s.Reserved)} {
		if err := write(Field(f), n); err != nil {
			return err
		}
	}
	return nil
}

// Agree returns an error that wraps kv.ErrOptions if the program asks for another
// lifetime than the store's. Zero asks for none.
func Agree(stored, asked time.Duration) error {
	if asked != 0 && asked != stored {
		return fmt.Errorf("%w: TxnLifetime is %v, but the store has %v", kv.ErrOptions, asked, stored)
	}
	return nil
}

// CheckFormat returns an error that wraps kv.ErrNewerFormat if a store's format is
// above the highest one that the program knows, and kv.ErrCorrupt if it is 0, which
// no store ever had.
func CheckFormat(format, known uint64) error {
	switch {
	case format == 0:
		return fmt.Errorf("%w: its format is 0, which never was one", kv.ErrCorrupt)
	case format > known:
		return fmt.Errorf("%w: the store has format %d, this program knows formats up to %d: "+
			"open the store with the version of the program that made it, or a newer one", kv.ErrNewerFormat, format, known)
	}
	return nil
}

// CheckLifetime returns an error that wraps kv.ErrCorrupt if no transaction could
// live for a store's lifetime.
func CheckLifetime(stored time.Duration) error {
	if stored <= 0 {
		return fmt.Errorf("%w: its lifetime of transactions is out of range", kv.ErrCorrupt)
	}
	return nil
}

// AppendNumber appends a number as the drivers store it: 8 bytes, big-endian.
func AppendNumber(dst []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(dst, n) }

// ParseNumber reads what AppendNumber has appended to nothing. Any other length,
// none for a number that is missing among them, is an error that wraps kv.ErrCorrupt.
func ParseNumber(v []byte) (uint64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: one of the driver's own values has %d bytes", kv.ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
