package kvtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tito-db/tito-go/kv"
)

// A trail is a workload that is made to be interrupted: what is left of it
// tells which of its commits a store holds, and whether it holds all of each.
//
// Commit n of a worker sets the worker's two counters, the first and the last
// of its keys, to n, adds entry n, removes the entry that is too old, and moves
// something between two of the accounts that all workers share.
const (
	trailEntries  = 12 // that a worker leaves behind
	trailAccounts = 6
)

// ack is an acknowledgement: commit n of worker got version. If durable is set, that
// commit and each commit with a lower version survive from now on. An ack with n of
// zero only says what is durable.
type ack struct {
	worker, n int
	version   kv.Version
	durable   bool
}

func counterKey(name string, worker int) []byte { return key(fmt.Sprintf("%s.%03d", name, worker)) }
func entryKey(worker, n int) []byte             { return key(fmt.Sprintf("entry.%03d.%09d", worker, n)) }
func accountKey(i int) []byte                   { return key(fmt.Sprintf("money.%d", i)) }

// entryValue is from some bytes to more than a page long.
func entryValue(worker, n int) []byte {
	return val(strings.Repeat(fmt.Sprintf("%d.%d ", worker, n), 1+(n*n+worker)%400))
}

// walk commits one step after the other, until a call fails or report returns
// false.
func walk(ctx context.Context, s *kv.Store, worker int, rng *rand.Rand, report func(ack) bool) error {
	for {
		o := &kv.TxnOptions{Durability: kv.Sync, MaxAttempts: 1 << 20}
		if s.Info().NoSync && rng.IntN(4) > 0 {
			o.Durability = kv.NoSync
		}
		a := ack{worker: worker, durable: o.Durability == kv.Sync}
		var err error
		if a.n, a.version, err = commitStep(ctx, s, o, worker, rng.IntN(trailAccounts), rng.IntN(trailAccounts), 1+rng.IntN(9)); err != nil {
			return err
		}
		if !report(a) {
			return nil
		}
		if a.durable {
			continue
		}
		later := ack{worker: worker, version: a.version, durable: true}
		switch rng.IntN(16) {
		case 0:
			err = s.WaitDurable(ctx, a.version)
		case 1:
			later.version, err = syncedLock(ctx, s, worker)
		default:
			continue
		}
		if err != nil {
			return err
		}
		if !report(later) {
			return nil
		}
	}
}

// syncedLock makes what came before it durable, though it writes nothing.
func syncedLock(ctx context.Context, s *kv.Store, worker int) (kv.Version, error) {
	var tx *kv.Txn
	err := s.Run(ctx, &kv.TxnOptions{Durability: kv.Sync, MaxAttempts: 1 << 20}, func(t *kv.Txn) error {
		tx = t
		return tx.Lock(ctx, counterKey("lock", worker))
	})
	if err != nil {
		return 0, err
	}
	return tx.CommitVersion(), nil
}

func commitStep(ctx context.Context, s *kv.Store, o *kv.TxnOptions, worker, from, to, amount int) (n int, v kv.Version, err error) {
	var tx *kv.Txn
	err = s.Run(ctx, o, func(t *kv.Txn) error {
		tx = t
		numbers, err := readNumbers(ctx, t, counterKey("a", worker), accountKey(from), accountKey(to))
		if err != nil {
			return err
		}
		n = numbers[0] + 1
		if from != to {
			err = errors.Join(
				t.Set(accountKey(from), val(fmt.Sprint(numbers[1]-amount))),
				t.Set(accountKey(to), val(fmt.Sprint(numbers[2]+amount))))
		}
		number := val(fmt.Sprint(n))
		return errors.Join(err,
			t.Set(counterKey("a", worker), number),
			t.Set(counterKey("z", worker), number),
			t.Set(entryKey(worker, n), entryValue(worker, n)),
			t.Delete(entryKey(worker, n-trailEntries)))
	})
	if err != nil {
		return 0, 0, err
	}
	return n, tx.CommitVersion(), nil
}

// readNumbers takes an absent key for zero.
func readNumbers(ctx context.Context, tx *kv.Txn, keys ...[]byte) ([]int, error) {
	values, err := tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(keys))
	for i, v := range values {
		if v == nil {
			continue
		}
		if _, err := fmt.Sscan(unmark(v), &numbers[i]); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// trail is what is known of a store's commits, over all its lives.
type trail struct {
	newest  kv.Version // highest version that a finished life has seen
	durable []int      // by worker: its newest commit that must survive
	reached []int      // by worker: its newest commit that was acknowledged, or found

	acks  []ack // acknowledged in this life
	total int   // in all lives
	lost  int   // how many of the acknowledged commits are gone
}

func newTrail(workers int) *trail {
	return &trail{durable: make([]int, workers), reached: make([]int, workers)}
}

// add notes an acknowledgement.
func (t *trail) add(a ack) {
	t.acks = append(t.acks, a)
	t.total++
}

// allDurable notes that the life has ended well.
func (t *trail) allDurable() {
	t.add(ack{version: ^kv.Version(0), durable: true})
}

// acknowledged returns the number of each worker's last commit, as far as it
// was told.
func (t *trail) acknowledged() []int {
	acked := slices.Clone(t.reached)
	for _, a := range t.acks {
		acked[a.worker] = max(acked[a.worker], a.n)
	}
	return acked
}

// check compares the store with what was acknowledged in the life that is over, and
// begins another life. The first binding acknowledgements count; the commits after
// them may be lost, because they were acknowledged when the end had begun.
func (t *trail) check(ctx context.Context, s *kv.Store, binding int) error {
	return s.View(ctx, func(tx *kv.Txn) error {
		found, err := t.survivors(ctx, tx)
		if err != nil {
			return err
		}
		return t.compare(tx.ReadVersion(), found, binding)
	})
}

// survivors returns the number of each worker's last commit, or an error if a part of
// a commit is missing.
func (t *trail) survivors(ctx context.Context, tx *kv.Txn) ([]int, error) {
	found := make([]int, len(t.reached))
	want := map[string]string{}
	sum := 0
	for w := range found {
		n, err := readNumbers(ctx, tx, counterKey("a", w))
		if err != nil {
			return nil, err
		}
		found[w] = n[0]
		if n[0] == 0 {
			continue
		}
		number := string(val(fmt.Sprint(n[0])))
		want[string(counterKey("a", w))], want[string(counterKey("z", w))] = number, number
		for i := max(1, n[0]-trailEntries+1); i <= n[0]; i++ {
			want[string(entryKey(w, i))] = string(entryValue(w, i))
		}
	}
	for p, err := range tx.Scan(ctx, kv.Range{}, nil) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(unmark(p.Key), "money.") {
			n := 0
			if _, err := fmt.Sscan(unmark(p.Value), &n); err != nil {
				return nil, err
			}
			sum += n
			continue
		}
		if v, ok := want[string(p.Key)]; !ok || v != string(p.Value) {
			return nil, fmt.Errorf("half of a commit is there: %s does not fit the counters %d", unmark(p.Key), found)
		}
		delete(want, string(p.Key))
	}
	for k := range want {
		return nil, fmt.Errorf("half of a commit is there: %s is missing with the counters %d", unmark([]byte(k)), found)
	}
	if sum != 0 {
		return nil, fmt.Errorf("half of a commit is there: the accounts add up to %d", sum)
	}
	return found, nil
}

// compare holds the survivors against the life's acknowledgements.
func (t *trail) compare(read kv.Version, found []int, binding int) error {
	begun := slices.Clone(t.reached)
	var durable, newest kv.Version
	type given struct { // commits of different workers may have nothing in common
		worker  int
		version kv.Version
	}
	seen := map[given]bool{}
	told := make([]int, len(found)) // by worker, in the order of its acknowledgements
	t.reached = t.acknowledged()
	for _, a := range t.acks[:binding] {
		if a.durable {
			durable = max(durable, a.version)
		}
		if a.n == 0 {
			continue
		}
		newest = max(newest, a.version)
		// A worker counts up from what it reads, so it finds a loss before we do, and
		// covers it up by going on.
		if a.n <= told[a.worker] {
			return fmt.Errorf("a commit is lost: worker %d made %d after %d", a.worker, a.n, told[a.worker])
		}
		told[a.worker] = a.n
		if a.version <= t.newest {
			return fmt.Errorf("version %d was given after %d, which an earlier life had seen", a.version, t.newest)
		}
		if g := (given{a.worker, a.version}); seen[g] {
			return fmt.Errorf("version %d was given twice", a.version)
		} else {
			seen[g] = true
		}
	}
	if durable > 0 { // and with it what was found when the life began
		copy(t.durable, begun)
	}
	var last, lost ack // the newest survivor, and the oldest that is lost
	for _, a := range t.acks[:binding] {
		if a.n == 0 {
			continue
		}
		if a.version <= durable {
			t.durable[a.worker] = max(t.durable[a.worker], a.n)
		}
		if a.n <= found[a.worker] {
			if a.version > last.version {
				last = a
			}
			continue
		}
		t.lost++
		if lost.n == 0 || a.version < lost.version {
			lost = a
		}
	}
	for w, n := range found {
		if n < t.durable[w] {
			return fmt.Errorf("a durable commit is lost: worker %d has %d of %d", w, n, t.durable[w])
		}
		if n > t.reached[w]+1 {
			return fmt.Errorf("worker %d has %d commits, though it was told of %d", w, n, t.reached[w])
		}
	}
	if lost.n != 0 && lost.version < last.version {
		return fmt.Errorf("a commit in the middle is lost: version %d is gone and version %d there", lost.version, last.version)
	}
	t.newest = max(t.newest, newest)
	if read < t.newest {
		return fmt.Errorf("versions went back: from %d to %d", t.newest, read)
	}
	t.newest = max(t.newest, read)
	t.reached = found
	t.acks = nil
	return nil
}
