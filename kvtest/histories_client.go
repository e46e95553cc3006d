package kvtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/internal/history"
)

// historian keeps what clients did and saw.
type historian struct {
	f      *fixture
	seed   uint64
	clock  atomic.Int64
	values atomic.Int64

	mu   sync.Mutex
	txns []history.Txn
}

func newHistorian(f *fixture) *historian { return &historian{f: f, seed: f.seed()} }

// seed returns the harness's seed, or a new seed if that is zero.
func (f *fixture) seed() uint64 {
	seed := f.h.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	f.Logf("Harness.Seed %d repeats this", seed)
	return seed
}

func (h *historian) tick() int64 { return h.clock.Add(1) }

func (h *historian) add(t history.Txn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.txns = append(h.txns, t)
}

// describe shows the transaction that an anomaly is about.
func (h *historian) describe(err error) string {
	var a *history.Anomaly
	if !errors.As(err, &a) {
		return ""
	}
	t := h.txns[a.Txn]
	var b strings.Builder
	fmt.Fprintf(&b, "transaction %d read at %d, committed at %d:", a.Txn, t.Read, t.Commit)
	for _, op := range t.Ops {
		fmt.Fprintf(&b, "\n  %s %q %q", [...]string{"get", "scan", "set", "delete", "lock"}[op.Kind], op.Key, op.Value)
		if op.Scan != nil {
			fmt.Fprintf(&b, " to %q %+v", op.Scan.End, *op.Scan)
		}
	}
	return b.String()
}

// client runs transactions, one after the other.
type client struct {
	h   *historian
	mix mix
	rng *rand.Rand
}

// pause lets others in now and then.
func pause(rng *rand.Rand) {
	if rng != nil && rng.IntN(3) == 0 {
		runtime.Gosched()
	}
}

func (c *client) key() string { return fmt.Sprintf("%03d", c.rng.IntN(c.mix.keys)) }

// transaction runs a transaction and records it.
func (c *client) transaction() error {
	f, t := c.h.f, history.Txn{}
	readOnly := c.rng.IntN(100) < max(c.mix.views, 10)
	t.Times.Begin = c.h.tick()
	tx, err := f.store.Begin(f.ctx, &kv.TxnOptions{ReadOnly: readOnly})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	t.Times.Begun = c.h.tick()
	t.Read = tx.ReadVersion()
	for range 1 + c.rng.IntN(c.mix.ops) {
		if err := c.call(tx, &t); err != nil {
			return err
		}
		pause(c.rng)
	}
	if c.rng.IntN(10) > 0 {
		if err := c.commit(tx, &t); err != nil {
			return err
		}
	}
	c.h.add(t)
	return nil
}

func (c *client) commit(tx *kv.Txn, t *history.Txn) error {
	f := c.h.f
	if !tx.ReadOnly() && c.rng.IntN(8) > 0 {
		if err := tx.SetDurability(f.quick()); err != nil {
			return err
		}
	}
	t.Times.Ask = c.h.tick()
	err := tx.Commit(f.ctx)
	t.Times.Done = c.h.tick()
	switch {
	case err == nil:
		t.Outcome, t.Commit = history.Committed, tx.CommitVersion()
	case errors.Is(err, kv.ErrCommitUnknown):
		t.Outcome = history.Unknown
	case !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrTxnTooOld):
		return err
	}
	return nil
}

// call makes one call and notes it.
func (c *client) call(tx *kv.Txn, t *history.Txn) error {
	dice := c.rng.IntN(100)
	switch locks := max(c.mix.locks, 10); {
	case tx.ReadOnly() || dice < 25:
		return c.read(tx, t)
	case dice < 25+locks:
		name := c.key()
		t.Ops = append(t.Ops, history.Op{Kind: history.Lock, Key: name})
		return tx.Lock(c.h.f.ctx, key(name))
	case dice < 35+locks && !c.mix.keep:
		name := c.key()
		t.Ops = append(t.Ops, history.Op{Kind: history.Delete, Key: name})
		return tx.Delete(key(name))
	}
	name, v := c.key(), fmt.Sprint(c.h.values.Add(1))
	t.Ops = append(t.Ops, history.Op{Kind: history.Set, Key: name, Value: v})
	return tx.Set(key(name), val(v))
}

func (c *client) read(tx *kv.Txn, t *history.Txn) error {
	ctx := c.h.f.ctx
	switch c.rng.IntN(4) {
	case 0:
		w := &history.Walk{Reverse: c.rng.IntN(2) == 0, KeysOnly: c.rng.IntN(8) == 0}
		if c.rng.IntN(2) == 0 {
			w.Limit = 1 + c.rng.IntN(5)
		}
		start, end := "", ""
		if c.rng.IntN(2) == 0 {
			start = c.key()
		}
		if c.rng.IntN(2) == 0 {
			end = c.key()
		}
		if start > end && end != "" {
			start, end = end, start
		}
		w.End = end
		return c.scan(tx, t, start, w, c.rng.IntN(3))
	case 1:
		names := []string{c.key(), c.key(), c.key()}
		values, err := tx.BatchGet(ctx, keys(names...))
		if err != nil {
			return err
		}
		for i, name := range names {
			t.Ops = append(t.Ops, history.Op{Kind: history.Get, Key: name, Value: unmark(values[i])})
		}
		return nil
	}
	name := c.key()
	v, err := tx.Get(ctx, key(name))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	t.Ops = append(t.Ops, history.Op{Kind: history.Get, Key: name, Value: unmark(v)})
	return nil
}

// scan walks from start to w.End and fills w.
func (c *client) scan(tx *kv.Txn, t *history.Txn, start string, w *history.Walk, page int) error {
	r := kv.Range{}
	if start != "" {
		r.Start = key(start)
	}
	if w.End != "" {
		r.End = key(w.End)
	}
	o := &kv.ScanOptions{Reverse: w.Reverse, KeysOnly: w.KeysOnly, Limit: w.Limit, PageSize: page}
	for p, err := range tx.Scan(c.h.f.ctx, r, o) {
		if err != nil {
			return err
		}
		w.Pairs = append(w.Pairs, history.Pair{Key: unmark(p.Key), Value: unmark(p.Value)})
		pause(c.rng)
	}
	t.Ops = append(t.Ops, history.Op{Kind: history.Scan, Key: start, Scan: w})
	return nil
}

// readAll ends a history with a look at everything.
func (c *client) readAll() error {
	t := history.Txn{Times: history.Times{Begin: c.h.tick()}}
	return c.h.f.store.View(c.h.f.ctx, func(tx *kv.Txn) error {
		t.Times.Begun = c.h.tick()
		t.Read = tx.ReadVersion()
		if err := c.scan(tx, &t, "", &history.Walk{}, 0); err != nil {
			return err
		}
		c.h.add(t)
		return nil
	})
}
