package pebble

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tito-db/tito-go/kv"
)

// Defaults and bounds of Options.
const (
	DefaultCacheSize    = 64 << 20
	DefaultMemTableSize = 32 << 20
	MinMemTableSize     = 64 << 10
	MaxMemTableSize     = 1 << 30
)

// Options of a Pebble store. The zero value means the defaults; nil works too.
type Options struct {
	kv.Options

	// CacheSize is the memory for blocks of table files, in bytes. Default
	// DefaultCacheSize.
	CacheSize int64

	// MemTableSize is how many written bytes Pebble keeps in a memtable before it
	// writes that to a table file. Up to three memtables exist at a time, on top of
	// the cache. A larger size makes bulk loads faster and opening after a crash
	// slower. Default DefaultMemTableSize; from MinMemTableSize to
	// MaxMemTableSize.
	MemTableSize int

	// Logger gets what Pebble reports: its chatter at Debug, background errors
	// at Warn, and at Error what makes the store unusable. Its messages can
	// contain keys. Nil is quiet.
	Logger *slog.Logger

	// tune lets tests change what the engine is opened with, also its file system.
	tune func(*pebble.Options)
}

// withDefaults returns a copy of o with the fields of this package set, or an
// error that wraps kv.ErrOptions.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.CacheSize == 0 {
		c.CacheSize = DefaultCacheSize
	}
	if c.MemTableSize == 0 {
		c.MemTableSize = DefaultMemTableSize
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	common := &c.Options
	if err := common.Validate(); err != nil {
		return c, err
	}
	switch {
	case c.CacheSize < 0:
		return c, fmt.Errorf("%w: CacheSize is negative", kv.ErrOptions)
	case c.MemTableSize < MinMemTableSize || c.MemTableSize > MaxMemTableSize:
		return c, fmt.Errorf("%w: MemTableSize is not within %d to %d", kv.ErrOptions, MinMemTableSize, MaxMemTableSize)
	}
	return c, nil
}

// engine returns the options for Pebble itself, chosen for a small machine
// that also runs the application.
func (o *Options) engine() *pebble.Options {
	e := &pebble.Options{
		FS: vfs.Default,

		// A fixed version: the newest would change with Pebble's version, and a store
		// cannot go back to an older version.
		FormatMajorVersion: pebble.FormatValueSeparation,

		// Pebble takes the memtables' memory out of the cache's.
		CacheSize:    o.CacheSize + memTables*int64(o.MemTableSize),
		MemTableSize: uint64(o.MemTableSize),

		// Commits go on in the other memtables while Pebble flushes one. Compactions
		// begin at few files in L0, which keeps reads fast; writers stop at many
		// files, so that a bulk load does not stop.
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               2 * int64(o.MemTableSize),
		MaxOpenFiles:                512,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
	}
	e.TargetFileSizes[0] = max(int64(o.MemTableSize)/8, 64<<10)
	for i := range e.Levels {
		l := &e.Levels[i]
		// Filters on all levels: most unique keys that are checked are absent.
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.FilterType = pebble.TableFilter
		l.BlockSize = blockSize
		l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	if o.tune != nil {
		o.tune(e)
	}
	return e
}

// memTables is how many memtables there may be.
const memTables = 3

// blockSize of tables, uncompressed.
const blockSize = 8 << 10
