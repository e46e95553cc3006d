package queue

import (
	"context"
	"sync"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// keeper writes the checkpoints of a worker: all that have something new in one
// transaction, and while that commits the next ones gather.
type keeper struct {
	w        *Worker
	wanted   *sync.Cond // something to write, or closed
	progress *sync.Cond // something was written, or a lane was lost
	dirty    []*lane    // whose done is above saved
	asked    []*change
	closed   bool // run ends when there is nothing left to write
}

// change is what becomes of one checkpoint. It applies only while owner is
// stored in it: a worker that has lost a partition changes nothing there.
type change struct {
	lane  *lane
	owner token
	to    checkpoint
	dead  []byte // the dead letter that event to.floor becomes; nil if it does not

	lost bool          // another owner is stored
	err  error         // it was not written
	done chan struct{} // closed when all this is known; nil if nobody waits
}

func (k *keeper) init(w *Worker) {
	k.w = w
	k.wanted, k.progress = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
}

// maxRunAhead is how many events of one partition plain handlers may have done
// that no checkpoint knows of yet. They come again after a crash.
const maxRunAhead = 64

// change makes the change that stores what l is now.
func (w *Worker) change(l *lane) *change {
	return &change{lane: l, owner: l.token, to: l.checkpoint()}
}

// advance notes that events up to seq, the first n of those that l holds, are
// done, and has the checkpoint written some time soon. It waits if too many have
// not been.
func (w *Worker) advance(l *lane, seq uint64, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.rise(seq)
	w.drop(l, n)
	if !l.dirty {
		l.dirty = true
		w.keeper.dirty = append(w.keeper.dirty, l)
		w.keeper.wanted.Signal()
	}
	for l.done-l.saved >= maxRunAhead && !l.lost && !w.stopping && w.err == nil {
		w.keeper.progress.Wait()
	}
}

// persist writes c and waits for it. It reports false if that could not be done
// or the lane is lost.
func (w *Worker) persist(c *change) bool {
	c.done = make(chan struct{})
	w.mu.Lock()
	w.keeper.ask(c)
	w.mu.Unlock()
	<-c.done
	return c.err == nil && !c.lost
}

// ask has c written. w.mu is held.
func (k *keeper) ask(c *change) {
	k.asked = append(k.asked, c)
	k.wanted.Signal()
}

// giveUp releases a lane that is no longer this worker's. w.mu is held.
func (k *keeper) giveUp(l *lane) {
	l.state = laneHeld
	c := k.w.change(l)
	c.to.owner = token{}
	k.ask(c)
}

// close makes run end, once everything is written.
func (k *keeper) close() {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	k.closed = true
	k.wanted.Signal()
}

// run writes until close, or until ctx ends or the store fails for good; then
// what is asked fails.
func (k *keeper) run(ctx context.Context) {
	for {
		changes := k.next()
		if changes == nil {
			return
		}
		err := k.w.q.store.RetryUntilDone(ctx, "writing checkpoints", func() error { return k.write(ctx, changes) })
		k.written(changes, err)
	}
}

// next waits for something to write. It returns nil at the end.
func (k *keeper) next() []*change {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	for len(k.dirty) == 0 && len(k.asked) == 0 {
		if k.closed {
			return nil
		}
		k.wanted.Wait()
	}
	// Nobody else writes the checkpoint of a lane that is asked for, and what is
	// asked knows of all that is done.
	changes := k.asked
	k.asked = nil
	for _, c := range changes {
		c.lane.dirty = false
	}
	for _, l := range k.dirty {
		if l.dirty && !l.lost {
			changes = append(changes, k.w.change(l))
		}
		l.dirty = false
	}
	k.dirty = k.dirty[:0]
	if changes == nil {
		changes = []*change{} // lanes were lost meanwhile: nothing to write
	}
	return changes
}

// written tells of changes that were written or, with err, were not.
func (k *keeper) written(changes []*change, err error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	for _, c := range changes {
		l := c.lane
		c.err = err
		switch {
		case l.token != c.owner:
			// It was found to be lost, and has begun anew meanwhile.
		case c.lost:
			l.lost = true
			k.w.q.log.Info("queue: partition lost to another owner", "topic", k.w.s.Topic, "group", k.w.s.Group, "partition", l.partition)
		case err == nil:
			l.saved = max(l.saved, c.to.floor)
		}
		switch {
		case c.done != nil:
			close(c.done)
		case c.to.owner == token{}: // giveUp
			if err != nil {
				break // giveBack tries again
			}
			if !c.lost {
				l.token = token{}
				l.retry, l.crashes, l.trial, l.careful = retryState{}, 0, noTrial, 0
			}
			k.w.rest(l)
		case c.lost:
			k.w.assign(l, l.mine)
		}
	}
	k.progress.Broadcast()
	if err != nil {
		k.w.failLocked(err)
	}
}

// changeSize is more than a checkpoint takes in a transaction.
const changeSize = 2*layout.MaxNameSize + layout.MaxPrefixSize + maxErrorSize + 128

// write makes changes, in as few transactions as they fit. It marks those that
// are lost. It may be repeated: what has been written already stays as it is.
func (k *keeper) write(ctx context.Context, changes []*change) error {
	room := k.w.q.store.TxnRoom()
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+changeSize+len(changes[n].dead) <= room) {
			size += changeSize + len(changes[n].dead)
			n++
		}
		if err := k.writeSome(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

func (k *keeper) writeSome(ctx context.Context, changes []*change) error {
	partitions := make([]int, len(changes))
	for i, c := range changes {
		partitions[i] = c.lane.partition
	}
	return k.w.q.store.UpdateKnown(ctx, "checkpoints", func(tx *kv.Txn) error {
		stored, err := k.w.keys.checkpoints.read(ctx, tx, partitions)
		if err != nil {
			return err
		}
		for i, c := range changes {
			to := c.to
			c.lost = stored[i].owner != c.owner
			switch {
			case c.lost && stored[i].owner == to.owner && stored[i].floor >= to.floor:
				c.lost = false // given back by a commit that ended unknown, for all it matters
				continue
			case c.lost:
				continue
			case stored[i].floor > to.floor:
				// A transactional handler's commit that ended unknown has come so
				// far. A floor is only raised.
				to = stored[i]
				to.owner = c.to.owner
			}
			if c.dead != nil && stored[i].floor < to.floor {
				key := eventlog.AppendPosition(k.w.keys.dead[:len(k.w.keys.dead):len(k.w.keys.dead)], partitions[i], to.floor)
				if err := tx.Set(key, c.dead); err != nil {
					return err
				}
			}
			if err := k.w.keys.checkpoints.write(tx, partitions[i], &to); err != nil {
				return err
			}
		}
		return nil
	})
}

// deadLetter makes the change that gives up the event of a lane.
func (w *Worker) deadLetter(l *lane, ev *Event, attempts uint32, reason string) *change {
	c := w.change(l)
	c.to = checkpoint{owner: l.token, floor: ev.Seq}
	c.dead = appendDead(nil, attempts, time.Now(), reason, ev.row)
	return c
}
