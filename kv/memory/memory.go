// Package memory is the in-memory driver of kv: the fake of unit tests, and a
// store for data that may die with the process. Opening one takes
// microseconds and starts no goroutine.
//
// The store is a copy-on-write B-tree. A commit clones it, changes the paths
// to its keys and swaps the root in; a snapshot is a root, so readers neither
// wait nor make anybody wait, and old versions go with Go's garbage collector.
package memory

import (
	"context"
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/cowmap"
	"github.com/tito-db/tito-go/kv/internal/occ"
)

// Options of a memory store. The zero value means the defaults; nil works too.
type Options struct {
	kv.Options

	// OnWriteSkew, if set, is called when a commit completes a write skew:
	// when transactions that have all committed could not have run one after
	// the other. A unit test that sets it finds a missing Lock. It is called
	// before that Commit returns, on its goroutine, so perhaps on several at
	// once. Commits become slower and go one at a time.
	OnWriteSkew func(*WriteSkew)
}

// Open returns an empty store. Sync and NoSync commits are the same to it:
// nothing survives Close.
func Open(o *Options) (*kv.Store, error) {
	if o == nil {
		o = &Options{}
	}
	d := &driver{ctl: occ.New(occ.Options{}), info: kv.Info{
		Name:        "memory",
		Limits:      kv.DefaultLimits(),
		TxnLifetime: o.TxnLifetime,
		NoSync:      true,
	}}
	d.info.Limits.MaxTxnSize = max(o.MaxTxnSize, kv.DefaultMaxTxnSize)
	if d.info.TxnLifetime == 0 {
		d.info.TxnLifetime = kv.DefaultTxnLifetime
	}
	d.state.Store(&state{})
	if o.OnWriteSkew != nil {
		return kv.NewStore(&detector{Driver: d, report: o.OnWriteSkew}, &o.Options)
	}
	return kv.NewStore(d, &o.Options)
}

type driver struct {
	ctl   *occ.Controller
	info  kv.Info
	state atomic.Pointer[state]
}

// state is one committed state. Only the mark that the tree has been cloned ever
// changes in it, and only commits look at that mark.
type state struct {
	tree    cowmap.Map[[]byte]
	version kv.Version
}

func (d *driver) Begin(_ context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if o.ReadOnly {
		return &txn{d: d, state: d.state.Load()}, nil
	}
	ticket := d.ctl.Begin()
	s := d.state.Load()
	ticket.Pin(s.version)
	return &txn{d: d, ticket: ticket, state: s}, nil
}

func (d *driver) Watermark(context.Context) (kv.Version, error) { return d.ctl.Watermark(), nil }

func (d *driver) WaitDurable(context.Context, kv.Version) error { return nil }

func (d *driver) Info() kv.Info { return d.info }

func (d *driver) As(any) bool { return false }

func (d *driver) Close() error {
	d.state.Store(nil) // free the data even if the Store is kept
	return nil
}

type txn struct {
	d      *driver
	ticket *occ.Ticket // nil if read-only
	state  *state
}

func (t *txn) ReadVersion() kv.Version { return t.state.version }

func (t *txn) Get(_ context.Context, key []byte) ([]byte, error) {
	return t.get(key), nil
}

func (t *txn) get(key []byte) []byte {
	v, ok := t.state.tree.Get(key)
	if !ok {
		return nil
	}
	return append(make([]byte, 0, len(v)), v...)
}

func (t *txn) BatchGet(_ context.Context, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = t.get(k)
	}
	return values, nil
}

func (t *txn) Cursor(_ context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	return cursor{t.state.tree.Cursor(r.Start, r.End, o.Reverse)}, nil
}

func (t *txn) Commit(_ context.Context, c *kv.Commit) (kv.Version, error) {
	return t.d.ctl.Commit(t.ticket, c, func(v kv.Version) error {
		tree := t.d.state.Load().tree.Clone()
		for _, w := range c.Writes {
			if w.Value == nil {
				tree.Delete(w.Key)
			} else {
				tree.Set(w.Key, w.Value)
			}
		}
		t.d.state.Store(&state{tree, v})
		return nil
	})
}

func (t *txn) Release() {
	t.state = nil
	if t.ticket != nil {
		t.ticket.Release()
	}
}

// cursor adapts a tree's cursor; its bytes live as long as the snapshot.
type cursor struct {
	*cowmap.Cursor[[]byte]
}

func (c cursor) Next(context.Context) bool             { return c.Cursor.Next() }
func (c cursor) Seek(_ context.Context, k []byte) bool { return c.Cursor.Seek(k) }
func (c cursor) Key() []byte                           { return c.Item().Key }
func (c cursor) Value() []byte                         { return c.Item().Value }
func (c cursor) Err() error                            { return nil }
func (c cursor) Close()                                {}
