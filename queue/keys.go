package queue

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
)

// space is the first byte after the prefix of every key of the queue.
const space = 'q'

// Kinds of rows, the byte after space. docs/format.md specifies each.
const (
	kindTopic      = 't' // topic
	kindInbox      = 'i' // topic, shard, position in the inbox
	kindHead       = 'h' // topic, shard
	kindEvent      = 'e' // topic, partition, seq
	kindGroup      = 'g' // topic, group
	kindCheckpoint = 'c' // group, topic, partition
	kindDead       = 'd' // group, topic, partition, seq
	kindMember     = 'm' // member
	kindUnique     = 'u' // topic, Message.Unique
	kindExpiry     = 'x' // topic, milliseconds, Message.Unique
)

// maxNameSize of topics and groups, in bytes, keeps every key well below every
// driver's limit.
const maxNameSize = 200

// maxPrefixSize is tito's too, whose prefix the queue shares.
const maxPrefixSize = 256

// checkName refuses names that are empty, long, or would be hard to tell apart
// in a log. what is what the name names.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("no %s", what)
	case len(name) > maxNameSize:
		return fmt.Errorf("%s of more than %d bytes", what, maxNameSize)
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

// keyspace makes the keys of one queue.
type keyspace struct{ prefix []byte }

func (k keyspace) kind(kind byte) []byte {
	b := make([]byte, 0, len(k.prefix)+64)
	return append(append(b, k.prefix...), space, kind)
}

func (k keyspace) topic(topic string) []byte {
	return keyenc.AppendString(k.kind(kindTopic), topic)
}

func (k keyspace) group(topic, group string) []byte {
	return keyenc.AppendString(keyenc.AppendString(k.kind(kindGroup), topic), group)
}

func (k keyspace) head(topic string, shard int) []byte {
	return append(keyenc.AppendString(k.kind(kindHead), topic), byte(shard))
}

// inboxTopic is the prefix of a topic's inbox rows.
func (k keyspace) inboxTopic(topic string) []byte {
	return keyenc.AppendString(k.kind(kindInbox), topic)
}

// events is the prefix of a topic's log.
func (k keyspace) events(topic string) []byte {
	return keyenc.AppendString(k.kind(kindEvent), topic)
}

// checkpoints is the prefix of a group's checkpoints in a topic.
func (k keyspace) checkpoints(group, topic string) []byte {
	return keyenc.AppendString(keyenc.AppendString(k.kind(kindCheckpoint), group), topic)
}

// dead is the prefix of a group's dead letters in a topic.
func (k keyspace) dead(group, topic string) []byte {
	return keyenc.AppendString(keyenc.AppendString(k.kind(kindDead), group), topic)
}

func (k keyspace) member(id memberID) []byte {
	return append(k.kind(kindMember), id[:]...)
}

func (k keyspace) unique(topic, unique string) []byte {
	return keyenc.AppendString(keyenc.AppendString(k.kind(kindUnique), topic), unique)
}

// expiries is the prefix of the rows that say when a topic's unique rows end.
func (k keyspace) expiries(topic string) []byte {
	return keyenc.AppendString(k.kind(kindExpiry), topic)
}

func (k keyspace) expiry(topic string, until time.Time, unique string) []byte {
	return keyenc.AppendString(binary.BigEndian.AppendUint64(k.expiries(topic), uint64(until.UnixMilli())), unique)
}

// appendPartition and appendEvent end a key; partitions have 4 bytes and
// positions 8, big-endian, so that they sort.
func appendPartition(dst []byte, partition int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(partition))
}

func appendEvent(dst []byte, partition int, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(appendPartition(dst, partition), seq)
}

// parseEvent is the inverse of appendEvent.
func parseEvent(b []byte) (partition int, seq uint64, err error) {
	if len(b) != 12 {
		return 0, 0, fmt.Errorf("%w: key of an event with %d bytes", ErrCorrupt, len(b))
	}
	return int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:]), nil
}

// withPrefix returns the range of the keys that begin with p.
func withPrefix(p []byte) kv.Range { return kv.Range{Start: p, End: keyenc.PrefixEnd(p)} }

// inboxPos is where a row lies in its shard's inbox. Rows are moved to the log
// in this order.
//
// version is the ReadVersion of the transaction that published it. If one
// transaction conflicts with another and follows it, or began after the other
// was acknowledged, it read after the other had committed, so its version is
// higher and its row sorts later, and the other's row is visible whenever its
// own is. nonce is the publishing Queue's, and keeps apart rows of one version
// from several; count counts that Queue's messages, and so keeps those of one
// transaction in order.
type inboxPos struct {
	version kv.Version
	nonce   uint64
	count   uint64
}

const inboxPosSize = 24

func (p inboxPos) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.version))
	dst = binary.BigEndian.AppendUint64(dst, p.nonce)
	return binary.BigEndian.AppendUint64(dst, p.count)
}

// parseInboxPos reads the 24 bytes that append wrote.
func parseInboxPos(b []byte) inboxPos {
	return inboxPos{
		version: kv.Version(binary.BigEndian.Uint64(b)),
		nonce:   binary.BigEndian.Uint64(b[8:]),
		count:   binary.BigEndian.Uint64(b[16:]),
	}
}

func (p inboxPos) compare(q inboxPos) int {
	return slices.Compare([]uint64{uint64(p.version), p.nonce, p.count}, []uint64{uint64(q.version), q.nonce, q.count})
}

// next is the first position after p. A count never reaches its maximum.
func (p inboxPos) next() inboxPos {
	p.count++
	return p
}
