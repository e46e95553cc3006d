package kvtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tito-db/tito-go/kv"
)

// storeRun runs a program on a store. What it says of each step is the same for every
// store that keeps the contract. Versions differ between stores, so storeRun checks
// them itself and leaves them out.
type storeRun struct {
	f    *fixture
	open [slots]*storeTxn

	highest   kv.Version // handed out so far
	committed kv.Version
	mark      kv.Version // the latest watermark
}

type storeTxn struct {
	*kv.Txn
	savepoints []*kv.Savepoint
	cursor     *kv.Cursor
}

// newStoreRun empties the fixture's store, and takes a fresh one if it cannot.
func newStoreRun(f *fixture) *storeRun {
	empty := false
	err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
		if err := tx.DeleteRange(f.ctx, kv.Range{}); err != nil {
			return err
		}
		return tx.SetDurability(f.quick())
	})
	if err == nil {
		err = f.store.View(f.ctx, func(tx *kv.Txn) error {
			empty = true
			for _, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
				empty = false
				return err
			}
			return nil
		})
	}
	if err != nil || !empty {
		_ = f.store.Close() // it may be of no use any more
		f.open(nil)
	}
	return &storeRun{f: f}
}

// close rolls back what is open.
func (r *storeRun) close() {
	for i, t := range r.open {
		if t != nil {
			t.Rollback()
			r.open[i] = nil
		}
	}
}

// do runs one step and says what came of it.
func (r *storeRun) do(number int, s step) string {
	switch s.call {
	case callIdle:
		return ""
	case callWatermark:
		return r.watermark()
	case callReopen:
		r.close()
		return outcome(r.f.reopen(nil))
	}
	t := r.open[s.slot]
	if t == nil {
		if s.call == callCommit || s.call == callRollback {
			return "not open"
		}
		if failure := r.begin(s); failure != "" {
			return failure
		}
		if s.call == callBegin {
			return "ok"
		}
		t = r.open[s.slot]
	}
	switch s.call {
	case callBegin:
		return "open already"
	case callCommit:
		return r.commit(t, s)
	case callRollback:
		t.Rollback()
		r.open[s.slot] = nil
		return "ok"
	case callGet, callHas, callBatchGet, callScan, callOpenCursor, callNext, callSeek:
		return r.read(t, s)
	}
	return r.write(t, number, s)
}

func (r *storeRun) begin(s step) string {
	tx, err := r.f.store.Begin(r.f.ctx, &kv.TxnOptions{ReadOnly: s.readOnly()})
	if err != nil {
		return outcome(err)
	}
	r.open[s.slot] = &storeTxn{Txn: tx}
	v := tx.ReadVersion()
	if v < r.highest && !tx.ReadOnly() || v < r.committed || v < r.mark && !tx.ReadOnly() {
		return fmt.Sprintf("broken: it reads at %d, after a commit at %d, a watermark of %d and a version of %d", v, r.committed, r.mark, r.highest)
	}
	r.highest = max(r.highest, v)
	return ""
}

func (r *storeRun) commit(t *storeTxn, s step) string {
	r.open[s.slot] = nil
	defer t.Rollback() // of nothing
	if !t.ReadOnly() {
		d := r.f.quick()
		if s.synced() {
			d = kv.Sync
		}
		if err := t.SetDurability(d); err != nil {
			return outcome(err)
		}
	}
	if err := t.Commit(r.f.ctx); err != nil {
		if t.CommitVersion() != 0 {
			return "broken: it failed, and has a version"
		}
		return outcome(err)
	}
	switch v := t.CommitVersion(); {
	case v == t.ReadVersion():
		return "ok, changed nothing"
	case v <= r.highest:
		return fmt.Sprintf("broken: it committed at %d, after a version of %d", v, r.highest)
	default:
		r.highest, r.committed = v, v
		return "ok"
	}
}

func (r *storeRun) watermark() string {
	w, err := r.f.store.Watermark(r.f.ctx)
	if err != nil {
		return outcome(err)
	}
	oldest := ^kv.Version(0)
	for _, t := range r.open {
		if t != nil && !t.ReadOnly() {
			oldest = min(oldest, t.ReadVersion())
		}
	}
	switch {
	case w < r.mark:
		return fmt.Sprintf("broken: the watermark went from %d to %d", r.mark, w)
	case w > oldest:
		return fmt.Sprintf("broken: the watermark is %d, and a transaction reads at %d", w, oldest)
	case oldest == ^kv.Version(0) && w < r.committed && r.f.h.Caps.PromptWatermark:
		return fmt.Sprintf("broken: the watermark stays at %d after a commit at %d", w, r.committed)
	}
	r.mark = w
	return "ok"
}

func (r *storeRun) read(t *storeTxn, s step) string {
	ctx := r.f.ctx
	switch s.call {
	case callGet:
		v, err := t.Get(ctx, s.key())
		if err != nil {
			return outcome(err)
		}
		return shown(string(v))
	case callHas:
		ok, err := t.Has(ctx, s.key())
		if err != nil {
			return outcome(err)
		}
		return fmt.Sprint(ok)
	case callBatchGet:
		values, err := t.BatchGet(ctx, s.keys())
		if err != nil {
			return outcome(err)
		}
		var all []string
		for _, v := range values {
			all = append(all, shown(string(v)))
		}
		return strings.Join(all, ", ")
	case callScan:
		bounds, o := s.walk()
		var all []string
		for p, err := range t.Scan(ctx, bounds, o) {
			if err != nil {
				return outcome(err)
			}
			all = append(all, pairShown(string(p.Key), string(p.Value)))
		}
		return strings.Join(all, ", ")
	case callOpenCursor:
		bounds, o := s.walk()
		c, err := t.Cursor(ctx, bounds, o)
		if err != nil {
			return outcome(err)
		}
		if t.cursor != nil {
			t.cursor.Close()
		}
		t.cursor = c
		return "ok"
	}
	if t.cursor == nil {
		c, err := t.Cursor(ctx, kv.Range{}, nil)
		if err != nil {
			return outcome(err)
		}
		t.cursor = c
	}
	if s.call == callSeek {
		return t.at(t.cursor.Seek(ctx, s.bound()))
	}
	var all []string
	for range s.times() {
		all = append(all, t.at(t.cursor.Next(ctx)))
	}
	return strings.Join(all, ", ")
}

// at says where the cursor stands.
func (t *storeTxn) at(ok bool) string {
	if ok {
		return pairShown(string(t.cursor.Key()), string(t.cursor.Value()))
	}
	if err := t.cursor.Err(); err != nil {
		return outcome(err)
	}
	return "end"
}

func (r *storeRun) write(t *storeTxn, number int, s step) string {
	if len(t.savepoints) < 2 && s.call == callRollbackTo {
		s.call = callSavepoint
	}
	switch s.call {
	case callSet:
		return outcome(t.Set(s.key(), s.value(number)))
	case callRemove:
		return outcome(t.Delete(s.key()))
	case callRemoveRange:
		bounds, _ := s.walk()
		return outcome(t.DeleteRange(r.f.ctx, bounds))
	case callLock:
		return outcome(t.Lock(r.f.ctx, s.keys()...))
	case callSavepoint:
		sp, err := t.Savepoint()
		if err == nil {
			t.savepoints = append(t.savepoints, sp)
		}
		return outcome(err)
	default: // rollbackTo
		return outcome(t.RollbackTo(t.savepoints[int(s.a)%len(t.savepoints)]))
	}
}

// outcome names an error that the model can predict, and quotes others.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, kv.ErrNotFound):
		return "none"
	case errors.Is(err, kv.ErrConflict):
		return "conflict"
	case errors.Is(err, kv.ErrReadOnly):
		return "read-only"
	case errors.Is(err, kv.ErrSavepoint):
		return "discarded savepoint"
	}
	return "error: " + err.Error()
}

// shown is a value as answers have it.
func shown(v string) string {
	if v == "" {
		return "none"
	}
	return v
}

func pairShown(key, value string) string { return fmt.Sprintf("%q=%s", key, value) }
