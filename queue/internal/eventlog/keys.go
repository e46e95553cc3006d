package eventlog

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// Keys makes the keys of one queue's logs.
type Keys struct {
	Prefix []byte // of every key of the queue
}

func (k Keys) ofTopic(kind byte, topic string) []byte {
	return keyenc.AppendString(layout.QueuePrefix(k.Prefix, kind), topic)
}

// Topic returns the key of a topic's row.
func (k Keys) Topic(topic string) []byte { return k.ofTopic(layout.KindTopic, topic) }

// Head returns the key of a shard's head.
func (k Keys) Head(topic string, shard int) []byte {
	return append(k.ofTopic(layout.KindHead, topic), byte(shard))
}

// Inbox returns the prefix of a topic's inbox.
func (k Keys) Inbox(topic string) []byte { return k.ofTopic(layout.KindInbox, topic) }

// Events returns the prefix of a topic's log.
func (k Keys) Events(topic string) []byte { return k.ofTopic(layout.KindEvent, topic) }

// Unique returns the key under which a topic remembers a message.
func (k Keys) Unique(topic, unique string) []byte {
	return keyenc.AppendString(k.ofTopic(layout.KindUnique, topic), unique)
}

// Expiries returns the prefix of the rows that say when a topic forgets messages.
func (k Keys) Expiries(topic string) []byte { return k.ofTopic(layout.KindExpiry, topic) }

// Expiry returns the key of the row that says that a topic forgets a message then.
func (k Keys) Expiry(topic string, until time.Time, unique string) []byte {
	return keyenc.AppendString(binary.BigEndian.AppendUint64(k.Expiries(topic), uint64(until.UnixMilli())), unique)
}

// AppendPartition appends a partition to a key, in 4 big-endian bytes so that
// partitions sort.
func AppendPartition(dst []byte, partition int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(partition))
}

// AppendPosition appends a partition and a position there, in 8 big-endian bytes.
func AppendPosition(dst []byte, partition int, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendPartition(dst, partition), seq)
}

// ParsePosition reads what AppendPosition wrote.
func ParsePosition(b []byte) (partition int, seq uint64, err error) {
	if len(b) != 12 {
		return 0, 0, fmt.Errorf("%w: key of an event with %d bytes", access.ErrCorrupt, len(b))
	}
	return int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:]), nil
}

// InboxPos is where a row lies in its shard's inbox. The sequencer moves rows to
// the log in this order.
//
// Version is the ReadVersion of the transaction that published the row. If one
// transaction conflicts with another and follows it, or began after the other was
// acknowledged, it read after the other had committed. So its version is higher,
// its row sorts later, and the other's row is visible whenever its own is. Nonce is
// the publishing Queue's, and keeps rows apart that several Queues publish at one
// version. Count counts that Queue's messages, and so keeps those of one
// transaction in order.
type InboxPos struct {
	Version kv.Version
	Nonce   uint64
	Count   uint64
}

const inboxPosSize = 24

// Append appends the position to a key or a value, in 24 bytes that sort.
func (p InboxPos) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Version))
	dst = binary.BigEndian.AppendUint64(dst, p.Nonce)
	return binary.BigEndian.AppendUint64(dst, p.Count)
}

// parseInboxPos reads the 24 bytes that Append wrote.
func parseInboxPos(b []byte) InboxPos {
	return InboxPos{
		Version: kv.Version(binary.BigEndian.Uint64(b)),
		Nonce:   binary.BigEndian.Uint64(b[8:]),
		Count:   binary.BigEndian.Uint64(b[16:]),
	}
}

func (p InboxPos) compare(q InboxPos) int {
	return slices.Compare([]uint64{uint64(p.Version), p.Nonce, p.Count}, []uint64{uint64(q.Version), q.Nonce, q.Count})
}

// next is the first position after p. A count never reaches its maximum.
func (p InboxPos) next() InboxPos {
	p.Count++
	return p
}

func minPos(a, b InboxPos) InboxPos {
	if a.compare(b) < 0 {
		return a
	}
	return b
}

func maxPos(a, b InboxPos) InboxPos {
	if a.compare(b) < 0 {
		return b
	}
	return a
}
