package queue

import (
	"errors"
	"fmt"

	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/group"
)

// Errors of this package, found with errors.Is. Those of the store pass
// through as they are.
var (
	// ErrPayloadTooLarge: a message is larger than MaxPayloadSize, or than the
	// store can hold. Nothing was written.
	ErrPayloadTooLarge = errors.New("queue: payload too large")

	// ErrMessage: a message has no topic, a name that is not allowed, or a key
	// or headers that are too large. Nothing was written.
	ErrMessage = errors.New("queue: invalid message")

	// ErrOptions: an option or a field of a Subscription is out of range, or
	// contradicts what the store has.
	ErrOptions = errors.New("queue: invalid options")

	// ErrRunning: another worker of this Queue works for the same group and
	// topic on some of the same partitions, or this one has been run before.
	ErrRunning = errors.New("queue: worker is running")

	// ErrCorrupt: a stored row of the queue cannot be what this package wrote. It is
	// kv.ErrCorrupt, too.
	ErrCorrupt = access.ErrCorrupt // immutable

	// ErrNewerFormat: a stored row of the queue has a format that this program does
	// not know, because a newer one wrote it. It is kv.ErrNewerFormat, too, and ends
	// Worker.Run.
	ErrNewerFormat = access.ErrNewerFormat // immutable

	// ErrTimeout: the handler ran past its timeout. It is what a retry or a dead
	// letter records, and the cause of the handler's context.
	ErrTimeout = errors.New("queue: handler timed out")

	// ErrDraining: the cause of a handler's context that ended because the
	// worker was told to stop and DrainTimeout had passed.
	ErrDraining = errors.New("queue: worker is draining")

	// ErrHandlerExited: a handler ended its goroutine instead of returning, and
	// with it the worker.
	ErrHandlerExited = errors.New("queue: handler ended its goroutine")

	// ErrDied: the process that handled the event died. A dead letter records it.
	ErrDied = group.ErrDied // immutable
)

// PanicError is what a handler's panic becomes. It counts as a failed attempt.
type PanicError struct {
	Value any    // what the handler panicked with; text if looking at that panics as well
	Stack []byte // of the handler's goroutine
}

// Error tells the value of the panic, not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("queue: handler panicked: %v", e.Value) }

// Unwrap returns the value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
