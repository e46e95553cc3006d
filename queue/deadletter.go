package queue

import "time"

// DeadLetter is an event that a group has given up: it failed MaxAttempts times,
// or its handler returned Cancel. It stays in the store; nothing removes it yet.
type DeadLetter struct {
	Event  *Event
	Reason string    // of the last failure, at most 1 KiB of it
	At     time.Time // when it was given up, by the clock of the process that did
}
