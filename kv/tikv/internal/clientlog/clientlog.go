// Package clientlog takes what TiKV's client library logs. The library has one
// logger for the whole process, which by default writes to standard output, and
// its lines do not tell which of the process's clients they are about. Here each
// line goes to the loggers of all stores that are open, and nowhere while there
// are none.
//
// The library logs as warnings what it retries, and as errors what its callers
// learn of. So this package lowers each line's level by one.
package clientlog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pingcap/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// process-wide: it stands in for the library's logger, which is.
var process hub

// hub hands lines to all who listen.
type hub struct {
	install   sync.Once
	mu        sync.Mutex // of changes
	listeners atomic.Pointer[[]listener]
}

type listener struct {
	to *slog.Logger
	n  int // stores with that logger
}

// Listen makes the library quiet and, if l is not nil, sends what it logs to l
// until stop is called, once. It replaces the library's logger at the first
// call in the process.
func Listen(l *slog.Logger) (stop func()) {
	process.install.Do(func() {
		level := zap.NewAtomicLevelAt(zapcore.InfoLevel)
		log.ReplaceGlobals(Zap(), &log.ZapProperties{Core: core{}, Level: level})
	})
	if l == nil {
		return func() {}
	}
	process.change(l, 1)
	return func() { process.change(l, -1) }
}

// Zap returns a logger whose lines go the same way.
func Zap() *zap.Logger {
	return zap.New(core{}, zap.WithFatalHook(goOn{}))
}

func (h *hub) change(l *slog.Logger, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.list())
	i := slices.IndexFunc(list, func(x listener) bool { return x.to == l })
	if i < 0 {
		i, list = len(list), append(list, listener{to: l})
	}
	if list[i].n += by; list[i].n == 0 {
		list = slices.Delete(list, i, i+1)
	}
	h.listeners.Store(&list)
}

func (h *hub) list() []listener {
	if p := h.listeners.Load(); p != nil {
		return *p
	}
	return nil
}

// goOn does nothing. zap calls it after a line that the library calls fatal; each
// place that logs such a line goes on to return an error.
type goOn struct{}

func (goOn) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) {}

// core is the end of a zap logger that sends its lines to the hub.
type core struct {
	fields []zapcore.Field
}

// Enabled leaves out debug lines, which the library writes at every call.
func (core) Enabled(l zapcore.Level) bool {
	return l >= zapcore.InfoLevel && len(process.list()) > 0
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{append(slices.Clip(c.fields), fields...)}
}

func (c core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := lower(e.Level)
	for _, to := range process.list() {
		if ctx := context.Background(); to.to.Enabled(ctx, level) {
			to.to.LogAttrs(ctx, level, "tikv client: "+e.Message, attrs(c.fields, fields)...)
		}
	}
	return nil
}

func (core) Sync() error { return nil }

func lower(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.WarnLevel:
		return slog.LevelDebug
	case l < zapcore.ErrorLevel:
		return slog.LevelInfo
	case l < zapcore.DPanicLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

func attrs(lists ...[]zapcore.Field) []slog.Attr {
	var all []slog.Attr
	for _, fields := range lists {
		for _, f := range fields {
			enc := zapcore.NewMapObjectEncoder()
			f.AddTo(enc)
			for name, value := range enc.Fields {
				all = append(all, slog.Any(name, value))
			}
		}
	}
	return all
}
