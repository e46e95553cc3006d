package kv

import (
	"fmt"
	"time"
)

// Defaults of Options and of the limits that drivers report unless their
// engine needs others.
const (
	DefaultMaxKeySize   = 2048
	DefaultMaxValueSize = 6 << 20
	DefaultMaxTxnSize   = 10 << 20
	DefaultTxnLifetime  = 15 * time.Second
	DefaultViewLifetime = 5 * time.Minute
	DefaultMaxAttempts  = 100
	DefaultMinBackoff   = 200 * time.Microsecond
	DefaultMaxBackoff   = 100 * time.Millisecond
)

// DefaultLimits are the limits of an engine that has none of its own.
func DefaultLimits() Limits {
	return Limits{MaxKeySize: DefaultMaxKeySize, MaxValueSize: DefaultMaxValueSize, MaxTxnSize: DefaultMaxTxnSize}
}

// Durability says when a commit returns.
type Durability uint8

const (
	// DurabilityDefault takes the store's, which by default is Sync.
	DurabilityDefault Durability = iota

	// Sync commits survive a crash of process and machine, and so does every
	// commit before one.
	Sync

	// NoSync commits are visible at once and durable some time later, in order: a
	// crash loses a tail of commits and never one in the middle. WaitDurable or
	// any later Sync commit makes it durable.
	NoSync
)

// Options of a Store. The zero value means the defaults; nil works too.
type Options struct {
	// TxnLifetime bounds read-write transactions: past it reads and Commit
	// fail with ErrTxnTooOld and the snapshot is released. The store keeps it;
	// zero takes what the store has (15 s when it is created), another value
	// than the store's fails to open with ErrOptions.
	TxnLifetime time.Duration

	// ViewLifetime bounds read-only transactions, which fail with
	// ErrSnapshotTooOld. Default 5 minutes; TxnOptions can set another.
	ViewLifetime time.Duration

	// MaxTxnSize bounds the keys and values written and the keys locked by one
	// transaction, in bytes. Default 10 MiB, or the engine's limit if lower.
	MaxTxnSize int

	// Durability of commits that do not choose their own. Default Sync.
	Durability Durability

	// MaxAttempts bounds how often Update runs its function, the first time
	// included. Default 100.
	MaxAttempts int

	// MinBackoff and MaxBackoff are the first and the highest bound of the pause
	// between two attempts. The bound doubles with each attempt, and Update draws the
	// pause at random between zero and the bound. Defaults 200 µs and 100 ms.
	MinBackoff, MaxBackoff time.Duration

	// Wrap, if set, is put around the driver when the store is opened: to see its
	// calls with Intercept, or to count them and inject faults with package
	// kvtest/kvfault. It returns a Driver that passes As on.
	Wrap func(Driver) Driver
}

// Validate returns an error that wraps ErrOptions if a field is out of range.
// NewStore checks too; a driver that keeps something of the options in a new
// store calls it before.
func (o *Options) Validate() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults returns a copy of o with every zero field set, or an error that
// wraps ErrOptions.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"TxnLifetime", c.TxnLifetime}, {"ViewLifetime", c.ViewLifetime}, {"MinBackoff", c.MinBackoff}, {"MaxBackoff", c.MaxBackoff}} {
		if d.v < 0 {
			return c, fmt.Errorf("%w: %s is negative", ErrOptions, d.name)
		}
	}
	if c.MaxTxnSize < 0 || c.MaxAttempts < 0 {
		return c, fmt.Errorf("%w: MaxTxnSize or MaxAttempts is negative", ErrOptions)
	}
	if c.Durability > NoSync {
		return c, fmt.Errorf("%w: unknown Durability %d", ErrOptions, c.Durability)
	}
	orDefault(&c.ViewLifetime, DefaultViewLifetime)
	orDefault(&c.MinBackoff, DefaultMinBackoff)
	orDefault(&c.MaxBackoff, max(DefaultMaxBackoff, c.MinBackoff))
	orDefault(&c.MaxTxnSize, DefaultMaxTxnSize)
	orDefault(&c.MaxAttempts, DefaultMaxAttempts)
	orDefault(&c.Durability, Sync)
	if c.MinBackoff > c.MaxBackoff {
		return c, fmt.Errorf("%w: MinBackoff is above MaxBackoff", ErrOptions)
	}
	return c, nil
}

func orDefault[V comparable](v *V, def V) {
	var zero V
	if *v == zero {
		*v = def
	}
}

// TxnOptions of one transaction. The zero value means a read-write transaction
// with the store's settings; nil works too.
type TxnOptions struct {
	// ReadOnly makes every write and lock fail with ErrReadOnly.
	ReadOnly bool

	// Durability of the commit.
	Durability Durability

	// Lifetime shortens a read-write transaction's lifetime, or sets a
	// read-only one's. Zero takes the store's.
	Lifetime time.Duration

	// MaxAttempts bounds how often Run runs its function. Zero takes the store's.
	MaxAttempts int
}
