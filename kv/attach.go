package kv

import (
	"context"
	"slices"
)

// Attached is a value that a layer above keeps with a transaction, see
// Txn.Attach. It follows the transaction's savepoints: what it knows of writes
// that RollbackTo undoes has to go too. A value that knows nothing of the kind
// returns nil from Mark and does nothing in Reset, which costs nothing.
//
// The transaction's goroutine calls both methods. They look after the value alone
// and do not use the transaction.
type Attached interface {
	// Mark returns what Reset needs to bring back the value's present state; the
	// value may change freely afterwards. Txn.Savepoint calls it.
	Mark() any

	// Reset brings back the state in which Mark returned mark. A nil mark that Mark
	// did not return means that the value was attached after the savepoint: Reset
	// makes it as it was when it was new. Txn.RollbackTo calls it, any number of
	// times with the same mark, when the transaction's own writes have been undone.
	Reset(mark any)
}

// Attach returns the value that the transaction keeps under key. If there is none
// it calls create, and keeps what that returns unless it is nil. A key has the same
// value for the whole life of the transaction, across RollbackTo too; each attempt
// of Update is a transaction of its own.
//
// A layer uses the address of something that is its own as the key (its handle of
// the store), so that no two layers share a value. Keys are compared with ==.
//
// The transaction's end does not change what is attached, and Attach works after it
// as before, so that a layer's handle can report ErrTxnDone itself. Like all of Txn,
// Attach is for one goroutine at a time. Attaching allocates nothing for the first
// two values of a transaction, and nothing can go wrong: there is no error.
func (t *Txn) Attach(key any, create func() Attached) Attached {
	if v := t.attached.find(key); v != nil {
		return v
	}
	v := create()
	if v != nil {
		t.attached.add(key, v)
	}
	return v
}

// BeforeCommit registers fn to run at the beginning of the transaction's commit, on
// the goroutine that commits and in order of registration: for layers that gather
// work and do it once. ctx is the commit's. fn may read and write through the
// transaction, make savepoints and roll back to those, and call OnCommit. The
// functions also run in a transaction that has written nothing so far, and in a
// read-only one; none runs if the transaction is rolled back, has ended, or can only
// be rolled back.
//
// If fn returns an error, that error is the commit's: nothing is written, the
// functions after it do not run, and Update tries again if it wraps ErrConflict. A
// panic in fn rolls back as well. fn cannot end the transaction (Commit is
// ErrManaged, Rollback does nothing), nor return to a savepoint of before the commit
// (ErrSavepoint), nor call BeforeCommit: that makes the commit fail with ErrLateHook.
//
// RollbackTo forgets the functions registered since the savepoint. Once the
// transaction has ended BeforeCommit does nothing, for there is no commit to wait for.
func (t *Txn) BeforeCommit(fn func(ctx context.Context) error) {
	t.addHook(hook{before: fn})
}

// attachments hold values and their keys in order of attachment, in blocks of as
// many as layers usually attach: a database and its queue.
type attachments struct {
	slots [2]slot
	next  *attachments
}

// slot holds one value. It is free while the value is nil, and so are all after it.
type slot struct {
	key   any
	value Attached
}

func (a *attachments) find(key any) Attached {
	for ; a != nil; a = a.next {
		for i := range a.slots {
			if s := &a.slots[i]; s.value == nil || s.key == key {
				return s.value
			}
		}
	}
	return nil
}

func (a *attachments) add(key any, value Attached) {
	for {
		for i := range a.slots {
			if s := &a.slots[i]; s.value == nil {
				*s = slot{key, value}
				return
			}
		}
		if a.next == nil {
			a.next = new(attachments)
		}
		a = a.next
	}
}

// marks appends what each value has to remember for a savepoint.
func (a *attachments) marks(to []any) []any {
	for ; a != nil; a = a.next {
		for i := range a.slots {
			if v := a.slots[i].value; v != nil {
				to = append(to, v.Mark())
			}
		}
	}
	return to
}

// reset brings back the values as marked. Those beyond the marks were attached later.
func (a *attachments) reset(marks []any) {
	for ; a != nil; a = a.next {
		for i := range a.slots {
			v := a.slots[i].value
			if v == nil {
				return
			}
			var mark any
			if len(marks) > 0 {
				mark, marks = marks[0], marks[1:]
			}
			v.Reset(mark)
		}
	}
}

// newSavepoint returns a savepoint with room for the marks of what is usually
// attached, if anything is.
func (a *attachments) newSavepoint() *Savepoint {
	if a.slots[0].value == nil {
		return new(Savepoint)
	}
	s := new(struct {
		Savepoint
		room [len(a.slots)]any
	})
	s.marks = s.room[:0]
	return &s.Savepoint
}

// hook is a function to run when the transaction commits: one of the two is set.
type hook struct {
	before func(context.Context) error
	after  func()
}

func (t *Txn) addHook(h hook) {
	t.mu.Lock()
	defer t.unlock()
	t.finishDoomed()
	switch {
	case h.before != nil && t.committing:
		t.lateHook = true
	case t.ended == nil || t.expiredClean: // else there is no commit to wait for
		t.hooks = append(t.hooks, h)
	}
}

// runBefore runs the functions given to BeforeCommit. If it returns an error or
// panics, the transaction has been rolled back.
func (t *Txn) runBefore(ctx context.Context) error {
	if !slices.ContainsFunc(t.hooks, func(h hook) bool { return h.before != nil }) || !t.startCommitting() {
		return nil
	}
	passed := false
	defer func(managed bool) {
		t.managed = managed
		if !passed { // also after a panic
			t.rollback()
		}
	}(t.managed)
	t.managed = true // by the commit that is under way
	for i := 0; i < len(t.hooks); i++ {
		fn := t.hooks[i].before
		if fn == nil {
			continue
		}
		if err := fn(ctx); err != nil {
			return err
		}
		if err := t.checkCommitting(); err != nil {
			return err
		}
	}
	passed = true
	return nil
}

// startCommitting reports whether a commit could succeed. From then on the
// savepoints made so far are of no use: to return to one would undo what a function
// has done that does not run again.
func (t *Txn) startCommitting() bool {
	t.mu.Lock()
	defer t.unlock()
	t.finishDoomed()
	if t.ended != nil && !t.expiredClean || t.tooLarge {
		return false // the commit tells why
	}
	t.committing = true
	t.discardAfter(0)
	return true
}

// checkCommitting returns an error if the commit under way cannot succeed.
func (t *Txn) checkCommitting() error {
	t.mu.Lock()
	defer t.unlock()
	t.finishDoomed()
	switch {
	case t.lateHook:
		return ErrLateHook
	case t.ended != nil && !t.expiredClean:
		return t.ended
	}
	return nil
}
