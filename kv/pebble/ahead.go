package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// aheadStep is how much disk a log takes at a time. Pebble asks for more than a
// memtable's size at once, for each of the two logs or so that it has.
const aheadStep = 4 << 20

// ahead takes what a file is to get in steps, as it is written from its
// beginning to its end. It is used by the goroutine that writes.
type ahead struct {
	wanted, taken, written int64 // offsets in the file
}

// want notes that n bytes from off are going to be written.
func (a *ahead) want(f vfs.File, off, n int64) error {
	a.wanted = max(a.wanted, off+n)
	a.taken = max(a.taken, off)
	return a.take(f)
}

// wrote notes that n bytes more have been written.
func (a *ahead) wrote(f vfs.File, n int) {
	a.written += int64(n)
	_ = a.take(f) // a hint
}

func (a *ahead) take(f vfs.File) error {
	if a.taken >= a.wanted || a.written < a.taken-aheadStep/2 {
		return nil
	}
	from := a.taken
	a.taken = min(a.wanted, max(from, a.written)+aheadStep)
	return f.Preallocate(from, a.taken-from)
}
