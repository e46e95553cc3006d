package kvtest

import (
	"fmt"
	"strings"

	"github.com/tito-db/tito-go/kv"
)

// programKeys are few and lie close together, so that transactions meet.
func programKeys() []string {
	return []string{"a", "b", "ab", "\x00", "a\x00", "\xff", "a\xff", "abc", "\x00\x00", "\xff\xff", "\xff\x00", "c",
		"c" + strings.Repeat("long", 200)}
}

// readOnly tells whether the transaction that the step begins is.
func (s step) readOnly() bool {
	switch s.call {
	case callBegin, callGet, callHas, callBatchGet, callScan, callOpenCursor, callNext, callSeek:
		return s.a%4 == 2
	}
	return false
}

// synced tells whether a commit waits to be durable where it need not.
func (s step) synced() bool { return s.a%8 == 7 }

func (s step) times() int { return 1 + int(s.a)%3 }

func (s step) key() []byte { return keyNumber(s.a) }

func keyNumber(n uint8) []byte {
	all := programKeys()
	return []byte(all[int(n)%len(all)])
}

// keys returns two keys, with the first once more.
func (s step) keys() [][]byte { return [][]byte{keyNumber(s.a), keyNumber(s.b), keyNumber(s.a)} }

// value tells the steps of a program apart.
func (s step) value(number int) []byte {
	v := fmt.Sprintf("v%d", number)
	switch s.b % 16 {
	case 14:
		return []byte(v + strings.Repeat(".", 300))
	case 15:
		return []byte(v + strings.Repeat(".", 6000)) // more than a page of bbolt
	}
	return []byte(v)
}

// bound is a key, or empty.
func (s step) bound() []byte { return boundNumber(s.a) }

func boundNumber(n uint8) []byte {
	all := programKeys()
	if i := int(n) % (len(all) + 1); i < len(all) {
		return []byte(all[i])
	}
	return []byte{}
}

// walk is the range of a scan and how it goes.
func (s step) walk() (kv.Range, *kv.ScanOptions) {
	var r kv.Range
	if s.a%3 > 0 {
		r.Start = boundNumber(s.a)
	}
	if s.b%3 > 0 {
		r.End = boundNumber(s.b)
	}
	if r.Start != nil && r.End != nil && s.c%8 != 7 && string(r.Start) > string(r.End) {
		r.Start, r.End = r.End, r.Start // or too many would be empty
	}
	return r, &kv.ScanOptions{
		Reverse:  s.c&1 != 0,
		KeysOnly: s.c&6 == 6,
		Limit:    int(s.c>>3) % 4,
		PageSize: int(s.c>>3) / 4 % 3,
	}
}
