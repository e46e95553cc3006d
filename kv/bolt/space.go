package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/tito-db/tito-go/kv"
)

// bbolt lets a page be used again under an open snapshot if both the taking and
// the freeing of it came after the snapshot, and it notes who takes a page only
// when the page comes from its list of free pages. A page by which the file
// grows has no such note: overwritten once, it is lost until the snapshot ends.
// So a store that runs out of free pages under a snapshot would grow with every
// commit, however little that writes.
//
// Therefore such a store is extended between commits: pages behind the end of
// the database, which no snapshot can see, are put onto the list. bbolt has no
// call for that. The driver writes a list and a meta page of its own, as bbolt
// would in a transaction that does nothing else, and has bbolt read its list
// again, which it does when it rolls back after a panic.

// The driver writes the list with each commit as long as it is short. A long
// one takes longer to write than the commit, and needs so many pages in a row
// that these often come from the end of the file. bbolt can do without the list:
// it then reads the whole tree when the file is opened, and after a commit that
// finds no room.
const (
	maxListed   = 8 << 10 // free pages
	listPause   = 4 << 10 // pages taken until the list is written again after an extension
	almostFull  = 64 << 20
	almostShare = 8 // of MaxSize, if less than almostFull: there the list is always written
)

// How far the database is extended at a time, in pages.
const (
	minExtension = 1 << 8
	maxExtension = 1 << 11
)

// space is what the driver knows of the pages of its file. It is used with the
// right to commit only.
type space struct {
	maxSize int

	room  uint64 // pages that the file may have
	pages uint64 // of the database
	grown uint64 // by how many the last commit that found too few free ones made it grow; 0 once it is extended
	free  uint64 // pages on the list that was written last, those that snapshots hold included
	taken uint64 // pages that transactions have taken since
	pause uint64 // so many of them are to be taken before the list is written again
	list  bool   // the newest commit has written it
}

// listing tells whether the next commit should write the list.
func (s *space) listing() bool { return s.taken >= s.pause || s.almostFull() }

func (s *space) almostFull() bool {
	const pageSize = 4 << 10 // or more
	return s.pages+min(s.room/almostShare, almostFull/pageSize) > s.room
}

// look reads what the newest commit has left.
func (s *space) look(f *os.File) error {
	m, err := newestMeta(f, math.MaxInt64)
	if err != nil {
		return err
	}
	if s.pages > 0 && m.pages > s.pages {
		s.grown = m.pages - s.pages
	}
	s.pages, s.list = m.pages, m.freeList != noFreeList
	s.room = uint64(s.maxSize) / m.pageSize
	if !s.list {
		return nil
	}
	s.taken, s.pause = 0, 0
	if s.free, err = listLength(f, m); s.free > maxListed {
		s.pause = s.free / 4
	}
	return err
}

func listLength(f *os.File, m meta) (uint64, error) {
	var b [headerSize + 8]byte
	if _, err := f.ReadAt(b[:], int64(m.freeList*m.pageSize)); err != nil {
		return 0, err
	}
	if n := u16(b[10:]); n < math.MaxUint16 {
		return uint64(n), nil
	}
	return u64(b[headerSize:]), nil
}

// keepFree extends the database if a snapshot is open and the last commits have
// not found enough free pages. Not to be able to is no error: the file grows
// instead, if it may.
func (d *driver) keepFree() error {
	if d.space.grown == 0 || d.snapshots.Load() == 0 {
		return nil
	}
	err := d.findRoom()
	switch {
	case d.err() != nil:
		return d.err() // of the commit that is to follow, nothing has been written
	case err != nil && !errors.Is(err, berrors.ErrMaxSizeReached) && !errors.Is(err, errNotNow):
		return unavailable(err)
	}
	d.space.grown = 0
	return nil
}

func (d *driver) findRoom() error {
	nothing := func(*bbolt.Tx) error { return nil }
	if !d.space.list {
		if err := d.commit(nothing, true); err != nil {
			return err
		}
	}
	before, err := newestMeta(d.file, math.MaxInt64)
	if err != nil {
		return d.fail(err)
	}
	count := d.extension(before)
	if count == 0 {
		return errNotNow
	}
	free, err := readList(d.file, before)
	if err != nil {
		return d.fail(err)
	}
	// It frees the list's own pages and does nothing else.
	if err := d.commit(nothing, false); err != nil {
		return err
	}
	return d.extend(before, free, count)
}

// extension is by how many pages to extend, 0 if not at all. It is several
// times what is lost in doing so: the pages of two lists, and those that made it
// necessary.
func (d *driver) extension(m meta) uint64 {
	lists := 2 * (1 + d.space.free*8/m.pageSize)
	n := max(minExtension, min(m.pages/8, maxExtension), 4*(d.space.grown+lists))
	if left := d.space.room - min(m.pages, d.space.room); n > left/8 {
		return 0 // there has to be room for values that take many pages in a row
	}
	return n
}

// readList returns the numbers of the free pages, and of those that the list is on.
func readList(f *os.File, m meta) ([]uint64, error) {
	n, err := listLength(f, m)
	if err != nil {
		return nil, err
	}
	var header [headerSize]byte
	at := int64(m.freeList * m.pageSize)
	if _, err := f.ReadAt(header[:], at); err != nil {
		return nil, err
	}
	if n >= m.pages {
		return nil, fmt.Errorf("%w: the list of free pages is too long", kv.ErrCorrupt)
	}
	at += headerSize
	if u16(header[10:]) == math.MaxUint16 {
		at += 8
	}
	b := make([]byte, 8*n)
	if _, err := f.ReadAt(b, at); err != nil {
		return nil, err
	}
	ids := make([]uint64, 0, n+1)
	for i := range n {
		ids = append(ids, u64(b[8*i:]))
	}
	for i := range 1 + uint64(u32(header[12:])) {
		ids = append(ids, m.freeList+i)
	}
	return ids, nil
}

// extended is what extend panics with.
type extended struct{}

// errNotNow is why the database is not extended.
var errNotNow = errors.New("there is no room, or somebody else has written") // immutable

// extend adds count free pages to the database. The newest commit wrote nothing,
// the one before was before, and free are the pages that it left.
func (d *driver) extend(before meta, free []uint64, count uint64) (err error) {
	defer d.shield(debug.SetPanicOnFault(true), &err)
	defer func() {
		switch p := recover(); p {
		case nil:
		case extended{}:
			d.space.pages = 0 // this growth is not one for want of pages
			err = d.space.look(d.file)
			d.space.pause = max(d.space.pause, listPause)
		default:
			d.stuck.Store(true)
			panic(p)
		}
	}()
	return d.db.Update(func(tx *bbolt.Tx) error {
		m, err := newestMeta(d.file, math.MaxInt64)
		if err != nil {
			return d.fail(err)
		}
		if m.txn != uint64(tx.ID())-1 || m.txn != before.txn+1 || m.pages != before.pages || m.freeList != noFreeList {
			return errNotNow
		}
		e := extension{meta: m, free: free, count: count}
		if err := e.writeList(d.file); err != nil {
			return fmt.Errorf("%w: %w", errNotNow, err) // nothing refers to what was written
		}
		if err := e.writeMeta(d.file); err != nil {
			return d.fail(err)
		}
		panic(extended{})
	})
}

// extension is a transaction of bbolt that adds free pages.
type extension struct {
	meta  meta // before it
	free  []uint64
	count uint64
}

// list is the number of pages that the list takes.
func (e *extension) list() uint64 {
	return (headerSize+8*(1+uint64(len(e.free))+e.count))/e.meta.pageSize + 1
}

// pages is the number of pages of the database after it.
func (e *extension) pages() uint64 { return e.meta.pages + e.list() + e.count }

// writeList makes the new pages and puts the new list onto the first ones.
func (e *extension) writeList(f *os.File) error {
	ids := slices.Clone(e.free)
	for id := e.meta.pages + e.list(); id < e.pages(); id++ {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b := make([]byte, headerSize, e.list()*e.meta.pageSize)
	binary.NativeEndian.PutUint64(b, e.meta.pages)
	binary.NativeEndian.PutUint16(b[8:], freePage)
	binary.NativeEndian.PutUint16(b[10:], uint16(min(len(ids), math.MaxUint16)))
	binary.NativeEndian.PutUint32(b[12:], uint32(e.list()-1))
	if len(ids) >= math.MaxUint16 {
		b = binary.NativeEndian.AppendUint64(b, uint64(len(ids)))
	}
	for _, id := range ids {
		b = binary.NativeEndian.AppendUint64(b, id)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := int64(e.pages() * e.meta.pageSize); info.Size() < size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(b, int64(e.meta.pages*e.meta.pageSize)); err != nil {
		return err
	}
	return f.Sync()
}

// writeMeta makes it happen. Snapshots may be opened meanwhile: they take the
// newest meta page whose checksum is right.
func (e *extension) writeMeta(f *os.File) error {
	const metaPage = 0x04
	var b [headerSize + metaSize]byte
	if _, err := f.ReadAt(b[:], int64(e.meta.txn%2*e.meta.pageSize)); err != nil {
		return err
	}
	m := b[headerSize:]
	if old, ok := parseMeta(m); !ok || old != e.meta {
		return fmt.Errorf("%w: a meta page is not where it should be", kv.ErrCorrupt)
	}
	next := e.meta.txn + 1
	binary.NativeEndian.PutUint64(b[:], next%2)
	binary.NativeEndian.PutUint16(b[8:], metaPage)
	binary.NativeEndian.PutUint64(m[32:], e.meta.pages) // the list
	binary.NativeEndian.PutUint64(m[40:], e.pages())
	binary.NativeEndian.PutUint64(m[48:], next)
	sum := fnv.New64a()
	_, _ = sum.Write(m[:56])
	binary.NativeEndian.PutUint64(m[56:], sum.Sum64())
	if _, err := f.WriteAt(b[:], int64(next%2*e.meta.pageSize)); err != nil {
		return err
	}
	return f.Sync()
}
