package pebble

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// privateFS makes files and directories that nobody but their owner can read.
// What exists keeps its mode. It is put on the operating system's files only.
type privateFS struct{ vfs.FS }

const (
	privateFile = 0o600
	privateDir  = 0o700
)

func (p privateFS) Unwrap() vfs.FS { return p.FS }

func (p privateFS) MkdirAll(dir string, _ os.FileMode) error { return p.FS.MkdirAll(dir, privateDir) }

// Create replaces what is there, as the one below does.
func (p privateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	for {
		err := create(name)
		if err == nil {
			return p.FS.OpenReadWrite(name, c)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

func (p privateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := create(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return p.FS.OpenReadWrite(name, c, o...)
}

// Lock opens no file that exists: to close it again would end the lock that this
// process may have on it.
func (p privateFS) Lock(name string) (io.Closer, error) {
	if err := create(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return p.FS.Lock(name)
}

// create makes an empty file, and fails if there is one.
func create(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return err
	}
	return f.Close()
}
