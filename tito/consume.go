package tito

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

// consumePause is how long an event waits that needs a newer program, before the
// worker looks whether it is one now: much less than a deploy takes, and long enough
// for the note that the queue keeps of each try to cost nothing.
const consumePause = 5 * time.Second

// Consume returns a worker that calls handler with each event of the table in a
// topic, given a transaction and the event with the table's types. What handler
// writes through tx and the group's progress commit together: its effects on the
// store happen once, whatever crashes. Everything else is as Subscription.TxHandler
// describes it: handler may run more than once, so it must have no effects but on tx,
// and its error makes the event come again. s says what is read and how, and has no
// handler of its own. The worker is db's: db must have the table.
//
// Not every event reaches handler:
//
//   - One that another table has published to the topic, or no table, is done.
//   - One that needs another version of the program waits, and its partition with it,
//     without counting an attempt and with a line in the queue's log: an event of a
//     higher Schema.Version (ErrNewerSchema), with a codec that the program does not
//     have (ErrUnknownCodec), or in a format that it does not know (ErrNewerFormat). So
//     a deploy that goes step by step, forward or back, makes no dead letters. An error
//     of handler that wraps one of these, and is not made by queue.Cancel or
//     queue.RetryAfter, waits as well: it has met such a row.
//   - One that is damaged, or whose record cannot be decoded, becomes a dead letter at
//     once, since it will not become better.
//
// Consume fails with ErrOptions if handler is nil or s has one, with ErrNotRegistered
// if the table was not given to Open, and with queue.ErrOptions as Queue.Subscribe does.
func (t *Table[T, ID]) Consume(db *DB, s queue.Subscription, handler func(ctx context.Context, tx *Tx, c *Change[T, ID]) error) (*queue.Worker, error) {
	switch {
	case t.err != nil:
		return nil, t.err
	case handler == nil:
		return nil, fmt.Errorf("%w: table %q: no handler", ErrOptions, t.name)
	case s.Handler != nil || s.TxHandler != nil || s.BatchHandler != nil || s.TxBatchHandler != nil:
		return nil, fmt.Errorf("%w: table %q: the subscription has a handler of its own", ErrOptions, t.name)
	case (*db.bindings.Load())[t] == nil:
		return nil, fmt.Errorf("%w: %q", ErrNotRegistered, t.name)
	}
	s.TxHandler = func(ctx context.Context, txn *kv.Txn, ev *queue.Event) error {
		c, err := t.ParseEvent(ev)
		switch {
		case errors.Is(err, ErrEvent):
			return nil
		case needsOtherProgram(err):
			return waiting{err}
		case err != nil:
			return queue.Cancel(err)
		}
		if err = handler(ctx, db.Tx(txn), c); needsOtherProgram(err) {
			return waiting{err}
		}
		return err
	}
	return db.queue.Subscribe(s)
}

// needsOtherProgram tells whether another version of the program can read what this
// one cannot.
func needsOtherProgram(err error) bool {
	return errors.Is(err, ErrNewerSchema) || errors.Is(err, ErrUnknownCodec) || errors.Is(err, ErrNewerFormat)
}

// waiting makes an event come again after consumePause without counting an attempt,
// unless the handler's error has said what is to become of the event: that comes first.
type waiting struct{ reason error }

func (w waiting) Error() string { return w.reason.Error() }

// Unwrap returns the reason, then what it means for the queue.
func (w waiting) Unwrap() []error { return []error{w.reason, queue.Snooze(consumePause)} }
