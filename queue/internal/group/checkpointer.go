package group

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Checkpointer writes the checkpoints of a worker: those of all partitions that have
// something new in one transaction. While that commits the next ones gather. It
// shares the mutex of the Scheduler.
type Checkpointer struct {
	s        *Scheduler
	rows     *Rows
	wanted   *sync.Cond   // something to write, or closed
	progress *sync.Cond   // something was written, or a partition was lost
	dirty    []*Partition // the partitions whose done is above saved
	asked    []*Change
	closed   bool // Run ends when there is nothing left to write
}

// Change is what becomes of one checkpoint. It applies only while Owner is stored in
// it: a worker that has lost a partition changes nothing there.
type Change struct {
	Partition *Partition
	Owner     Token
	To        Checkpoint
	Dead      []byte // the dead letter that event To.Floor becomes; nil if it does not

	lost bool          // another owner is stored
	err  error         // why it was not written
	done chan struct{} // closed when lost and err are known; nil if nobody waits
}

// Await says that the caller holds the change's partition, and waits for the change.
func (c *Change) Await() { c.done = make(chan struct{}) }

// Written reports whether the change was made: the partition is not lost, and the
// store did not fail. It is known once the Checkpointer has tried.
func (c *Change) Written() bool { return c.err == nil && !c.lost }

func newCheckpointer(s *Scheduler) *Checkpointer {
	return &Checkpointer{s: s, wanted: sync.NewCond(&s.mu), progress: sync.NewCond(&s.mu)}
}

// NewChange returns the change that stores what a partition is now.
func NewChange(p *Partition) *Change {
	return &Change{Partition: p, Owner: p.token, To: p.Checkpoint()}
}

// NewDeadLetter returns the change that gives up the next event of a partition.
func NewDeadLetter(p *Partition, ev *eventlog.Event, attempts uint32, reason string) *Change {
	c := NewChange(p)
	c.To = Checkpoint{Owner: p.token, Floor: ev.Seq}
	c.Dead = AppendDead(nil, attempts, time.Now(), reason, ev.Row)
	return c
}

// Advance notes that the events of a partition up to seq, the first n of those that
// it holds, are done, and has the checkpoint written some time soon. It waits while
// more than maxRunAhead events are done that no checkpoint knows of: they come again
// after a crash.
func (k *Checkpointer) Advance(p *Partition, seq uint64, n int) {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(p, p.Finish(seq, n))
	if !p.dirty {
		p.dirty = true
		k.dirty = append(k.dirty, p)
		k.wanted.Signal()
	}
	for p.done-p.saved >= maxRunAhead && !p.lost && !s.stopping && s.err == nil {
		k.progress.Wait()
	}
}

// Persist writes c and waits for it. It reports false if that could not be done or
// the partition is lost.
func (k *Checkpointer) Persist(c *Change) bool {
	c.Await()
	k.Ask(c)
	<-c.done
	return c.Written()
}

// Ask has c written some time soon.
func (k *Checkpointer) Ask(c *Change) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.ask(c)
}

// ask has c written. s.mu is held.
func (k *Checkpointer) ask(c *Change) {
	k.asked = append(k.asked, c)
	k.wanted.Signal()
}

// release gives up a partition that is no longer this worker's. s.mu is held.
func (k *Checkpointer) release(p *Partition) {
	c := NewChange(p)
	c.To.Owner = Token{}
	k.ask(c)
}

// GiveBack releases all partitions, so that their next owner need not wait, and does
// not take this worker for dead.
func (k *Checkpointer) GiveBack(ctx context.Context) error {
	s := k.s
	var changes []*Change
	unsaved := 0
	s.mu.Lock()
	for n := range s.partitions {
		if p := &s.partitions[n]; p.token != (Token{}) && !p.lost {
			if p.done > p.saved {
				unsaved++
			}
			c := NewChange(p)
			c.To.Owner = Token{}
			changes = append(changes, c)
		}
	}
	s.mu.Unlock()
	if err := s.c.Store.RetryUntilDone(ctx, "giving back partitions", func() error { return k.write(ctx, changes) }); err != nil {
		return fmt.Errorf("queue: giving back the partitions of group %q of topic %q, %d with progress: %w", s.c.Group, s.c.Topic, unsaved, err)
	}
	return nil
}

// Close makes Run end, once everything is written.
func (k *Checkpointer) Close() {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.closed = true
	k.wanted.Signal()
}

// Run writes until Close, or until ctx ends or the store fails for good; then what
// is asked fails.
func (k *Checkpointer) Run(ctx context.Context) {
	for {
		changes := k.next()
		if changes == nil {
			return
		}
		k.store(ctx, changes)
	}
}

// TryWrite writes once what there is to write, without a wait for it.
func (k *Checkpointer) TryWrite(ctx context.Context) {
	k.s.mu.Lock()
	changes := k.gather()
	k.s.mu.Unlock()
	k.store(ctx, changes)
}

// store writes changes, until it succeeds or cannot any more, and tells of it.
func (k *Checkpointer) store(ctx context.Context, changes []*Change) {
	err := k.s.c.Store.RetryUntilDone(ctx, "writing checkpoints", func() error { return k.write(ctx, changes) })
	k.written(changes, err)
}

// next waits for something to write. It returns nil at the end.
func (k *Checkpointer) next() []*Change {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	for len(k.dirty) == 0 && len(k.asked) == 0 {
		if k.closed {
			return nil
		}
		k.wanted.Wait()
	}
	if changes := k.gather(); changes != nil {
		return changes
	}
	return []*Change{} // partitions were lost meanwhile: nothing to write
}

// gather takes what there is to write. s.mu is held.
func (k *Checkpointer) gather() []*Change {
	// Nobody else writes the checkpoint of a partition that is asked for, and what is
	// asked knows of all that is done.
	changes := k.asked
	k.asked = nil
	for _, c := range changes {
		c.Partition.dirty = false
	}
	for _, p := range k.dirty {
		if p.dirty && !p.lost {
			changes = append(changes, NewChange(p))
		}
		p.dirty = false
	}
	k.dirty = k.dirty[:0]
	return changes
}

// written tells of changes that were written or, with err, were not.
func (k *Checkpointer) written(changes []*Change, err error) {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		p := c.Partition
		c.err = err
		if p.Written(c.Owner, &c.To, c.lost, err == nil) {
			s.c.Store.Log.Info("queue: partition lost to another owner", "topic", s.c.Topic, "group", s.c.Group, "partition", p.number)
		}
		switch {
		case c.done != nil:
			close(c.done)
		case c.To.Owner == Token{}: // release
			if err == nil { // else GiveBack tries again
				s.apply(p, p.Released(c.lost))
			}
		case c.lost:
			s.assign(p, p.mine)
		}
	}
	k.progress.Broadcast()
	if err != nil {
		s.fail(err)
	}
}

// changeSize is more than a checkpoint takes in a transaction.
const changeSize = 2*layout.MaxNameSize + layout.MaxPrefixSize + MaxReasonSize + 128

// write makes changes, in as few transactions as they fit. It marks those that are
// lost. It may be repeated: what has been written already stays as it is.
func (k *Checkpointer) write(ctx context.Context, changes []*Change) error {
	room := k.s.c.Store.TxnRoom()
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+changeSize+len(changes[n].Dead) <= room) {
			size += changeSize + len(changes[n].Dead)
			n++
		}
		if err := k.writeSome(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

func (k *Checkpointer) writeSome(ctx context.Context, changes []*Change) error {
	partitions := make([]int, len(changes))
	for i, c := range changes {
		partitions[i] = c.Partition.number
	}
	return k.s.c.Store.UpdateKnown(ctx, "checkpoints", func(tx *kv.Txn) error {
		stored, err := k.rows.Read(ctx, tx, partitions)
		if err != nil {
			return err
		}
		for i, c := range changes {
			to := c.To
			c.lost = stored[i].Owner != c.Owner
			switch {
			case c.lost && stored[i].Owner == to.Owner && stored[i].Floor >= to.Floor:
				c.lost = false // given back by a commit that ended unknown, for all it matters
				continue
			case c.lost:
				continue
			case stored[i].Floor > to.Floor:
				// A transactional handler's commit that ended unknown has come so
				// far. A floor is only raised.
				to = stored[i]
				to.Owner = c.To.Owner
			}
			if c.Dead != nil && stored[i].Floor < to.Floor {
				if err := tx.Set(k.rows.deadKey(partitions[i], to.Floor), c.Dead); err != nil {
					return err
				}
			}
			if err := k.rows.Put(tx, partitions[i], &to); err != nil {
				return err
			}
		}
		return nil
	})
}
