package queue

import (
	"time"
)

// lane is a partition as one worker sees it: how far the group has come there,
// and the events that come next. It is work for whoever takes it from one of
// the worker's two lists; it has no goroutine of its own.
//
// Whoever holds a lane (it is laneHeld then) may change it; others only read
// it, or set head, mine and lost, under the worker's mutex.
type lane struct {
	partition int
	state     laneState
	timer     *time.Timer // brings a waiting lane back

	mine bool   // assigned to this worker
	head uint64 // the newest event that is known

	token   token  // of this term; zero while the partition is not owned
	lost    bool   // another has taken it; it is to be dropped
	done    uint64 // every event up to it is done or dead
	saved   uint64 // the floor of the checkpoint, as far as known
	dirty   bool   // done is above saved, and in the worker's list of those
	crashes uint32 // of the checkpoint
	trial   trial  // suspect, or none
	retry   retryState

	// careful: up to this event, events run singly, and the checkpoint says so
	// before each. It is set when owners have died twice in a row without
	// getting ahead, so that an event that kills processes is found; see trial.
	careful uint64

	events []*Event // done+1 and following

	busy busyState // why it could not be claimed
}

// busyState is how a partition was found whose owner is alive.
type busyState struct {
	owner token
	floor uint64
	since time.Time // how long it has been so
	last  time.Time // when it was seen so last
}

type laneState uint8

const (
	laneIdle    laneState = iota // nothing to do
	laneFetch                    // in the list of lanes whose events are to be fetched
	laneReady                    // has events, and is in the list of those
	laneHeld                     // somebody works on it
	laneWaiting                  // has a timer
)

// begin forgets a term that is over, and all that was only known by it.
func (l *lane) begin() {
	l.state, l.timer = laneIdle, nil
	l.token, l.lost = token{}, false
	l.done, l.dirty = l.saved, false
	l.crashes, l.trial, l.careful, l.retry = 0, noTrial, 0, retryState{}
	l.events, l.busy = nil, busyState{}
}

// single tells whether the next event has to run alone.
func (l *lane) single() bool {
	return l.retry.attempts > 0 || l.done < l.careful || l.trial == suspect
}

// checkpoint returns what the lane's checkpoint should be now.
func (l *lane) checkpoint() checkpoint {
	return checkpoint{owner: l.token, floor: l.done, retry: l.retry, crashes: l.crashes, trial: l.trial}
}

// rise notes that events up to seq are done.
func (l *lane) rise(seq uint64) {
	l.done = seq
	l.retry = retryState{}
	l.crashes, l.trial = 0, noTrial
}

// laneList is a first-in, first-out list of lanes.
type laneList struct {
	lanes []*lane
	head  int
}

func (q *laneList) len() int { return len(q.lanes) - q.head }

func (q *laneList) push(l *lane) { q.lanes = append(q.lanes, l) }

// pushFront puts back a lane that pop has just returned.
func (q *laneList) pushFront(l *lane) {
	if q.head == 0 {
		q.lanes = append([]*lane{l}, q.lanes...)
		return
	}
	q.head--
	q.lanes[q.head] = l
}

// pop returns nil if the list is empty.
func (q *laneList) pop() *lane {
	if q.len() == 0 {
		return nil
	}
	l := q.lanes[q.head]
	q.lanes[q.head] = nil
	q.head++
	if q.head > len(q.lanes)/2 { // amortized: at most one move a pop
		q.lanes = q.lanes[:copy(q.lanes, q.lanes[q.head:])]
		q.head = 0
	}
	return l
}
