package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"

	"github.com/tito-db/tito-go/kv"
)

// bbolt's file, version 2, in the byte order of the machine that made it. Pages
// have equal sizes; a large one takes several in a row.
//
//	page header   id 8, flags 2, count 2, further pages 4
//	branch        per child:  offset 4, key size 4, page 8; then the keys
//	leaf          per pair:   flags 4, offset 4, key size 4, value size 4; then the pairs
//	free list     count page numbers, 8 each; count FFFF: the number of them comes first
//	meta          see parseMeta
//
// An offset counts from the beginning of its own element. A pair with flag 1 is
// a bucket: root page 8, sequence 8, and if root is 0 a leaf page of its own.
const (
	headerSize  = 16
	elementSize = 16
	bucketSize  = 16
	metaSize    = 64

	branchPage = 0x01
	leafPage   = 0x02
	freePage   = 0x10
	bucketFlag = 0x01

	noFreeList = math.MaxUint64
)

// checkPages bounds the pages that check reads unless it is asked for all.
const checkPages = 1024

// check reads the structure of a file from the top of its tree down, level by
// level, and returns an error that wraps kv.ErrCorrupt if bbolt would go wrong
// on it: panic, read beyond the end, run in circles, or write over pages that
// are in use.
func check(f io.ReaderAt, size int64, all bool) error {
	m, err := newestMeta(f, size)
	if err != nil {
		return err
	}
	if m.pages > uint64(size)/m.pageSize {
		return fmt.Errorf("%w: the file is cut off", kv.ErrCorrupt)
	}
	c := &checker{f: f, meta: m, left: checkPages, taken: make([]uint64, m.pages/64+1)}
	if all || m.freeList == noFreeList { // without a free list bbolt itself walks the whole tree
		c.left = math.MaxUint64
	}
	if err := c.freeList(); err != nil {
		return err
	}
	return c.tree()
}

// meta is what check needs of a meta page.
type meta struct {
	pageSize, root, freeList, pages, txn uint64
}

// newestMeta returns the meta page that bbolt is going to use.
func newestMeta(f io.ReaderAt, size int64) (meta, error) {
	first, ok := readMeta(f, 0)
	if ok {
		if second, ok := readMeta(f, int64(first.pageSize)); ok && second.txn > first.txn {
			return second, nil
		}
		return first, nil
	}
	// If the first meta page is damaged, the place of the second tells the page size.
	for pageSize := int64(1 << 10); pageSize <= 1<<24 && pageSize < size; pageSize <<= 1 {
		if m, ok := readMeta(f, pageSize); ok {
			return m, nil
		}
	}
	return meta{}, fmt.Errorf("%w: no valid meta page", kv.ErrCorrupt)
}

func readMeta(f io.ReaderAt, at int64) (meta, bool) {
	var b [headerSize + metaSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return meta{}, false
	}
	return parseMeta(b[headerSize:])
}

func parseMeta(b []byte) (meta, bool) {
	const (
		magic   = 0xED0CDAED
		version = 2
	)
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	if u32(b) != magic || u32(b[4:]) != version || u64(b[56:]) != sum.Sum64() {
		return meta{}, false
	}
	m := meta{pageSize: uint64(u32(b[8:])), root: u64(b[16:]), freeList: u64(b[32:]), pages: u64(b[40:]), txn: u64(b[48:])}
	return m, m.pageSize >= 1<<9 && m.pageSize <= 1<<24
}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// checker walks one file.
type checker struct {
	f     io.ReaderAt
	meta  meta
	left  uint64   // pages that may still be read
	taken []uint64 // a bit for each page that is free, or part of what has been read
	todo  []subtree
}

// take notes that a page is in use, and reports false if it was in use already.
func (c *checker) take(id uint64) bool {
	word, bit := &c.taken[id/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// subtree is a page and the keys that may be in it and below.
type subtree struct {
	page       uint64
	start, end []byte // end nil: unbounded
	buckets    bool   // its leaves hold buckets
}

// page is one page, together with the pages that continue it.
type page struct {
	flags uint16
	count int
	body  []byte // with the header
}

func (c *checker) corrupt(id uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", kv.ErrCorrupt, id, what)
}

// read returns a page. It is nil, without an error, if it has more than may be read.
func (c *checker) read(id uint64) (*page, error) {
	if id < 2 || id >= c.meta.pages {
		return nil, c.corrupt(id, "does not exist")
	}
	var h [headerSize]byte
	if _, err := c.f.ReadAt(h[:], int64(id*c.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	}
	n := uint64(u32(h[12:])) + 1
	if u64(h[:]) != id || n > c.meta.pages-id {
		return nil, c.corrupt(id, "has a wrong header")
	}
	for i := id; i < id+n; i++ {
		if !c.take(i) {
			return nil, c.corrupt(i, "is used twice")
		}
	}
	if n > c.left {
		c.left = 0
		return nil, nil
	}
	c.left -= n
	p := &page{flags: u16(h[8:]), count: int(u16(h[10:])), body: make([]byte, n*c.meta.pageSize)}
	if _, err := c.f.ReadAt(p.body, int64(id*c.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	}
	return p, nil
}

// freeList reads the list of free pages, whatever its size.
func (c *checker) freeList() error {
	id := c.meta.freeList
	if id == noFreeList {
		return nil
	}
	left := c.left
	c.left = math.MaxUint64
	p, err := c.read(id)
	c.left = left
	if err != nil {
		return err
	}
	if p.flags != freePage {
		return c.corrupt(id, "is no list of free pages")
	}
	entries, count := p.body[headerSize:], uint64(p.count)
	if p.count == math.MaxUint16 {
		count, entries = u64(entries), entries[8:]
	}
	if count > uint64(len(entries)/8) {
		return c.corrupt(id, "lists more free pages than it holds")
	}
	for i := range count {
		if free := u64(entries[8*i:]); free < 2 || free >= c.meta.pages || !c.take(free) {
			return c.corrupt(id, "lists impossible free pages")
		}
	}
	return nil
}

// tree reads the tree of buckets.
func (c *checker) tree() error {
	c.todo = []subtree{{page: c.meta.root, buckets: true}}
	for len(c.todo) > 0 && c.left > 0 {
		s := c.todo[0]
		c.todo = c.todo[1:]
		p, err := c.read(s.page)
		if err != nil {
			return err
		}
		if p == nil {
			return nil
		}
		if err := c.node(p, s); err != nil {
			return err
		}
	}
	return nil
}

// node checks a branch or leaf page and puts down what is below it.
func (c *checker) node(p *page, s subtree) error {
	var last []byte
	for i := range p.count {
		key, value, ok := p.element(i)
		switch {
		case !ok || len(key) == 0 && p.flags == leafPage:
			return c.corrupt(s.page, "has elements beyond its end")
		case i > 0 && bytes.Compare(key, last) <= 0,
			bytes.Compare(key, s.start) < 0 && (i > 0 || p.flags == leafPage),
			s.end != nil && bytes.Compare(key, s.end) >= 0:
			return c.corrupt(s.page, "has keys out of order")
		}
		last = key
		if p.flags == leafPage {
			if err := c.pair(p, i, value, s); err != nil {
				return err
			}
		} else if err := c.child(p, i, key, s); err != nil {
			return err
		}
	}
	switch {
	case p.flags != branchPage && p.flags != leafPage:
		return c.corrupt(s.page, "is no part of a tree")
	case p.flags == branchPage && p.count == 0:
		return c.corrupt(s.page, "has no children")
	}
	return nil
}

// child puts down the subtree below the i-th element of a branch page.
func (c *checker) child(p *page, i int, key []byte, s subtree) error {
	below := subtree{page: u64(p.body[headerSize+elementSize*i+8:]), start: key, end: s.end, buckets: s.buckets}
	if i+1 < p.count {
		next, _, ok := p.element(i + 1)
		if !ok {
			return c.corrupt(s.page, "has elements beyond its end")
		}
		below.end = next
	}
	c.todo = append(c.todo, below)
	return nil
}

// pair checks the i-th element of a leaf page, and puts down what is below it
// if it is a bucket.
func (c *checker) pair(p *page, i int, value []byte, s subtree) error {
	flags := u32(p.body[headerSize+elementSize*i:])
	switch {
	case flags > bucketFlag || (flags == bucketFlag) != s.buckets:
		return c.corrupt(s.page, "has pairs of a wrong kind")
	case !s.buckets:
		return nil
	case len(value) < bucketSize:
		return c.corrupt(s.page, "has a bucket that is cut off")
	}
	if root := u64(value); root != 0 {
		c.todo = append(c.todo, subtree{page: root})
		return nil
	}
	inline := value[bucketSize:]
	if len(inline) < headerSize || u16(inline[8:]) != leafPage {
		return c.corrupt(s.page, "has a bucket that is cut off")
	}
	return c.node(&page{flags: leafPage, count: int(u16(inline[10:])), body: inline}, subtree{page: s.page})
}

// element returns the key and, on a leaf, the value of the i-th element, and
// whether they lie within the page.
func (p *page) element(i int) (key, value []byte, ok bool) {
	at := headerSize + elementSize*i
	if at+elementSize > len(p.body) {
		return nil, nil, false
	}
	e := p.body[at:]
	offset, keySize, valueSize := uint64(u32(e)), uint64(u32(e[4:])), uint64(0)
	if p.flags == leafPage {
		offset, keySize, valueSize = uint64(u32(e[4:])), uint64(u32(e[8:])), uint64(u32(e[12:]))
	}
	if offset < elementSize || offset+keySize+valueSize > uint64(len(e)) {
		return nil, nil, false
	}
	return e[offset : offset+keySize], e[offset+keySize : offset+keySize+valueSize], true
}
