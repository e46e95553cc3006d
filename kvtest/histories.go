package kvtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/internal/history"
)

// Cases of this group run clients on a store side by side, record all that the
// clients see, and check the record. Harness.Seed repeats a case, as far as the
// order of goroutines can be repeated.

func historyCases() []testCase {
	return []testCase{
		{name: "many keys", run: func(f *fixture) { f.history(mix{keys: 60, ops: 8}, nil) }},
		{name: "few keys", run: func(f *fixture) { f.history(mix{keys: 4, ops: 6}, nil) }},
		{name: "long readers", run: func(f *fixture) { f.history(mix{keys: 12, ops: 24, views: 50}, nil) }},
		{name: "locks", run: func(f *fixture) { f.history(mix{keys: 6, ops: 4, locks: 40}, nil) }},
		{name: "lost acknowledgements", run: lostAcknowledgements},
		{name: "across reopening", run: historyAcrossReopening, needs: needReopen},
		{name: "list appends", run: listAppends},
	}
}

// mix says what clients do.
type mix struct {
	keys  int // how many keys the clients share
	ops   int // how many calls a transaction makes at most
	views int // percentage of transactions that are read-only; at least 10
	locks int // percentage of calls that lock; at least 10

	// keep says that nothing is deleted, so that outcomes can be unknown.
	keep bool
}

const historyClients = 6

// rounds is how many transactions each client runs.
func (f *fixture) rounds() int { return f.scaled(80) }

// history runs clients on the fixture's store, with doing called half way.
func (f *fixture) history(m mix, halfway func()) {
	h := newHistorian(f)
	for i, seed := range []uint64{h.seed, h.seed + 1} {
		if i == 1 && halfway != nil {
			halfway()
		}
		f.workers(historyClients, func(worker int) error {
			c := &client{h: h, mix: m, rng: rand.New(rand.NewPCG(seed, uint64(worker)))}
			for range (f.rounds() + 1) / 2 {
				if err := c.transaction(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	f.ok((&client{h: h, mix: m}).readAll())
	if err := history.Check(h.txns); err != nil {
		f.Fatalf("seed %d: %v\n%s", h.seed, err, h.describe(err))
	}
}

func historyAcrossReopening(f *fixture) {
	f.history(mix{keys: 20, ops: 6}, func() { f.ok(f.reopen(nil)) })
}

// lostAcknowledgements makes some commits fail before and some after they
// happened, with an error that says nothing.
func lostAcknowledgements(f *fixture) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(f.seed(), 99))
	f.open(&kv.Options{Wrap: wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		return &forgetfulTxn{t, func() int {
			mu.Lock()
			defer mu.Unlock()
			return rng.IntN(8)
		}}
	})})
	f.history(mix{keys: 10, ops: 6, keep: true}, nil)
}

var errLost = errors.New("kvtest: the acknowledgement was lost") // a driver's own error, which says nothing

// forgetfulTxn draws what becomes of its commit: 0 is an error before the commit, and
// 1 an error after it.
type forgetfulTxn struct {
	kv.DriverTxn
	draw func() int
}

func (t *forgetfulTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	fate := t.draw()
	if fate == 0 {
		return 0, errLost
	}
	v, err := t.DriverTxn.Commit(ctx, c)
	if fate == 1 && err == nil {
		return 0, errLost
	}
	return v, err
}

// listAppends checks isolation without a look at versions.
func listAppends(f *fixture) {
	h := newHistorian(f)
	var mu sync.Mutex
	var txns []history.AppendTxn
	const lists = 5
	read := func(tx *kv.Txn, name string) (history.AppendOp, []byte, error) {
		op := history.AppendOp{Key: name}
		v, err := tx.Get(f.ctx, key(name))
		if errors.Is(err, kv.ErrNotFound) {
			return op, nil, nil
		}
		if err != nil {
			return op, nil, err
		}
		for e := range strings.SplitSeq(unmark(v), " ") {
			n, err := strconv.Atoi(e)
			if err != nil {
				return op, nil, err
			}
			op.List = append(op.List, n)
		}
		return op, v, nil
	}
	one := func(rng *rand.Rand, readOnly bool, n int) error {
		x := history.AppendTxn{Times: history.Times{Begin: h.tick()}}
		tx, err := f.store.Begin(f.ctx, &kv.TxnOptions{ReadOnly: readOnly, Durability: f.quick()})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for i := range n {
			name := fmt.Sprint(i)
			if rng != nil {
				name = fmt.Sprint(rng.IntN(lists))
			}
			op, old, err := read(tx, name)
			if err != nil {
				return err
			}
			x.Ops = append(x.Ops, op)
			pause(rng)
			if readOnly || rng.IntN(2) == 0 {
				continue
			}
			element := int(h.values.Add(1))
			if old == nil {
				old = val(fmt.Sprint(element))
			} else {
				old = fmt.Appendf(old, " %d", element)
			}
			if err := tx.Set(key(name), old); err != nil {
				return err
			}
			x.Ops = append(x.Ops, history.AppendOp{Key: name, Element: element})
		}
		switch err := tx.Commit(f.ctx); {
		case err == nil:
			x.Outcome = history.Committed
		case !errors.Is(err, kv.ErrConflict):
			return err
		}
		x.Times.Done = h.tick()
		mu.Lock()
		defer mu.Unlock()
		txns = append(txns, x)
		return nil
	}
	f.workers(historyClients, func(worker int) error {
		rng := rand.New(rand.NewPCG(h.seed, uint64(worker)))
		for range f.rounds() {
			if err := one(rng, rng.IntN(4) == 0, 1+rng.IntN(3)); err != nil {
				return err
			}
		}
		return nil
	})
	f.ok(one(nil, true, lists))
	if err := history.CheckAppends(txns); err != nil {
		f.Fatalf("seed %d: %v", h.seed, err)
	}
}
