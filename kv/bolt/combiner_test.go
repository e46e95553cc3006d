package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
)

// hold takes bbolt's writer lock, which stops the combiner at its next commit,
// and returns what gives it back.
func hold(t testing.TB, s *kv.Store) (free func()) {
	t.Helper()
	var db *bbolt.DB
	require.True(t, s.As(&db))
	tx, err := db.Begin(true)
	require.NoError(t, err)
	free = func() { _ = tx.Rollback() }
	t.Cleanup(free)
	return free
}

// begin opens a transaction that sets keys.
func begin(t testing.TB, s *kv.Store, keys ...string) *kv.Txn {
	t.Helper()
	tx, err := s.Begin(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(tx.Rollback)
	for _, k := range keys {
		require.NoError(t, tx.Set([]byte(k), []byte("new")))
	}
	return tx
}

func lock(t testing.TB, tx *kv.Txn, keys ...string) *kv.Txn {
	t.Helper()
	for _, k := range keys {
		require.NoError(t, tx.Lock(t.Context(), []byte(k)))
	}
	return tx
}

func commitAsync(tx *kv.Txn) chan error {
	done := make(chan error, 1)
	go func() { done <- tx.Commit(context.Background()) }()
	return done
}

// writes is a commit that sets key.
func writes(key string) *kv.Commit {
	return &kv.Commit{Writes: []kv.Write{{Key: []byte(key), Value: []byte("new")}}}
}

// engineTxn is the number of bbolt transactions that have been committed.
func engineTxn(t testing.TB, s *kv.Store) int {
	t.Helper()
	var db *bbolt.DB
	require.True(t, s.As(&db))
	var n int
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		n = tx.ID()
		return nil
	}))
	return n
}

// TestOneGroup: transactions that wait are committed together, and each is
// checked against what is before it in the group.
func TestOneGroup(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), nil)
	set(t, s, "x", "old")
	txns := []*kv.Txn{
		begin(t, s, "x"),
		begin(t, s, "x", "lost"),       // writes what the first writes
		begin(t, s, "y"),               // alone
		lock(t, begin(t, s, "z"), "x"), // locks what the first writes
		lock(t, begin(t, s, "q"), "l"),
		begin(t, s, "l", "lost"),       // writes what the one before locks
		lock(t, begin(t, s, "r"), "l"), // locks it too; here that is no conflict
		begin(t, s, "z"),               // writes what one without success wanted to write
		lock(t, begin(t, s), "y2"),     // locks only
		begin(t, s, "y2"),
	}
	conflicts := []bool{1: true, 3: true, 5: true, 9: true}
	before := engineTxn(t, s)
	free := hold(t, s)
	blocker := commitAsync(begin(t, s, "blocker"))
	bolt.Look(s).AwaitQueue(0)
	var answers []chan error
	for i, tx := range txns {
		answers = append(answers, commitAsync(tx))
		bolt.Look(s).AwaitQueue(i + 1)
	}
	free()
	require.NoError(t, <-blocker)
	var last kv.Version
	for i, a := range answers {
		err := <-a
		if conflicts[i] {
			require.ErrorIs(t, err, kv.ErrConflict, "transaction %d", i)
			continue
		}
		require.NoError(t, err, "transaction %d", i)
		require.Greater(t, txns[i].CommitVersion(), last)
		last = txns[i].CommitVersion()
	}
	require.LessOrEqual(t, engineTxn(t, s), before+4, "the blocker's, one for all others, and sometimes a reservation of versions")
	require.Equal(t, last, version(t, s), "all of them are in the next snapshot")
	got := contents(t, s)
	delete(got, "blocker")
	require.Equal(t, map[string]string{"x": "new", "y": "new", "q": "new", "r": "new", "z": "new"}, got)
}

// TestConflictWithGroup: transactions that began before a group conflict with
// each member of it, and those that began after it with none.
func TestConflictWithGroup(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), nil)
	early := []*kv.Txn{begin(t, s, "a"), begin(t, s, "b"), lock(t, begin(t, s, "x"), "c"), begin(t, s, "d")}
	for _, err := range bolt.Look(s).Group(writes("a"), writes("b"), writes("c")) {
		require.NoError(t, err)
	}
	for _, tx := range early[:3] {
		require.ErrorIs(t, tx.Commit(t.Context()), kv.ErrConflict)
	}
	require.NoError(t, early[3].Commit(t.Context()))
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, begin(t, s, key).Commit(t.Context()))
	}
}

// TestNoRoomForAll: one commit that is too large for the file takes no others
// with it.
func TestNoRoomForAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, &bolt.Options{MaxSize: bolt.MinMaxSize})
	large := writes("large")
	large.Writes[0].Value = []byte(strings.Repeat("v", bolt.MinMaxSize))
	errs := bolt.Look(s).Group(writes("a"), large, writes("b"))
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], kv.ErrFull)
	require.NotErrorIs(t, errs[1], kv.ErrCommitUnknown)
	require.NoError(t, errs[2])
	require.Equal(t, map[string]string{"a": "new", "b": "new"}, contents(t, s))
	require.NoError(t, s.Close())
	require.Len(t, contents(t, open(t, file, &bolt.Options{Verify: true})), 2)
}

// TestLargeGroup: commits that would make one bbolt transaction too large go
// into several.
func TestLargeGroup(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), nil)
	value := []byte(strings.Repeat("v", 5<<20))
	free := hold(t, s)
	blocker := commitAsync(begin(t, s, "blocker"))
	bolt.Look(s).AwaitQueue(0)
	before := engineTxn(t, s)
	var answers []chan error
	for i := range 9 {
		tx := begin(t, s)
		require.NoError(t, tx.Set(fmt.Append(nil, i), value))
		answers = append(answers, commitAsync(tx))
		bolt.Look(s).AwaitQueue(i + 1)
	}
	free()
	require.NoError(t, <-blocker)
	for _, a := range answers {
		require.NoError(t, <-a)
	}
	groups := engineTxn(t, s) - before - 1
	require.GreaterOrEqual(t, groups, 3, "three fit into one")
	require.Less(t, groups, 9)
}

// TestLeaveQueue: a caller whose context ends while it waits leaves, and
// nothing of its commit is written; one that has been taken gets its answer.
func TestLeaveQueue(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	free := hold(t, s)
	commit := func(key string) chan error {
		done := make(chan error, 1)
		tx := begin(t, s, key)
		go func() { done <- tx.Commit(ctx) }()
		return done
	}
	taken := commit("taken")
	bolt.Look(s).AwaitQueue(0)
	stays := commitAsync(begin(t, s, "stays"))
	bolt.Look(s).AwaitQueue(1)
	leaves := commit("leaves")
	bolt.Look(s).AwaitQueue(2)
	after := commitAsync(begin(t, s, "after"))
	bolt.Look(s).AwaitQueue(3)
	cancel()
	err := <-leaves
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, kv.ErrUnavailable)
	for _, other := range []error{kv.ErrCommitUnknown, kv.ErrFull, kv.ErrFailed} {
		require.NotErrorIs(t, err, other)
	}
	bolt.Look(s).AwaitQueue(2)
	free()
	require.NoError(t, <-taken)
	require.NoError(t, <-stays)
	require.NoError(t, <-after)
	require.Equal(t, map[string]string{"taken": "new", "stays": "new", "after": "new"}, contents(t, s))
}

// TestWaitDurable waits for the commit under way, and for nothing if there is none.
func TestWaitDurable(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), nil)
	set(t, s, "a", "1")
	require.NoError(t, s.WaitDurable(t.Context(), version(t, s)))
	free := hold(t, s)
	commit := commitAsync(begin(t, s, "b"))
	bolt.Look(s).AwaitQueue(0)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- s.WaitDurable(ctx, version(t, s)) }()
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	go func() { waited <- s.WaitDurable(t.Context(), version(t, s)) }()
	free()
	require.NoError(t, <-waited)
	require.NoError(t, <-commit)
}

// TestCloseUnderLoad: what was acknowledged is there afterwards, and the rest
// was told.
func TestCloseUnderLoad(t *testing.T) {
	const workers = 16
	file := filepath.Join(t.TempDir(), "store")
	s := open(t, file, nil)
	var wg sync.WaitGroup
	var acked [workers]int
	started := make(chan struct{}, workers)
	for w := range workers {
		wg.Go(func() {
			for n := 1; ; n++ {
				err := put(t, s, fmt.Sprint("worker", w), fmt.Sprint(n))
				if err != nil {
					if !errors.Is(err, kv.ErrClosed) {
						t.Error(err)
					}
					return
				}
				acked[w] = n
				if n == 5 {
					started <- struct{}{}
				}
			}
		})
	}
	for range workers {
		<-started
	}
	require.NoError(t, s.Close())
	wg.Wait()
	s = open(t, file, &bolt.Options{Verify: true})
	for w, n := range acked {
		require.Equal(t, fmt.Sprint(n), get(t, s, fmt.Sprint("worker", w)))
	}
}

// TestContention: every increment of a few counters by many goroutines counts.
func TestContention(t *testing.T) {
	const workers, each = 8, 25
	s := open(t, filepath.Join(t.TempDir(), "store"), &bolt.Options{Options: kv.Options{MaxAttempts: 1 << 20}})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				key := fmt.Append(nil, w%2)
				err := s.Update(t.Context(), func(tx *kv.Txn) error {
					n := 0
					v, err := tx.Get(t.Context(), key)
					if err == nil {
						_, err = fmt.Sscan(string(v), &n)
					}
					if err != nil && !errors.Is(err, kv.ErrNotFound) {
						return err
					}
					return tx.Set(key, fmt.Append(nil, n+1))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := fmt.Sprint(workers / 2 * each)
	require.Equal(t, map[string]string{"0": want, "1": want}, contents(t, s))
}
