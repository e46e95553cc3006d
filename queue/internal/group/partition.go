package group

import (
	"time"

	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Partition is what a worker knows about one partition of its group: how far the
// log and the group are, whether the partition is the worker's, and the events that
// come next. It has no mutex, no timer and does no I/O. Each method that changes it
// is an event that happens to it, and returns as Effects what has to be done then;
// the Scheduler does that, and calls the methods under its mutex.
//
// Its Place says who may change the partition. Whoever holds it (Held, Releasing)
// changes it; all others only read it, or tell it LogGrew, Loaded, Assign and Lose.
// To settle is to go where the partition belongs: see Settle.
//
//	              Idle     Fetchable  Ready    Held     Waiting      Releasing
//	LogGrew       settles  notes      notes    notes    notes        notes
//	Assign        settles  notes      notes    notes    settles (1)  notes
//	Loaded        settles  notes      notes    notes    settles (1)  notes
//	Lose          -        notes      notes    notes    notes        notes
//	TakeToFetch   -        Held (2)   -        -        -            -
//	TakeToDeliver -        -          Held (3) -        -            -
//	PutBack       -        -          -        Ready    -            -
//	Settle        settles  settles    settles  settles  -            -
//	SettleAfter   -        -          -        Waiting (4) -         -
//	Due           ignores  ignores    ignores  ignores  settles      ignores
//	Released      -        -          -        -        -            settles
//	Claimed, Occupied, Fetched, Finish, Committed, Failed: of who holds it; they
//	leave it Held
//
//	(1) if it is lost or not the worker's; else it waits on
//	(2) unless it is lost, not the worker's, or has no more events: then it settles
//	(3) unless it is lost or not the worker's: then it settles
//	(4) unless the wait is nothing, or it is lost or not the worker's: then it
//	    settles; Idle if the worker is stopping
//	 -  does not happen
type Partition struct {
	number int
	place  Place

	mine bool   // assigned to this worker
	head uint64 // the newest event that is known

	token   Token  // of this term; zero while this worker does not own the partition
	lost    bool   // another owner has taken it; what is known of this term is void
	done    uint64 // every event up to it is done or dead
	saved   uint64 // the floor of the checkpoint, as far as known
	dirty   bool   // done is above saved, and the partition is in the Checkpointer's list
	crashes uint32 // of the checkpoint
	suspect bool   // the next event is; see Quarantine
	retry   Retry  // of the next event

	// carefulTo is the last event that runs singly and is marked in the checkpoint
	// before. It is set when owners have died twice in a row without getting ahead,
	// so that an event that kills processes is found; see Quarantine.
	carefulTo uint64

	events []eventlog.Event // done+1 and following

	seen sighting // of an owner that is alive
}

// Place is who looks after a partition.
type Place uint8

// The places of a partition.
const (
	Idle      Place = iota // nobody: there is nothing to do
	Fetchable              // the list of partitions whose events are to be read
	Ready                  // the list of partitions that have events
	Held                   // the fetcher, or an executor
	Waiting                // a timer
	Releasing              // the Checkpointer, which gives it up
)

// sighting is how a partition was found whose owner is alive.
type sighting struct {
	owner Token
	floor uint64
	since time.Time // the partition has been found so since then
	last  time.Time // the partition was found so last then
}

// Usage is memory that events take.
type Usage struct{ Events, Bytes int }

// Next is what has to be done with a partition after a transition.
type Next uint8

// The values of Next.
const (
	Nothing   Next = iota
	ToFetch        // put it at the end of the list of partitions to fetch
	ToDeliver      // put it at the end of the list of partitions with events
	ToRelease      // write its checkpoint without an owner, then tell it Released
	ToWait         // tell it Due after Effects.Wait
)

// Effects are what has to be done after a transition.
type Effects struct {
	Next     Next
	Wait     time.Duration
	StopWait bool  // the timer that the partition waited for is needless
	Freed    Usage // events that the partition holds no longer
}

// Number returns the partition's number.
func (p *Partition) Number() int { return p.number }

// Place returns who looks after the partition.
func (p *Partition) Place() Place { return p.place }

// Done returns the position up to which every event is done or dead.
func (p *Partition) Done() uint64 { return p.done }

// Token returns the token of this worker's term, zero if it does not own the
// partition.
func (p *Partition) Token() Token { return p.token }

// Lost reports whether another owner has taken the partition.
func (p *Partition) Lost() bool { return p.lost }

// Retry returns what is known of the next event's failures.
func (p *Partition) Retry() Retry { return p.retry }

// Suspect reports whether the next event may have killed a process.
func (p *Partition) Suspect() bool { return p.suspect }

// Single reports whether the next event has to run alone.
func (p *Partition) Single() bool {
	return p.retry.Attempts > 0 || p.done < p.carefulTo || p.suspect
}

// Checkpoint returns what the partition's checkpoint should be now.
func (p *Partition) Checkpoint() Checkpoint {
	cp := Checkpoint{Owner: p.token, Floor: p.done, Retry: p.retry, Crashes: p.crashes}
	if p.suspect {
		cp.Quarantine = Suspect
	}
	return cp
}

// Mark returns the checkpoint that has to be stored before the next event goes to a
// handler, so that it is found out if it kills the process. Most events need none.
func (p *Partition) Mark() (cp Checkpoint, needed bool) {
	cp = p.Checkpoint()
	switch {
	case p.suspect:
		cp.Quarantine = Isolated
	case p.done < p.carefulTo:
		cp.Quarantine = Started
	default:
		return cp, false
	}
	return cp, true
}

// Standing is how a stored checkpoint stands to the events first to last, which a
// worker is about to finish.
type Standing uint8

// The values of Standing.
const (
	Elsewhere Standing = iota // it has another owner, or another floor than the worker thinks
	Before                    // the events come next
	After                     // the events are done, by a commit of this term that ended unknown
)

// Standing compares a stored checkpoint with what the worker thinks.
func (p *Partition) Standing(cp *Checkpoint, first, last uint64) Standing {
	switch {
	case cp.Owner == p.token && cp.Floor == last:
		return After
	case cp.Owner == p.token && cp.Floor == first-1:
		return Before
	}
	return Elsewhere
}

// Settle puts the partition where it belongs. One that was lost forgets its term
// first, and all that was only known by it.
func (p *Partition) Settle() Effects {
	var e Effects
	if p.lost {
		e.Freed = p.drop(len(p.events))
		p.forgetTerm()
	}
	switch {
	case !p.mine:
		e.Freed.add(p.drop(len(p.events)))
		p.place = Idle
		if p.token != (Token{}) {
			p.place, e.Next = Releasing, ToRelease
		}
	case len(p.events) > 0:
		p.place, e.Next = Ready, ToDeliver
	case p.head > p.done:
		p.place, e.Next = Fetchable, ToFetch
	default:
		p.place = Idle
	}
	return e
}

func (p *Partition) forgetTerm() {
	p.token, p.lost = Token{}, false
	p.done, p.dirty = p.saved, false
	p.crashes, p.suspect, p.carefulTo, p.retry = 0, false, 0, Retry{}
	p.seen = sighting{}
}

// SettleAfter is Settle once wait has passed. Meanwhile the partition holds no
// events, which would keep others from being fetched.
func (p *Partition) SettleAfter(wait time.Duration, stopping bool) Effects {
	if wait <= 0 || p.lost || !p.mine {
		return p.Settle()
	}
	e := Effects{Freed: p.drop(len(p.events))}
	if stopping {
		p.place = Idle
		return e
	}
	p.place = Waiting
	e.Next, e.Wait = ToWait, wait
	return e
}

// Due tells that the partition has waited. It ignores a timer that came too late.
func (p *Partition) Due() Effects {
	if p.place != Waiting {
		return Effects{}
	}
	return p.Settle()
}

// LogGrew tells how far the log goes.
func (p *Partition) LogGrew(head uint64) Effects {
	p.head = max(p.head, head)
	if p.place == Idle {
		return p.Settle()
	}
	return Effects{}
}

// Assign makes the partition this worker's, or not, and settles it if nobody holds
// it and no list has it. What a lost partition waits for is not known any more.
func (p *Partition) Assign(mine bool) Effects {
	p.mine = mine
	stop := p.place == Waiting && (!mine || p.lost)
	if stop {
		p.place = Idle
	}
	var e Effects
	if p.place == Idle {
		e = p.Settle()
	}
	e.StopWait = stop
	return e
}

// Loaded tells how far log and group are in the store, and assigns the partition.
func (p *Partition) Loaded(head uint64, stored *Checkpoint, mine bool) Effects {
	p.head = max(p.head, head)
	if p.place == Idle && p.token == (Token{}) {
		p.done, p.saved = stored.Floor, stored.Floor
	}
	if p.token != (Token{}) && p.token != stored.Owner {
		p.lost = true
	}
	return p.Assign(mine)
}

// Lose tells that another owner has taken the partition, or that it stands elsewhere
// than this worker thinks.
func (p *Partition) Lose() { p.lost = true }

// TakeToFetch gives the partition, which was in the list, to the fetcher, and
// returns how many of its events there are to read, at most room. It returns 0 if
// there is nothing to fetch; the partition has settled then.
func (p *Partition) TakeToFetch(room int) (n int, e Effects) {
	if p.lost || !p.mine || p.head <= p.done {
		return 0, p.Settle()
	}
	p.place = Held
	return int(min(uint64(room), p.head-p.done)), Effects{}
}

// TakeToDeliver gives the partition, which was in the list, to an executor. It
// reports false if the executor may not have it; the partition has settled then.
func (p *Partition) TakeToDeliver() (ok bool, e Effects) {
	if p.lost || !p.mine {
		return false, p.Settle()
	}
	p.place = Held
	return true, Effects{}
}

// PutBack undoes TakeToDeliver.
func (p *Partition) PutBack() { p.place = Ready }

// Sighted returns since when the partition stands as its checkpoint says now, as far
// as this worker has seen, and when it first met that checkpoint. What the worker saw
// before it was paused, or while it did not want the partition, more than memory ago,
// does not tell that the partition has stood so since.
func (p *Partition) Sighted(cp *Checkpoint, now time.Time, memory time.Duration) (since, met time.Time) {
	since, met = now, now
	if p.seen.owner == cp.Owner && p.seen.floor == cp.Floor {
		met = p.seen.since
		if now.Sub(p.seen.last) < memory {
			since = met
		}
	}
	return since, met
}

// Occupied tells that the partition is left to its owner, which has stood at this
// checkpoint since then. It reports whether the partition has more events: the
// worker looks again later then.
func (p *Partition) Occupied(cp *Checkpoint, since, now time.Time) (more bool) {
	p.done, p.saved = cp.Floor, cp.Floor
	p.seen = sighting{cp.Owner, cp.Floor, since, now}
	return p.head > p.done
}

// Claimed tells that this worker owns the partition from now on, and begins at this
// checkpoint. It returns how long the next event has to wait. Up to window events
// may have been with a handler when a former owner died.
func (p *Partition) Claimed(cp *Checkpoint, now time.Time, window uint64) (wait time.Duration) {
	p.done, p.saved = cp.Floor, cp.Floor
	p.token, p.retry, p.crashes, p.suspect = cp.Owner, cp.Retry, cp.Crashes, cp.Quarantine == Suspect
	p.seen = sighting{}
	if cp.Crashes > 1 {
		p.carefulTo = cp.Floor + window
	}
	return cp.Retry.remaining(now)
}

// Fetched gives the partition the events that come next.
func (p *Partition) Fetched(events []eventlog.Event) { p.events = events }

// Finish tells that the events up to seq, the first n of those that the partition
// holds, are done or dead.
func (p *Partition) Finish(seq uint64, n int) Effects {
	p.done = seq
	p.retry = Retry{}
	p.crashes, p.suspect = 0, false
	return Effects{Freed: p.drop(n)}
}

// Committed is Finish for events whose transaction has stored the checkpoint, too.
func (p *Partition) Committed(seq uint64, n int) Effects {
	p.saved = seq
	return p.Finish(seq, n)
}

// Failed tells that the next event failed, and what is known of that.
func (p *Partition) Failed(r Retry) { p.retry = r }

// Written tells that the checkpoint to was written over owner's, or that another
// owner was found to be stored. It reports whether the partition is lost by that.
func (p *Partition) Written(owner Token, to *Checkpoint, lost, ok bool) bool {
	switch {
	case p.token != owner:
		// It was found to be lost, and has begun anew meanwhile.
	case lost:
		p.lost = true
		return true
	case ok:
		p.saved = max(p.saved, to.Floor)
	}
	return false
}

// Released tells that the partition has no owner in the store any more or, if it is
// lost, another one.
func (p *Partition) Released(lost bool) Effects {
	if !lost {
		p.token = Token{}
		p.retry, p.crashes, p.suspect, p.carefulTo = Retry{}, 0, false, 0
	}
	return p.Settle()
}

// drop takes the first n events from the partition.
func (p *Partition) drop(n int) (freed Usage) {
	if n == 0 {
		return Usage{}
	}
	for i := range p.events[:n] {
		freed.Bytes += p.events[i].Size()
	}
	freed.Events = n
	p.events = p.events[n:]
	if len(p.events) == 0 {
		p.events = nil
	}
	return freed
}

func (u *Usage) add(v Usage) {
	u.Events += v.Events
	u.Bytes += v.Bytes
}
