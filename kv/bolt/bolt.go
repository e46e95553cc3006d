package bolt

import (
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Defaults and bounds of Options.
const (
	// DefaultMaxSize is 64 GiB, or 256 MiB where addresses have 32 bits.
	DefaultMaxSize = 1 << (28 + 8*(^uint(0)>>63))

	MinMaxSize         = 4 << 20
	DefaultLockTimeout = 100 * time.Millisecond
)

// Options of a bbolt store. The zero value means the defaults; nil works too.
type Options struct {
	kv.Options

	// MaxSize bounds the file, in bytes. Address space for that much is taken
	// when the store is opened, memory and disk are not. A commit for which the
	// file would have to grow above it fails with kv.ErrUnavailable, and nothing
	// is written; reading goes on, and so do commits that need no new pages.
	// Then open the store again with a larger MaxSize, or Compact it. Default
	// DefaultMaxSize, at least MinMaxSize.
	MaxSize int

	// LockTimeout is how long Open waits for another process, or another Store in
	// this process, to close the file. Default DefaultLockTimeout.
	LockTimeout time.Duration

	// Verify makes Open check the structure of the whole file. Without it, Open
	// reads at most 4 MiB of pages from the top of the tree: the whole of a small
	// file, or all inner pages of a file of some hundred MiB.
	Verify bool
}

// withDefaults returns a copy of o with the fields of this package set, or an
// error that wraps kv.ErrOptions.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.MaxSize == 0 {
		c.MaxSize = DefaultMaxSize
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = DefaultLockTimeout
	}
	common := &c.Options
	if err := common.Validate(); err != nil {
		return c, err
	}
	switch {
	case c.MaxSize < MinMaxSize:
		return c, fmt.Errorf("%w: MaxSize is below %d", kv.ErrOptions, MinMaxSize)
	case c.LockTimeout < 0:
		return c, fmt.Errorf("%w: LockTimeout is negative", kv.ErrOptions)
	}
	return c, nil
}

// Open opens the store in file, and makes it, readable by its owner only, if
// need be; the folder must exist. Errors wrap kv.ErrLocked if the store is open
// already, in this process or another; kv.ErrCorrupt if the file is damaged or
// somebody else's; kv.ErrNewerFormat if a newer version of this package made the
// store; kv.ErrOptions if o is out of range or contradicts the store; and
// kv.ErrUnavailable together with the operating system's error otherwise.
//
// The store's As knows *bbolt.DB, for statistics and backups (bbolt.Tx.WriteTo).
// A program that opens bbolt transactions through it has to end them before Close,
// which waits for them; while such a transaction writes, no commit goes on.
func Open(file string, o *Options) (*kv.Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := open(file, &opts)
	if err != nil {
		return nil, fmt.Errorf("kv: open bbolt store: %w", err)
	}
	return kv.NewStore(d, &opts.Options)
}
