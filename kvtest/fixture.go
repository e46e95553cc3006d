package kvtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// marker is part of every key and value that cases write through the fixture.
// No error message may hold it.
const marker = "secret"

// fixture is what a case works with: a harness, a fresh store on first use,
// and short forms of transactions' methods that fail the case on an error.
type fixture struct {
	testing.TB
	h     Harness
	ctx   context.Context
	store *kv.Store // the store that was opened last
	dead  *kv.Store // a store that crashed, whose Close may fail
}

func newFixture(t testing.TB, h Harness) *fixture {
	f := &fixture{TB: t, h: h, ctx: t.Context()}
	f.open(nil)
	return f
}

// longLife is the lifetime of transactions in stores that a case opens: it may
// run on a slow machine, and large transactions take a while.
const longLife = time.Hour

// open opens a further fresh store, which begin and the other methods use from then
// on, and closes it when the case ends.
func (f *fixture) open(o *kv.Options) *kv.Store {
	f.Helper()
	var opts kv.Options
	if o != nil {
		opts = *o
	}
	if opts.TxnLifetime == 0 {
		opts.TxnLifetime = longLife
	}
	return f.openAs(&opts)
}

// openAs is open, for cases to which the default lifetime matters.
func (f *fixture) openAs(o *kv.Options) *kv.Store {
	f.Helper()
	opts, g := f.guarded(o)
	f.adopt(f.h.Open(f, &opts), g)
	return f.store
}

// reopen closes the fixture's store and opens it again.
func (f *fixture) reopen(o *kv.Options) error {
	f.Helper()
	return f.again(f.h.Reopen, o)
}

// crash crashes the fixture's store and opens what is left.
func (f *fixture) crash(o *kv.Options) {
	f.Helper()
	f.dead = f.store
	f.ok(f.again(f.h.Crash, o))
}

func (f *fixture) again(open func(testing.TB, *kv.Store, *kv.Options) (*kv.Store, error), o *kv.Options) error {
	f.Helper()
	opts, g := f.guarded(o)
	s, err := open(f, f.store, &opts)
	if err != nil {
		return err
	}
	f.adopt(s, g)
	return nil
}

// guarded puts the guard beneath o's own wrapper.
func (f *fixture) guarded(o *kv.Options) (kv.Options, *guard) {
	var opts kv.Options
	if o != nil {
		opts = *o
	}
	g := &guard{t: f}
	outer := opts.Wrap
	opts.Wrap = func(d kv.Driver) kv.Driver {
		g.Driver = d
		if outer != nil {
			return outer(g)
		}
		return g
	}
	return opts, g
}

func (f *fixture) adopt(s *kv.Store, g *guard) {
	f.store = s
	f.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, kv.ErrClosed) && s != f.dead {
			f.Errorf("close: %v", err)
		}
		g.finish()
	})
}

// key and val mark name as contents that no message may show.
func key(name string) []byte { return []byte(marker + "." + name) }
func val(name string) []byte { return []byte(marker + ":" + name) }

// keys marks several names.
func keys(names ...string) [][]byte {
	all := make([][]byte, len(names))
	for i, name := range names {
		all[i] = key(name)
	}
	return all
}

// begin opens a read-write transaction that is rolled back at the latest when
// the case ends.
func (f *fixture) begin() *kv.Txn {
	f.Helper()
	return f.beginWith(nil)
}

// view opens a read-only transaction.
func (f *fixture) view() *kv.Txn {
	f.Helper()
	return f.beginWith(&kv.TxnOptions{ReadOnly: true})
}

func (f *fixture) beginWith(o *kv.TxnOptions) *kv.Txn {
	f.Helper()
	tx, err := f.store.Begin(f.ctx, o)
	f.ok(err)
	f.Cleanup(tx.Rollback)
	return tx
}

// put commits names and values, given in turn, in one transaction, and returns
// its version.
func (f *fixture) put(namesAndValues ...string) kv.Version {
	f.Helper()
	tx := f.begin()
	f.set(tx, namesAndValues...)
	return f.commit(tx)
}

// remove commits the deletion of names in one transaction.
func (f *fixture) remove(names ...string) kv.Version {
	f.Helper()
	tx := f.begin()
	f.del(tx, names...)
	return f.commit(tx)
}

func (f *fixture) set(tx *kv.Txn, namesAndValues ...string) {
	f.Helper()
	for i := 0; i < len(namesAndValues); i += 2 {
		f.ok(tx.Set(key(namesAndValues[i]), val(namesAndValues[i+1])))
	}
}

func (f *fixture) del(tx *kv.Txn, names ...string) {
	f.Helper()
	for _, name := range names {
		f.ok(tx.Delete(key(name)))
	}
}

func (f *fixture) lock(tx *kv.Txn, names ...string) {
	f.Helper()
	f.ok(tx.Lock(f.ctx, keys(names...)...))
}

// get returns the value that val made, unmarked, or "" if there is none.
func (f *fixture) get(tx *kv.Txn, name string) string {
	f.Helper()
	v, err := tx.Get(f.ctx, key(name))
	if errors.Is(err, kv.ErrNotFound) {
		f.silent(err)
		return ""
	}
	f.ok(err)
	return unmark(v)
}

// now returns a committed value as a new transaction sees it.
func (f *fixture) now(name string) string {
	f.Helper()
	tx := f.view()
	defer tx.Rollback()
	return f.get(tx, name)
}

// scan returns what tx sees as "name=value", in key order.
func (f *fixture) scan(tx *kv.Txn) []string {
	f.Helper()
	got := []string{}
	for p, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
		f.ok(err)
		got = append(got, unmark(p.Key)+"="+unmark(p.Value))
	}
	return got
}

// contents returns what is committed, as scan does.
func (f *fixture) contents() []string {
	f.Helper()
	tx := f.view()
	defer tx.Rollback()
	return f.scan(tx)
}

func unmark(b []byte) string {
	if len(b) > len(marker) && bytes.HasPrefix(b, []byte(marker)) {
		return string(b[len(marker)+1:])
	}
	return string(b)
}

func (f *fixture) commit(tx *kv.Txn) kv.Version {
	f.Helper()
	f.ok(tx.Commit(f.ctx))
	return tx.CommitVersion()
}

// conflict commits tx, which has to fail for a conflict.
func (f *fixture) conflict(tx *kv.Txn) {
	f.Helper()
	f.fails(tx.Commit(f.ctx), kv.ErrConflict)
}

// ok fails the case on an error.
func (f *fixture) ok(err error) {
	if err != nil {
		f.Helper()
		f.silent(err)
		require.NoError(f, err)
	}
}

// fails requires err to wrap want and to keep keys and values to itself.
func (f *fixture) fails(err, want error) {
	f.Helper()
	require.ErrorIs(f, err, want)
	f.silent(err)
}

// silent requires that err's message shows no key and no value.
func (f *fixture) silent(err error) {
	f.Helper()
	message := err.Error()
	for _, shown := range []string{marker, hex.EncodeToString([]byte(marker)), "115 101 99 114 101 116"} {
		if strings.Contains(strings.ToLower(message), shown) {
			f.Errorf("an error's message shows a key or a value: %q", message)
		}
	}
}

// wipe overwrites b, as a caller may once a call has returned.
func wipe(bs ...[]byte) {
	for _, b := range bs {
		for i := range b {
			b[i] = '!'
		}
	}
}
