package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

// driver is an open store.
type driver struct {
	db       *bbolt.DB
	file     *os.File // db's
	ctl      *occ.Controller
	info     kv.Info
	opened   kv.Version // the newest version that may have been handed out before
	combiner *combiner

	failure atomic.Pointer[error] // wraps kv.ErrUnavailable: the store is of no use any more
	stuck   atomic.Bool           // bbolt may have panicked with one of its locks held
}

func open(file string, o *Options) (*driver, error) {
	db, f, err := openDB(file, o)
	if err != nil {
		return nil, err
	}
	d := &driver{db: db, file: f}
	var s state
	err = d.shielded(func() (err error) {
		s, err = loadState(db, o.TxnLifetime)
		if err == nil && s == (state{}) {
			s, err = createState(db, o.TxnLifetime)
		}
		return err
	})
	if err != nil {
		return nil, classify(errors.Join(err, d.closeFile()))
	}
	d.opened = s.Reserved
	d.info = kv.Info{Name: "bolt", Limits: kv.DefaultLimits(), TxnLifetime: s.Lifetime}
	d.info.Limits.MaxTxnSize = min(max(o.MaxTxnSize, kv.DefaultMaxTxnSize), o.MaxSize)
	d.ctl = occ.New(occ.Options{Last: s.Reserved, Reserve: d.reserve})
	d.combiner = startCombiner(d.commitGroup)
	return d, nil
}

// shield makes a panic of bbolt, or a fault in reading its map, the error of
// the function that defers it, and the end of the store:
//
//	defer d.shield(debug.SetPanicOnFault(true), &err)
func (d *driver) shield(before bool, err *error) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = d.fail(fmt.Errorf("%w: %v", kv.ErrCorrupt, p))
	}
}

func (d *driver) shielded(fn func() error) (err error) {
	defer d.shield(debug.SetPanicOnFault(true), &err)
	return fn()
}

// fail makes every later call fail with the first cause, and returns the error
// for that.
func (d *driver) fail(cause error) error {
	err := fmt.Errorf("%w: %w", kv.ErrUnavailable, cause)
	d.failure.CompareAndSwap(nil, &err)
	return d.err()
}

// err is nil as long as the store is of use.
func (d *driver) err() error {
	if p := d.failure.Load(); p != nil {
		return *p
	}
	return nil
}

func (d *driver) Begin(_ context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	t := &txn{d: d}
	if !o.ReadOnly {
		t.ticket = d.ctl.Begin()
	}
	if err := t.begin(); err != nil {
		d.stuck.Store(d.err() != nil)
		t.Release()
		return nil, err
	}
	if t.ticket != nil {
		t.ticket.Pin(t.version)
	}
	return t, nil
}

func (d *driver) Watermark(context.Context) (kv.Version, error) { return d.ctl.Watermark(), d.err() }

// WaitDurable waits for the commit under way, if there is one: its effects can
// be seen between its last write and the sync after that.
func (d *driver) WaitDurable(ctx context.Context, _ kv.Version) error {
	if err := d.combiner.wait(ctx); err != nil {
		return err
	}
	return d.err()
}

func (d *driver) Info() kv.Info { return d.info }

func (d *driver) As(target any) bool {
	switch p := target.(type) {
	case **bbolt.DB:
		*p = d.db
	case **driver:
		*p = d
	default:
		return false
	}
	return true
}

// Close gives back the versions that were reserved and not used, so that
// versions do not run ahead of the clock.
func (d *driver) Close() error {
	d.combiner.stop()
	var err error
	if last := d.ctl.Published(); last != d.opened && d.err() == nil {
		err = d.reserve(last)
	}
	if e := d.closeFile(); err == nil {
		err = e
	}
	return err
}

func (d *driver) closeFile() error {
	var err error
	if d.stuck.Load() { // bbolt's Close could wait for ever, so only the file is given back
		err = errors.Join(unlock(d.file), d.file.Close())
	} else {
		err = d.db.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
	}
	return nil
}

// reserve keeps v as the highest version that may be handed out.
func (d *driver) reserve(v kv.Version) error {
	return d.write(func(tx *bbolt.Tx) error {
		return writeNumber(tx.Bucket(metaBucket), settingsKeys[settings.Reserved], uint64(v))
	})
}

// commitGroup checks and writes transactions together, and answers each request.
func (d *driver) commitGroup(group []*occ.Request) {
	d.ctl.CommitGroup(group, d.apply)
	if len(group) == 1 {
		return
	}
	for _, r := range group {
		if errors.Is(r.Err, berrors.ErrMaxSizeReached) { // the file may have room for this commit alone
			d.ctl.CommitGroup([]*occ.Request{r}, d.apply)
		}
	}
}

func (d *driver) apply(passed []*occ.Request) error {
	return d.write(func(tx *bbolt.Tx) error {
		data := tx.Bucket(dataBucket)
		for _, r := range passed {
			for _, w := range r.Commit.Writes {
				var err error
				if w.Value == nil {
					err = data.Delete(w.Key)
				} else {
					err = data.Put(w.Key, w.Value)
				}
				if err != nil {
					return err
				}
			}
		}
		return writeNumber(tx.Bucket(metaBucket), versionKey, uint64(passed[len(passed)-1].Version))
	})
}

// write runs fn in a synced transaction of bbolt. An error that wraps
// kv.ErrUnavailable says that nothing was written; any other error wraps
// kv.ErrCommitUnknown, and the store fails from then on.
func (d *driver) write(fn func(tx *bbolt.Tx) error) error {
	if err := d.err(); err != nil {
		return err
	}
	var tx *bbolt.Tx
	err := d.shielded(func() (err error) {
		if tx, err = d.db.Begin(true); err != nil {
			return err
		}
		if err = fn(tx); err != nil {
			_ = tx.Rollback() // of a transaction that wrote nothing; it cannot fail
		}
		return err
	})
	if err != nil {
		d.stuck.Store(d.err() != nil)
		return unavailable(err)
	}
	err = commit(tx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrMaxSizeReached): // bbolt finds that out before it writes
		return fmt.Errorf("%w: the file has reached Options.MaxSize: %w", kv.ErrUnavailable, err)
	case errors.Is(err, kv.ErrCorrupt):
		d.stuck.Store(true)
	}
	_ = d.fail(err)
	return fmt.Errorf("%w: %w", kv.ErrCommitUnknown, err)
}

func commit(tx *bbolt.Tx) (err error) {
	defer shield(debug.SetPanicOnFault(true), &err)
	return tx.Commit()
}

func unavailable(err error) error {
	if errors.Is(err, kv.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
}
