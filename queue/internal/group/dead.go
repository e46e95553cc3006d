package group

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Dead is an event that the group has given up.
type Dead struct {
	Event    eventlog.Event
	Attempts uint32
	At       time.Time
	Reason   string
}

// MaxReasonSize bounds the text of an error in a checkpoint or a dead letter.
const MaxReasonSize = 1 << 10

// Reason is an error's text, bounded.
func Reason(err error) string {
	s := err.Error()
	if len(s) > MaxReasonSize {
		s = s[:MaxReasonSize]
	}
	return s
}

const deadFormat = 1

// AppendDead appends the row of a dead letter, given the event's row in the log.
func AppendDead(dst []byte, attempts uint32, at time.Time, reason string, logRow []byte) []byte {
	dst = binary.AppendUvarint(append(dst, deadFormat), uint64(attempts))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixMilli()))
	return append(rowenc.AppendSized(dst, reason), logRow...)
}

// ParseDead reads the row of the dead letter that the event at a position is.
func ParseDead(topic string, partition int, seq uint64, row []byte) (Dead, error) {
	r := rowenc.NewReader(row)
	r.Format(deadFormat)
	d := Dead{Attempts: uint32(r.Uvarint()), At: time.UnixMilli(int64(r.Uint64())), Reason: r.String()}
	if r.Failed() {
		return Dead{}, fmt.Errorf("%w: dead letter", r.Err(&access.RowErrors))
	}
	var err error
	d.Event, err = eventlog.ParseEvent(topic, partition, seq, r.Rest())
	return d, err
}
