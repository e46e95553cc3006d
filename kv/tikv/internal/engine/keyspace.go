package engine

import (
	"bytes"
	"fmt"

	"github.com/tito-db/tito-go/kv"
)

// A store's keys are its prefix, a byte that tells whose the key is, and the
// key. No byte of a prefix is below minPrefixByte, so no key of a store lies
// among those of another one, though its prefix may begin with the other's.
const (
	ownSpace      = 0x00 // the driver's
	userSpace     = 0x01 // the store's users'
	endSpace      = 0x02
	minPrefixByte = 0x02
)

// MaxPrefixSize bounds a prefix, so that the longest key of a store is far
// below the 8 KiB that TiKV takes.
const MaxPrefixSize = 256

// keyspace is where a store's keys lie.
type keyspace struct {
	start, end []byte // of the users' keys; start is what comes before each of them
	own        []byte // what comes before the driver's own keys
}

func newKeyspace(prefix []byte) (keyspace, error) {
	if len(prefix) > MaxPrefixSize {
		return keyspace{}, fmt.Errorf("%w: Prefix has more than %d bytes", kv.ErrOptions, MaxPrefixSize)
	}
	for _, b := range prefix {
		if b < minPrefixByte {
			return keyspace{}, fmt.Errorf("%w: Prefix has a byte below %d", kv.ErrOptions, minPrefixByte)
		}
	}
	with := func(space byte) []byte { return append(bytes.Clone(prefix), space) }
	return keyspace{start: with(userSpace), end: with(endSpace), own: with(ownSpace)}, nil
}

// key returns where a user's key is kept.
func (s *keyspace) key(k []byte) []byte {
	return append(append(make([]byte, 0, len(s.start)+len(k)), s.start...), k...)
}

// user returns the user's key that is kept at k.
func (s *keyspace) user(k []byte) []byte { return k[len(s.start):] }

// bounds returns where the keys of r are kept.
func (s *keyspace) bounds(r kv.Range) (start, end []byte) {
	end = s.end
	if r.End != nil {
		end = s.key(r.End)
	}
	return s.key(r.Start), end
}

// ownKey returns where the driver keeps something of its own.
func (s *keyspace) ownKey(name string) []byte {
	return append(bytes.Clone(s.own), name...)
}

// StoredKey returns where the store at prefix keeps key.
func StoredKey(prefix string, key []byte) []byte {
	return append(append([]byte(prefix), userSpace), key...)
}
