package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tito-db/tito-go/kv"
)

// fuse remembers the first write failure of a store. Once blown it stays blown.
type fuse struct {
	failure atomic.Pointer[failure]
	log     *slog.Logger
	closing chan struct{} // closed when the store is being closed
}

func newFuse(log *slog.Logger) *fuse { return &fuse{log: log, closing: make(chan struct{})} }

// failure is why a store is unusable, in the words of the two kinds of caller.
type failure struct {
	cause       error // of a commit that was under way
	unavailable error // of every other call: wraps kv.ErrUnavailable
}

func (f *fuse) blow(cause error) {
	unavailable := fmt.Errorf("%w: it failed and has to be reopened: %w", kv.ErrUnavailable, cause)
	if f.failure.CompareAndSwap(nil, &failure{cause, unavailable}) {
		f.log.Error("pebble: the store failed and has to be reopened", "cause", cause)
	}
}

func (f *fuse) blown() bool { return f.failure.Load() != nil }

// err is nil, or what calls fail with once the fuse has blown.
func (f *fuse) err() error {
	if p := f.failure.Load(); p != nil {
		return p.unavailable
	}
	return nil
}

// commitErr is nil, or what a commit fails with that has reached the engine.
func (f *fuse) commitErr() error {
	if p := f.failure.Load(); p != nil {
		return fmt.Errorf("%w: %w", kv.ErrCommitUnknown, p.cause)
	}
	return nil
}

// try runs a write, or drops it when the fuse has blown. A failure blows the
// fuse and is then hidden: Pebble panics, ends the process or stalls on write
// errors, so it is told that all is well while the files keep the state of the
// moment of the failure.
func (f *fuse) try(write func() error) {
	if f.blown() {
		return
	}
	if err := write(); err != nil {
		f.blow(err)
	}
}

// fuseFS puts a fuse before every write in dir. Writes outside of dir, which a
// checkpoint makes, report their errors as usual.
type fuseFS struct {
	vfs.FS
	*fuse
	dir string // clean
}

// guards tells whether name is the directory or lies in it.
func (f fuseFS) guards(name string) bool {
	rest, ok := strings.CutPrefix(name, f.dir)
	return ok && (rest == "" || os.IsPathSeparator(rest[0]))
}

func (f fuseFS) Unwrap() vfs.FS { return f.FS }

func (f fuseFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f fuseFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f fuseFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

func (f fuseFS) OpenDir(name string) (vfs.File, error) {
	d, err := f.FS.OpenDir(name)
	if err != nil || !f.guards(name) {
		return d, err
	}
	return fuseFile{d, f.fuse}, nil
}

// Open opens a file for reading. Once the fuse has blown it takes its time:
// Pebble goes on compacting, and retries at once when a table is missing that
// it believes to have written.
func (f fuseFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if f.blown() && f.guards(name) {
		pause := time.NewTimer(retryPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-f.closing:
		}
	}
	return f.FS.Open(name, o...)
}

const retryPause = 100 * time.Millisecond

// file opens a file for writing.
func (f fuseFS) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !f.guards(name) {
		return open()
	}
	var file vfs.File
	f.try(func() (err error) { file, err = open(); return err })
	if file == nil {
		// This file stands in for the file that must not be written, and stays empty.
		var err error
		if file, err = vfs.NewMem().Create("lost", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
	}
	return fuseFile{file, f.fuse}, nil
}

func (f fuseFS) Link(old, name string) error {
	return f.change(name, func() error { return f.FS.Link(old, name) })
}

func (f fuseFS) Rename(old, name string) error {
	return f.change(name, func() error { return f.FS.Rename(old, name) })
}

func (f fuseFS) change(name string, op func() error) error {
	if !f.guards(name) {
		return op()
	}
	f.try(op)
	return nil
}

// Remove keeps every file once the fuse has blown: what Pebble thinks obsolete
// by then may be the only copy. A failed removal does no harm and is reported.
func (f fuseFS) Remove(name string) error {
	if f.guards(name) && f.blown() {
		return nil
	}
	return f.FS.Remove(name)
}

func (f fuseFS) RemoveAll(name string) error {
	if f.guards(name) && f.blown() {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// Lock tells "somebody has it" from "cannot make the lock file".
func (f fuseFS) Lock(name string) (io.Closer, error) {
	c, err := f.FS.Lock(name)
	if err != nil && heldElsewhere(err) {
		return nil, fmt.Errorf("%w: %w", kv.ErrLocked, err)
	}
	return c, err
}

func heldElsewhere(err error) bool {
	var path *fs.PathError
	if errors.As(err, &path) {
		return false // the lock file could not be made
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return true // within this process
	}
	const sharingViolation syscall.Errno = 32
	return errno == syscall.EAGAIN || errno == syscall.EACCES || runtime.GOOS == "windows" && errno == sharingViolation
}

// fuseFile drops writes when the fuse has blown.
type fuseFile struct {
	vfs.File
	*fuse
}

func (f fuseFile) Write(p []byte) (int, error) {
	f.try(func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

func (f fuseFile) WriteAt(p []byte, off int64) (int, error) {
	f.try(func() error { _, err := f.File.WriteAt(p, off); return err })
	return len(p), nil
}

func (f fuseFile) Sync() error {
	f.try(f.File.Sync)
	return nil
}

func (f fuseFile) SyncData() error {
	f.try(f.File.SyncData)
	return nil
}

func (f fuseFile) SyncTo(n int64) (full bool, _ error) {
	f.try(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, nil
}

func (f fuseFile) Preallocate(off, n int64) error {
	if f.blown() {
		return nil
	}
	return f.File.Preallocate(off, n) // a hint: Pebble ignores its errors
}

// Close always closes, so that no descriptor leaks.
func (f fuseFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.blow(err)
	}
	return nil
}
