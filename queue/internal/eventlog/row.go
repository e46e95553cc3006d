package eventlog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// Message is what a transaction publishes.
type Message struct {
	Topic   string
	Key     string
	Headers map[string]string
	Payload []byte
}

// Event is a message that has a position in the log.
type Event struct {
	Seq     uint64
	Version kv.Version // the read version of the transaction that published it
	Key     string
	Headers map[string]string
	Payload []byte // part of Row
	Row     []byte // in the log
}

// Size is about what the event takes in memory.
func (e *Event) Size() int { return len(e.Row) + 256 }

// MessageOverhead is more than a transaction that moves a message, or gives it up,
// takes beside key, headers and payload: its keys, a checkpoint, and the head of a
// shard with the most partitions that there can be.
const MessageOverhead = 16 << 10

const messageFormat = 1

// A row of the inbox and one of the log differ only in their first 8 bytes: these
// are the message's hash in the inbox, and the version of its transaction in the
// log. The message follows:
//
//	format (1) | key | number of headers | name, value of each, by name | payload
//
// Numbers are uvarints, strings have their size before them, the payload is the
// rest.
const rowHeadSize = 8

// AppendRow appends the message's row of the inbox.
func (m *Message) AppendRow(dst []byte, hash uint64) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, hash), messageFormat)
	dst = rowenc.AppendSized(dst, m.Key)
	dst = binary.AppendUvarint(dst, uint64(len(m.Headers)))
	if len(m.Headers) > 0 {
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			dst = rowenc.AppendSized(rowenc.AppendSized(dst, name), m.Headers[name])
		}
	}
	return append(dst, m.Payload...)
}

// ParseEvent reads the row of the log at a position. The event keeps parts of row.
func ParseEvent(topic string, partition int, seq uint64, row []byte) (Event, error) {
	r := rowenc.NewReader(row)
	ev := Event{Seq: seq, Version: kv.Version(r.Uint64()), Row: row}
	r.Format(messageFormat)
	ev.Key = r.String()
	if n := r.Uvarint(); n > 0 && !r.Failed() {
		if n > uint64(r.Len()) { // each takes two bytes at least
			r.Fail()
		} else {
			ev.Headers = make(map[string]string, n)
			for range n {
				name := r.String()
				ev.Headers[name] = r.String()
			}
		}
	}
	if r.Failed() {
		return Event{}, fmt.Errorf("%w: event %d of partition %d of topic %q", r.Err(&access.RowErrors), seq, partition, topic)
	}
	ev.Payload = r.Rest()
	return ev, nil
}
