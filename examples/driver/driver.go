// Package driver is a complete driver for kv, small enough to read in one
// sitting: the companion of docs/drivers.md. It keeps every key's versions in
// memory and takes one lock for everything, so it is correct and not fast.
package driver

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Open returns a store over an empty engine.
func Open(o *kv.Options) (*kv.Store, error) {
	if o == nil {
		o = &kv.Options{}
	}
	e := &engine{rows: map[string]*row{}, open: map[*txn]struct{}{}, lifetime: o.TxnLifetime}
	if e.lifetime == 0 {
		e.lifetime = kv.DefaultTxnLifetime
	}
	return kv.NewStore(e, o)
}

// engine is the whole store.
type engine struct {
	lifetime time.Duration

	mu   sync.Mutex
	keys []string        // of all rows, ascending
	rows map[string]*row // what was ever written or locked
	last kv.Version      // of the newest commit
	open map[*txn]struct{}
}

// row is the history of one key, oldest version first.
type row struct {
	versions []version
	locked   kv.Version // newest commit that locked the key
}

// version is a value from one commit on; nil means that the key was deleted.
type version struct {
	at    kv.Version
	value []byte
}

// written returns the newest commit that wrote the key.
func (r *row) written() kv.Version {
	if len(r.versions) == 0 {
		return 0
	}
	return r.versions[len(r.versions)-1].at
}

// get returns the value that a snapshot of version at sees.
func (r *row) get(at kv.Version) []byte {
	for _, v := range slices.Backward(r.versions) {
		if v.at <= at {
			return v.value
		}
	}
	return nil
}

// Begin: a snapshot is a version, and nothing has to be copied.
func (e *engine) Begin(_ context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &txn{e: e, at: e.last, readOnly: o.ReadOnly}
	e.open[t] = struct{}{}
	return t, nil
}

func (e *engine) Watermark(context.Context) (kv.Version, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.oldest(false), nil
}

// oldest returns the lowest version that an open transaction reads at. Views
// keep old values readable but never commit, so the watermark ignores them.
func (e *engine) oldest(views bool) kv.Version {
	v := e.last
	for t := range e.open {
		if views || !t.readOnly {
			v = min(v, t.at)
		}
	}
	return v
}

// WaitDurable: there is no disk to wait for.
func (e *engine) WaitDurable(context.Context, kv.Version) error { return nil }

func (e *engine) Info() kv.Info {
	return kv.Info{Name: "example", Limits: kv.DefaultLimits(), TxnLifetime: e.lifetime, NoSync: true}
}

// As: there is no native handle.
func (e *engine) As(any) bool { return false }

func (e *engine) Close() error { return nil }

// txn is one transaction.
type txn struct {
	e        *engine
	at       kv.Version
	readOnly bool
}

func (t *txn) ReadVersion() kv.Version { return t.at }

func (t *txn) Get(_ context.Context, key []byte) ([]byte, error) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	return t.get(string(key)), nil
}

// get returns a copy, because the caller owns the result.
func (t *txn) get(key string) []byte {
	if r := t.e.rows[key]; r != nil {
		return slices.Clone(r.get(t.at))
	}
	return nil
}

func (t *txn) BatchGet(_ context.Context, keys [][]byte) ([][]byte, error) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = t.get(string(k))
	}
	return values, nil
}

// Commit checks and applies under one lock, so nothing can come in between.
func (t *txn) Commit(_ context.Context, c *kv.Commit) (kv.Version, error) {
	e := t.e
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range c.Writes {
		if r := e.rows[string(w.Key)]; r != nil && max(r.written(), r.locked) > t.at {
			return 0, kv.ErrConflict
		}
	}
	for _, key := range c.Locks {
		if r := e.rows[string(key)]; r != nil && r.written() > t.at {
			return 0, kv.ErrConflict
		}
	}
	// Above every version before, also if the clock stands still or goes back.
	e.last = max(e.last+1, kv.VersionAt(time.Now()))
	horizon := min(t.at, e.oldest(true))
	for _, w := range c.Writes {
		r := e.row(string(w.Key))
		r.forget(horizon)
		r.versions = append(r.versions, version{e.last, w.Value}) // kv lets the driver keep it
	}
	for _, key := range c.Locks {
		e.row(string(key)).locked = e.last
	}
	return e.last, nil
}

// row returns the key's row, making it if need be. Rows of deleted keys stay,
// as they say when that happened; a real engine would collect them too.
func (e *engine) row(key string) *row {
	r := e.rows[key]
	if r == nil {
		r = &row{}
		e.rows[key] = r
		at, _ := slices.BinarySearch(e.keys, key)
		e.keys = slices.Insert(e.keys, at, key)
	}
	return r
}

// forget drops the versions that no snapshot at horizon or above sees.
func (r *row) forget(horizon kv.Version) {
	keep := 0
	for i, v := range r.versions {
		if v.at <= horizon {
			keep = i
		}
	}
	r.versions = slices.Delete(r.versions, 0, keep)
}

// Release may follow Commit or stand alone.
func (t *txn) Release() {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	delete(t.e.open, t)
}

func (t *txn) Cursor(_ context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	return &cursor{t: t, r: r, reverse: o.Reverse}, nil
}

// cursor remembers a key, not a place in the list, which others change.
type cursor struct {
	t       *txn
	r       kv.Range
	reverse bool
	started bool
	done    bool
	key     string
	value   []byte
}

func (c *cursor) Next(context.Context) bool {
	c.t.e.mu.Lock()
	defer c.t.e.mu.Unlock()
	switch {
	case c.done:
		return false
	case c.started:
		return c.move(c.key, false)
	case c.reverse:
		return c.fromTop()
	}
	return c.move(string(c.r.Start), true)
}

func (c *cursor) Seek(_ context.Context, key []byte) bool {
	c.t.e.mu.Lock()
	defer c.t.e.mu.Unlock()
	c.done = false
	switch {
	case c.reverse && c.r.End != nil && string(key) >= string(c.r.End):
		return c.fromTop()
	case !c.reverse && string(key) < string(c.r.Start):
		return c.move(string(c.r.Start), true)
	}
	return c.move(string(key), true)
}

// fromTop moves to the last pair of the range.
func (c *cursor) fromTop() bool {
	if c.r.End != nil {
		return c.move(string(c.r.End), false) // the end is not part of the range
	}
	return c.walk(len(c.t.e.keys)-1, -1)
}

// move goes to the first pair after key in the cursor's direction, or at it.
func (c *cursor) move(key string, inclusive bool) bool {
	i, found := slices.BinarySearch(c.t.e.keys, key)
	switch {
	case c.reverse && (!found || !inclusive):
		i--
	case !c.reverse && found && !inclusive:
		i++
	}
	if c.reverse {
		return c.walk(i, -1)
	}
	return c.walk(i, 1)
}

// walk goes on from keys[i] to the first key that the snapshot sees.
func (c *cursor) walk(i, step int) bool {
	keys := c.t.e.keys
	for ; i >= 0 && i < len(keys) && c.inRange(keys[i]); i += step {
		if v := c.t.get(keys[i]); v != nil {
			c.started, c.key, c.value = true, keys[i], v
			return true
		}
	}
	c.started, c.done = true, true
	return false
}

func (c *cursor) inRange(key string) bool {
	return key >= string(c.r.Start) && (c.r.End == nil || key < string(c.r.End))
}

func (c *cursor) Key() []byte   { return []byte(c.key) }
func (c *cursor) Value() []byte { return c.value }
func (c *cursor) Err() error    { return nil }
func (c *cursor) Close()        {}
