package group

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
)

// Token says who may advance a group in a partition: a process, and a random part
// that is new each time the partition changes hands, so that what a process began
// in an earlier term cannot be taken for what it does in this one. The zero Token is
// nobody's.
type Token [16]byte

// Process returns whose token t is.
func (t Token) Process() cluster.ID { return cluster.ID(t[:8]) }

// NewToken draws the token of a new term of a process.
func NewToken(process cluster.ID) Token {
	var t Token
	copy(t[:8], process[:])
	_, _ = rand.Read(t[8:]) // never fails, says its document
	return t
}

// ErrDied is the reason that a checkpoint records when the process has died that
// handled the event.
var ErrDied = errors.New("queue: process died while handling the event")

// Checkpoint is how far a group has come in a partition.
type Checkpoint struct {
	Owner Token

	// Floor: every event up to it is done, or a dead letter.
	Floor uint64

	// Crashes counts how often the partition was taken from an owner that had died
	// with it, since the floor last rose. From the second time on, events are run
	// one by one, and the checkpoint is marked before each; see Quarantine.
	Crashes uint32

	Quarantine Quarantine // of event Floor+1
	Retry      Retry      // of event Floor+1
}

// Quarantine is how an event is found that kills processes. One of the events that
// were with handlers when a process died has done it. They all become suspects, and
// from then on a process runs one suspect at a time: when the process dies, only
// that suspect has failed. So others do not become dead letters for being next to
// it.
type Quarantine uint8

// The stages of a Quarantine.
const (
	Unsuspected Quarantine = iota
	Started                // a handler has it
	Suspect                // a process died when it was Started or Isolated
	Isolated               // a handler has it, and no other handler of the process has a suspect
	quarantines            // how many stages there are
)

// died returns what becomes of an event whose process has died, and whether the
// event has failed by that.
func (q Quarantine) died() (next Quarantine, failed bool) {
	switch q {
	case Started, Suspect:
		return Suspect, false
	case Isolated:
		return Suspect, true
	}
	return Unsuspected, false
}

// survived returns what becomes of an event when a process goes on without it.
func (q Quarantine) survived() Quarantine {
	if q == Isolated || q == Suspect {
		return Suspect
	}
	return Unsuspected
}

// take makes the owner of the checkpoint another one. If the former owner crashed,
// the event that it may have died of is that much closer to being found.
func (c *Checkpoint) take(owner Token, crashed bool) {
	if crashed {
		c.Crashes++
		var failed bool
		if c.Quarantine, failed = c.Quarantine.died(); failed {
			c.Retry = Retry{Attempts: c.Retry.Attempts + 1, Err: ErrDied.Error()}
		}
	}
	c.Owner, c.Quarantine = owner, c.Quarantine.survived()
}

// Retry is what is known of an event that did not succeed.
type Retry struct {
	Attempts uint32        // that have failed
	Due      time.Time     // when it may be handed out again; zero is at once
	Wait     time.Duration // from the decision to Due
	Err      string        // why the last attempt failed
}

// remaining returns how long to wait from now on. It is never more than what was
// decided, so that a step of the clock does not stop a partition.
func (r *Retry) remaining(now time.Time) time.Duration {
	if r.Due.IsZero() {
		return 0
	}
	return min(max(r.Due.Sub(now), 0), r.Wait)
}

const checkpointFormat = 1

// Append appends the checkpoint's row.
func (c *Checkpoint) Append(dst []byte) []byte {
	dst = append(append(dst, checkpointFormat), c.Owner[:]...)
	dst = binary.AppendUvarint(dst, c.Floor)
	dst = binary.AppendUvarint(dst, uint64(c.Crashes))
	dst = append(dst, byte(c.Quarantine))
	dst = binary.AppendUvarint(dst, uint64(c.Retry.Attempts))
	due := uint64(0)
	if !c.Retry.Due.IsZero() {
		due = uint64(c.Retry.Due.UnixMilli())
	}
	dst = binary.AppendUvarint(dst, due)
	dst = binary.AppendUvarint(dst, uint64(c.Retry.Wait.Milliseconds()))
	return rowenc.AppendSized(dst, c.Retry.Err)
}

// ParseCheckpoint reads a checkpoint's row.
func ParseCheckpoint(row []byte) (Checkpoint, error) {
	r := rowenc.NewReader(row)
	var c Checkpoint
	r.Format(checkpointFormat)
	copy(c.Owner[:], r.Take(uint64(len(c.Owner))))
	c.Floor = r.Uvarint()
	c.Crashes = uint32(r.Uvarint())
	if c.Quarantine = Quarantine(r.Byte()); c.Quarantine >= quarantines {
		r.Fail()
	}
	c.Retry.Attempts = uint32(r.Uvarint())
	if due := r.Uvarint(); due != 0 {
		c.Retry.Due = time.UnixMilli(int64(due))
	}
	c.Retry.Wait = time.Duration(r.Uvarint()) * time.Millisecond
	c.Retry.Err = r.String()
	return c, r.Done(&access.RowErrors)
}
