// Package layout is the map of a store's keys: which first bytes belong to whom,
// the kinds of rows beneath them, and the rules that prefixes and names obey, so
// that no two layers can claim the same keys. docs/format.md specifies every key.
//
//	prefix 't' | namespace | table | kind | ...   tables (package tito)
//	prefix 'q' | kind | ...                       topics (package queue)
package layout

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
)

// The first byte after the prefix of every key says which layer the key belongs to.
const (
	SpaceTables = 't'
	SpaceQueue  = 'q'
)

// The kinds of keys of tables. Namespace, table and index ids are keyenc integers,
// so that the range of any of them is one prefix.
const (
	KindRow     = 'r' // primary key
	KindEntry   = 'x' // index, values, and the primary key unless they are unique
	KindCatalog = 'c' // the catalogue, in DefaultNamespace and CatalogTable
)

// The kinds of keys of the queue.
const (
	KindTopic      = 't' // topic
	KindInbox      = 'i' // topic, shard, position in the inbox
	KindHead       = 'h' // topic, shard
	KindEvent      = 'e' // topic, partition, seq
	KindGroup      = 'g' // topic, group
	KindCheckpoint = 'c' // group, topic, partition
	KindDead       = 'd' // group, topic, partition, seq
	KindMember     = 'm' // member
	KindUnique     = 'u' // topic, Message.Unique
	KindExpiry     = 'x' // topic, milliseconds, Message.Unique
)

const (
	// DefaultNamespace holds all rows that were not put into a namespace.
	DefaultNamespace = 0

	// CatalogTable is the id under which the catalogue lies; no table has it.
	CatalogTable = 0
)

// MaxPrefixSize bounds the prefix that a program puts before every key, in bytes.
// It leaves room in a key for everything after the prefix.
const MaxPrefixSize = 256

// MaxNameSize bounds the names of tables, indexes, topics and groups, in bytes. It
// keeps every key with a name well below every driver's limit.
const MaxNameSize = 200

// TablePrefix returns the prefix of all keys of one kind of a table.
func TablePrefix(prefix []byte, namespace, table uint64, kind byte) []byte {
	k := make([]byte, 0, len(prefix)+16)
	k = append(append(k, prefix...), SpaceTables)
	k = keyenc.AppendUint(k, namespace)
	k = keyenc.AppendUint(k, table)
	return append(k, kind)
}

// QueuePrefix returns the prefix of all keys of one kind of a queue, with room for
// what usually follows.
func QueuePrefix(prefix []byte, kind byte) []byte {
	k := make([]byte, 0, len(prefix)+64)
	return append(append(k, prefix...), SpaceQueue, kind)
}

// PrefixRange returns the range of all keys that begin with prefix.
func PrefixRange(prefix []byte) kv.Range {
	return kv.Range{Start: prefix, End: keyenc.PrefixEnd(prefix)}
}

// CheckPrefix refuses a program's prefix that is too long.
func CheckPrefix(prefix []byte) error {
	if len(prefix) > MaxPrefixSize {
		return fmt.Errorf("Prefix of more than %d bytes", MaxPrefixSize) //nolint:staticcheck // the option's name
	}
	return nil
}

// CheckSize refuses a name that is empty or too long. what says what the name names.
func CheckSize(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s without a name", what)
	case len(name) > MaxNameSize:
		return fmt.Errorf("%s name of more than %d bytes", what, MaxNameSize)
	}
	return nil
}

// CheckName refuses names of topics and groups that are empty, too long, or would
// be hard to tell apart in a log. what says what the name names.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("no %s", what)
	case len(name) > MaxNameSize:
		return fmt.Errorf("%s of more than %d bytes", what, MaxNameSize)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s is not UTF-8", what)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s with a character that does not print", what)
		}
	}
	return nil
}
