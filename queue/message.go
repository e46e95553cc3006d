package queue

import (
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Sizes that a message may have, in bytes.
const (
	MaxPayloadSize = 1 << 20
	MaxKeySize     = 512
	MaxHeaderSize  = 64 << 10 // all names and values of one message together
	MaxUniqueSize  = 256
)

// DefaultUniqueFor is how long Message.Unique is remembered.
const DefaultUniqueFor = 24 * time.Hour

// Message is what Publish puts into a topic.
type Message struct {
	// Topic to publish to, 1 to 200 bytes of printable UTF-8. A topic need not
	// be created.
	Topic string

	// Key orders: messages with equal keys lie in one partition, in the order
	// of their transactions, and are handled one after the other. Messages
	// with an empty key are spread over all partitions and have no order. At
	// most MaxKeySize bytes.
	Key string

	// Headers are for what is about the payload: trace ids, content types. All names
	// and values together have at most MaxHeaderSize bytes.
	Headers map[string]string

	// Payload of at most MaxPayloadSize bytes. It may be empty.
	Payload []byte

	// Unique, if not empty, makes Publish drop the message, without an error, while
	// the queue remembers an earlier message with the same Topic and Unique. The
	// queue remembers a message for the message's own UniqueFor (default 24 h).
	// Unique costs Publish one read for all messages of a call, and makes
	// transactions with equal values conflict. It has at most MaxUniqueSize bytes.
	Unique    string
	UniqueFor time.Duration
}

// Event is a message in the log, as handlers get it. The Event belongs to the
// handler, but its Headers and Payload must not be changed: a retry, or a dead
// letter, has the same ones.
type Event struct {
	Topic     string
	Partition int    // 0 to the topic's partitions - 1
	Seq       uint64 // position in the partition: 1, 2, 3 ... without gaps
	Key       string
	Headers   map[string]string // nil if the message had none
	Payload   []byte

	// Version is the read version of the transaction that published the event.
	Version kv.Version

	// Attempt counts how often a handler of the group got the event, from 1. A run
	// that ended in Snooze does not count, nor does a run in a batch that failed; a
	// run whose process died may not count.
	Attempt int
}

// Published returns the time of Version, by the store's clock, with millisecond
// precision: when the publishing transaction began on TiKV, and on the embedded
// stores when the newest commit happened that it saw, which on a quiet store can
// be well before.
func (e *Event) Published() time.Time { return e.Version.Time() }

// maxUniqueFor is far beyond use, and short of what a time overflows at.
const maxUniqueFor = 100 * 365 * 24 * time.Hour

// check refuses a message before anything is written.
func (m *Message) check(limits kv.Limits) error {
	if err := layout.CheckName("topic", m.Topic); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if len(m.Key) > MaxKeySize {
		return fmt.Errorf("%w: key of more than %d bytes", ErrMessage, MaxKeySize)
	}
	if len(m.Unique) > MaxUniqueSize {
		return fmt.Errorf("%w: Unique of more than %d bytes", ErrMessage, MaxUniqueSize)
	}
	if m.UniqueFor < 0 || m.UniqueFor > maxUniqueFor {
		return fmt.Errorf("%w: UniqueFor is negative or above %v", ErrMessage, maxUniqueFor)
	}
	headers := 0
	for k, v := range m.Headers {
		headers += len(k) + len(v)
	}
	if headers > MaxHeaderSize {
		return fmt.Errorf("%w: headers of more than %d bytes", ErrMessage, MaxHeaderSize)
	}
	if len(m.Payload) > MaxPayloadSize {
		return fmt.Errorf("%w: more than %d bytes", ErrPayloadTooLarge, MaxPayloadSize)
	}
	// Moving the message needs room for it in one transaction, and so does a
	// dead letter; a message that was let in and cannot be moved would block
	// all that come after it.
	size := len(m.Key) + headers + 20*len(m.Headers) + len(m.Payload) + eventlog.MessageOverhead
	if size > limits.MaxValueSize || size > limits.MaxTxnSize {
		return fmt.Errorf("%w: the store has room for values of %d bytes in transactions of %d", ErrPayloadTooLarge, limits.MaxValueSize, limits.MaxTxnSize)
	}
	return nil
}

// row is the part of the message that is stored.
func (m *Message) row() *eventlog.Message {
	return &eventlog.Message{Topic: m.Topic, Key: m.Key, Headers: m.Headers, Payload: m.Payload}
}

// newEvent makes what a handler gets of an event in the log.
func newEvent(topic string, partition int, ev *eventlog.Event, attempt int) Event {
	return Event{
		Topic: topic, Partition: partition, Seq: ev.Seq, Key: ev.Key, Headers: ev.Headers, Payload: ev.Payload,
		Version: ev.Version, Attempt: attempt,
	}
}
