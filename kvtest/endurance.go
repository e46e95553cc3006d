package kvtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
)

// Cases of this group are about time and numbers: many keys, old snapshots,
// contention, callers that give up, and what is left when a store is closed.

func enduranceCases() []testCase {
	return []testCase{
		{name: "thousands of keys in one transaction", run: manyKeys},
		{name: "old snapshots", run: oldSnapshots},
		{name: "a refused commit leaves no trace", run: refusedLeavesNoTrace},
		{name: "idle transactions hold nobody up", run: idleTransactions},
		{name: "one of many always wins", run: oneAlwaysWins},
		{name: "progress under contention", run: contention},
		{name: "cancelled while waiting", run: func(f *fixture) { f.cancelEachCall(kvfault.Rule{Hold: true}) }},
		{name: "cancelled while waiting for the answer", run: func(f *fixture) { f.cancelEachCall(kvfault.Rule{Hold: true, After: true}) }},
		{name: "cancelled unheard", run: func(f *fixture) { f.cancelEachCall(kvfault.Rule{Hold: true, Deaf: true}) }},
		{name: "cancelled unheard before the answer", run: func(f *fixture) { f.cancelEachCall(kvfault.Rule{Hold: true, Deaf: true, After: true}) }},
		{name: "cancelled at any moment", run: cancelledAnyMoment},
		{name: "WaitDurable cancelled", run: waitDurableCancelled},
		{name: "closed during each call", run: func(f *fixture) { f.closeEachCall(false) }},
		{name: "closed after each call", run: func(f *fixture) { f.closeEachCall(true) }},
		{name: "no goroutine survives Close", run: goroutineLeaks, alone: true},
	}
}

func manyKeys(f *fixture) {
	n := f.scaled(5000)
	name := func(i int) string { return fmt.Sprintf("%06d", i) }
	all := make([][]byte, n)
	tx := f.begin()
	for i := range n {
		all[i] = key(name(i))
		f.ok(tx.Set(all[i], val("1")))
	}
	f.lock(tx, "x")
	f.commit(tx)

	tx = f.begin()
	f.ok(tx.Lock(f.ctx, all...))
	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	got, err := tx.BatchGet(f.ctx, shuffled)
	f.ok(err)
	for _, v := range got {
		require.Equal(f, val("1"), v)
	}
	f.set(tx, "y", "1")
	f.commit(tx)

	tx, late := f.begin(), f.begin()
	f.ok(late.Set(all[n/2], val("2")))
	f.ok(tx.DeleteRange(f.ctx, kv.Range{End: key("x")}))
	f.commit(tx)
	f.conflict(late)
	require.Equal(f, []string{"y=1"}, f.contents())
}

// oldSnapshots compares views of many ages with what was committed when they
// were opened, in all ways to read.
func oldSnapshots(f *fixture) {
	f.open(&kv.Options{Durability: f.quick(), ViewLifetime: longLife})
	const names, snapshots = 20, 12
	rng := rand.New(rand.NewPCG(f.seed(), 1))
	type aged struct {
		tx   *kv.Txn
		want map[string]string
	}
	var open []aged
	state := map[string]string{}
	for i := range f.scaled(600) {
		if i%50 == 0 && len(open) < snapshots {
			o := &kv.TxnOptions{ReadOnly: len(open)%3 > 0} // read-write ones keep their snapshot as well
			want := map[string]string{}
			for k, v := range state {
				want[k] = v
			}
			open = append(open, aged{f.beginWith(o), want})
		}
		if i%170 == 169 { // one in the middle goes first
			at := len(open) / 2
			open[at].tx.Rollback()
			open = slices.Delete(open, at, at+1)
		}
		tx := f.begin()
		for range 1 + rng.IntN(3) {
			name := fmt.Sprintf("%02d", rng.IntN(names))
			if rng.IntN(3) == 0 {
				f.del(tx, name)
				delete(state, name)
			} else {
				state[name] = strings.Repeat(fmt.Sprint(i, " "), 1+rng.IntN(40))
				f.set(tx, name, state[name])
			}
		}
		f.commit(tx)
	}
	for _, s := range open {
		var want []string
		var all [][]byte
		for i := range names {
			name := fmt.Sprintf("%02d", i)
			all = append(all, key(name))
			require.Equal(f, s.want[name], f.get(s.tx, name))
			if v, ok := s.want[name]; ok {
				want = append(want, name+"="+v)
			}
		}
		require.Equal(f, want, append([]string(nil), f.scan(s.tx)...))
		values, err := s.tx.BatchGet(f.ctx, all)
		f.ok(err)
		for i, v := range values {
			require.Equal(f, s.want[fmt.Sprintf("%02d", i)], unmark(v))
		}
		var back []string
		for p, err := range s.tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: true, PageSize: 3}) {
			f.ok(err)
			back = append(back, unmark(p.Key)+"="+unmark(p.Value))
		}
		slices.Reverse(back)
		require.Equal(f, want, back)
	}
}

// refusedLeavesNoTrace: a transaction that was refused or rolled back is none
// that others could conflict with.
func refusedLeavesNoTrace(f *fixture) {
	for _, give := range []func(tx *kv.Txn){f.conflict, (*kv.Txn).Rollback} {
		loser := f.begin()
		f.set(loser, "a", "loser", "b", "loser")
		f.lock(loser, "c")
		f.put("a", "winner")
		next := f.begin()
		f.set(next, "a", "next", "b", "next", "c", "next")
		give(loser)
		f.commit(next)
		require.Equal(f, []string{"a=next", "b=next", "c=next"}, f.contents())
		f.remove("a", "b", "c")
	}
}

// idleTransactions: open cursors, and locks and writes that have not been committed,
// disturb no other transaction.
func idleTransactions(f *fixture) {
	f.put("a", "0", "b", "0")
	idle, view := f.begin(), f.view()
	f.set(idle, "a", "idle")
	f.lock(idle, "b")
	for _, tx := range []*kv.Txn{idle, view} {
		c, err := tx.Cursor(f.ctx, kv.Range{}, nil)
		f.ok(err)
		require.True(f, c.Next(f.ctx))
	}
	for i := range f.scaled(50) {
		f.put("a", fmt.Sprint(i), "b", fmt.Sprint(i))
		f.ok(f.store.WaitDurable(f.ctx, f.view().ReadVersion()))
	}
	f.conflict(idle)
	require.Equal(f, []string{"a=0", "b=0"}, f.scan(view))
}

// oneAlwaysWins: of transactions that fight for one key the first to commit
// succeeds, however many there are and however often they have lost.
func oneAlwaysWins(f *fixture) {
	const n = 8
	losses := 0
	for round := range f.scaled(20) {
		var txs []*kv.Txn
		for i := range n {
			tx := f.begin()
			f.set(tx, "hot", fmt.Sprint(round, i))
			txs = append(txs, tx)
		}
		for i := range n {
			tx := txs[(i+round)%n]
			if i == 0 {
				f.commit(tx)
				continue
			}
			losses++
			f.conflict(tx)
		}
		require.Equal(f, fmt.Sprint(round, round%n), f.now("hot"))
	}
	require.Positive(f, losses)
}

// contention ends only if every worker gets through: many with small transactions on
// one key, and one with a transaction that reads and locks all that the others write.
func contention(f *fixture) {
	f.patient()
	const workers, accounts = 6, 4
	each := f.scaled(40)
	f.workers(workers, func(worker int) error {
		for i := range each {
			name := fmt.Sprint((worker + i) % accounts)
			if err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
				n, err := readNumbers(f.ctx, tx, key("hot"), key(name))
				if err != nil {
					return err
				}
				if worker == 0 {
					var sum []int
					if sum, err = readNumbers(f.ctx, tx, keys("0", "1", "2", "3")...); err != nil {
						return err
					}
					if n[0] != sum[0]+sum[1]+sum[2]+sum[3] {
						return fmt.Errorf("a snapshot with %d in all, and %d", n[0], sum)
					}
					return errors.Join(tx.Lock(f.ctx, keys("hot", "0", "1", "2", "3")...), tx.Set(key("seen"), val(fmt.Sprint(i))))
				}
				return errors.Join(tx.Set(key("hot"), val(fmt.Sprint(n[0]+1))), tx.Set(key(name), val(fmt.Sprint(n[1]+1))))
			}); err != nil {
				return err
			}
		}
		return nil
	})
	require.Equal(f, fmt.Sprint((workers-1)*each), f.now("hot"))
	require.Equal(f, fmt.Sprint(each-1), f.now("seen"))
}

// cancelEachCall ends the context of a tour while a call is being held, before
// or after the driver has done it. If the rule is deaf, the driver itself gets
// to see a context that has ended.
func (f *fixture) cancelEachCall(r kvfault.Rule) {
	faulty, calls := f.faulty(kv.Options{})
	n := 0
	for fault := range faulty.Sweep(r) {
		n++
		ctx, cancel := context.WithCancel(f.ctx)
		t := &tour{ctx: ctx, from: fmt.Sprint(n), to: fmt.Sprint(n + 1)}
		f.prepare(t)
		fault.During(func() {
			done := make(chan struct{})
			go func() { defer close(done); f.run(t) }()
			select {
			case <-fault.Reached():
				cancel()
				if r.Deaf {
					fault.Lift()
				}
				<-done
			case <-done:
			}
		})
		cancel()
		happened := f.outcome(t, calls)
		if fault.Hits() == 0 {
			f.ok(t.err)
			break
		}
		if t.err != nil {
			f.fails(t.err, context.Canceled)
		} else {
			require.True(f, r.Deaf, "a call that waited has ended without an error")
		}
		if fault.Struck() == kv.CallCommit && (r.After || !r.Deaf) {
			require.Equal(f, r.After, happened, fault)
		}
	}
	require.Greater(f, n, 9)
}

// cancelledAnyMoment ends the contexts of many commits while the driver is at work on
// them. Each commit says truly what became of it.
func cancelledAnyMoment(f *fixture) {
	seed := f.seed()
	var calls kvfault.Counting
	f.open(&kv.Options{MaxAttempts: 1 << 20, Wrap: calls.Wrap})
	var mu sync.Mutex
	outcome := map[string]error{}
	each := f.scaled(30)
	f.workers(6, func(worker int) error {
		rng := rand.New(rand.NewPCG(seed, uint64(worker)))
		for i := range each {
			name := fmt.Sprintf("%d.%03d", worker, i)
			ctx, cancel := context.WithCancel(f.ctx)
			yields := rng.IntN(60)
			begun, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				<-begun
				for range yields {
					runtime.Gosched()
				}
				cancel()
			}()
			var once sync.Once
			err := f.store.Update(ctx, func(tx *kv.Txn) error {
				once.Do(func() { close(begun) })
				return errors.Join(tx.Set(key(name+"a"), val("1")), tx.Set(key("hot"), val(name)), tx.Set(key(name+"z"), val("1")))
			})
			once.Do(func() { close(begun) })
			<-ended
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			mu.Lock()
			outcome[name] = err
			mu.Unlock()
		}
		return nil
	})
	require.Zero(f, calls.OpenTxns())
	tx := f.view()
	for name, err := range outcome {
		first, last := f.get(tx, name+"a"), f.get(tx, name+"z")
		require.Equal(f, first, last, "half of a commit is there")
		switch {
		case err == nil:
			require.Equal(f, "1", first, "an acknowledged commit is lost")
		case !errors.Is(err, kv.ErrCommitUnknown):
			require.Empty(f, first, "a commit is there that was said not to have happened: %v", err)
		}
	}
	f.put("after", "1")
}

// waitDurableCancelled: the wait ends, one way or the other, and the next one works.
func waitDurableCancelled(f *fixture) {
	for range f.scaled(20) {
		tx := f.beginWith(&kv.TxnOptions{Durability: f.quick()})
		f.set(tx, "a", "1")
		v := f.commit(tx)
		ctx, cancel := context.WithCancel(f.ctx)
		waited := make(chan error, 1)
		go func() { waited <- f.store.WaitDurable(ctx, v) }()
		runtime.Gosched()
		cancel()
		if err := <-waited; err != nil {
			f.fails(err, context.Canceled)
		}
		f.ok(f.store.WaitDurable(f.ctx, v))
	}
}

// closeEachCall closes a store while a call of a tour is being held. Close
// waits for it, and the tour ends well or learns that the store is closed.
func (f *fixture) closeEachCall(after bool) {
	var faulty kvfault.Faulty
	var calls kvfault.Counting
	n := 0
	for fault := range faulty.Sweep(kvfault.Rule{Hold: true, Deaf: true, After: after}) {
		n++
		f.open(&kv.Options{Wrap: func(d kv.Driver) kv.Driver { return faulty.Wrap(calls.Wrap(d)) }})
		t := &tour{ctx: f.ctx, from: "1", to: "2"}
		f.prepare(t)
		fault.During(func() {
			done, closed := make(chan struct{}), make(chan error, 1)
			go func() { defer close(done); f.run(t) }()
			select {
			case <-fault.Reached():
			case <-done:
				return
			}
			go func() { closed <- f.store.Close() }()
			f.awaitClosing()
			if len(closed) > 0 {
				f.Errorf("Close has not waited for the call that is under way: %v", fault)
			}
			fault.Lift()
			f.ok(<-closed)
			<-done
		})
		require.Zero(f, calls.OpenTxns())
		require.Zero(f, calls.OpenCursors())
		if fault.Hits() == 0 {
			f.ok(t.err)
			break
		}
		if t.err != nil {
			f.fails(t.err, kv.ErrClosed)
		}
		require.LessOrEqual(f, t.runs, 1)
		if fault.Struck() == kv.CallCommit {
			require.Equal(f, 1, t.committed, "a commit that was under way succeeds")
		}
		if f.h.Reopen == nil {
			continue
		}
		f.ok(f.reopen(nil))
		f.outcome(t, &calls)
	}
	require.Greater(f, n, 9)
}

// awaitClosing returns when Close has begun.
func (f *fixture) awaitClosing() {
	for {
		tx, err := f.store.Begin(f.ctx, nil)
		if err != nil {
			f.fails(err, kv.ErrClosed)
			return
		}
		tx.Rollback()
	}
}

// goroutineLeaks runs with no other case beside it.
func goroutineLeaks(f *fixture) {
	others := goleak.IgnoreCurrent()
	for range 3 {
		f.open(nil)
		f.workers(4, func(worker int) error {
			for i := range 10 {
				if err := f.store.Update(f.ctx, func(tx *kv.Txn) error {
					return tx.Set(key(fmt.Sprint(worker, i)), val("1"))
				}); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithCancel(f.ctx)
			defer cancel()
			tx, err := f.store.Begin(ctx, nil) // left open
			if err != nil {
				return err
			}
			_, err = tx.Cursor(ctx, kv.Range{}, nil)
			return err
		})
		f.ok(f.store.Close())
		f.awaitNoneBut(others)
	}
}

// awaitNoneBut returns when no other goroutines are left. By default goleak looks for
// less than a second; on a busy machine a goroutine that is about to end may take
// longer.
func (f *fixture) awaitNoneBut(others goleak.Option) {
	patience := time.Minute
	if r, ok := f.TB.(*recorder); ok && r.quiet { // on a broken driver
		patience = 0
	}
	for began := time.Now(); ; {
		err := goleak.Find(others)
		if err == nil {
			return
		}
		if time.Since(began) >= patience {
			f.Fatalf("goroutines have outlived Close: %v", err)
		}
	}
}
