package pebble

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/redact"
)

// logger takes what Pebble logs.
type logger struct{ *fuse }

func (l logger) Infof(format string, args ...any)  { l.logf(slog.LevelDebug, format, args) }
func (l logger) Errorf(format string, args ...any) { l.logf(slog.LevelWarn, format, args) }

// Fatalf returns, though Pebble's callers do not expect it to: they go on to
// return an error, while ending the goroutine would leave their locks held.
func (l logger) Fatalf(format string, args ...any) {
	l.blow(fmt.Errorf("pebble: %s", redact.Sprintf(format, args...).Redact().StripMarkers()))
}

func (l logger) logf(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "pebble: "+fmt.Sprintf(format, args...))
	}
}

// listener watches the engine's background work.
func listener(f *fuse) *pebble.EventListener {
	var failed atomic.Int32 // flushes and compactions that failed since the last success
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			f.log.Warn("pebble: background work failed", "error", err)
			if failed.Add(1) >= maxBackgroundErrors {
				f.blow(err)
			}
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			if i.Err == nil {
				failed.Store(0)
			}
		},
		// Pebble's default for this event ends the process. Whoever reads the table
		// gets the error anyway.
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			f.log.Error("pebble: data is corrupt", "path", i.Path, "error", i.Details)
		},
	}
}

// maxBackgroundErrors is how often background work may fail in a row before
// the store gives up. Without compactions Pebble would in the end make every
// commit wait for a compaction.
const maxBackgroundErrors = 16
