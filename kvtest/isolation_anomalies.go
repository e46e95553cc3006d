package kvtest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// anomalyCases follow the Hermitage catalogue of isolation anomalies
// (github.com/ept/hermitage), its names included. Each starts from 1=10, 2=20
// and interleaves its transactions by hand.
func anomalyCases() []testCase {
	return []testCase{
		{name: "G0 dirty writes", run: g0},
		{name: "G1a aborted reads", run: g1a},
		{name: "G1b intermediate reads", run: g1b},
		{name: "G1c circular information flow", run: g1c},
		{name: "OTV observed transaction vanishes", run: otv},
		{name: "PMP predicate many preceders", run: pmp},
		{name: "PMP with a write predicate", run: pmpWrite},
		{name: "P4 lost update", run: p4},
		{name: "P4 lost update by delete", run: p4Delete},
		{name: "G-single read skew", run: gSingle},
		{name: "G-single with predicates", run: gSinglePredicate},
		{name: "G-single with a write predicate", run: gSingleWrite},
		{name: "G-single on BatchGet and scans", run: gSingleBatch},
		{name: "G2-item write skew is possible", run: g2Item},
		{name: "G2-item is prevented by Lock", run: g2ItemLocked},
		{name: "G2 phantoms are possible", run: g2},
		{name: "G2 is prevented by a fence key", run: g2Fenced},
		{name: "G2 with two edges is possible", run: g2TwoEdges},
		{name: "G2 with two edges is prevented by Lock", run: g2TwoEdgesLocked},
		{name: "long fork", run: longFork},
		{name: "repeatable reads", run: repeatableReads},
		{name: "real time", run: realTime},
	}
}

// pair starts the two transactions that most anomalies need.
func (f *fixture) pair() (t1, t2 *kv.Txn) {
	f.put("1", "10", "2", "20")
	return f.begin(), f.begin()
}

// where returns the names whose value is v, as a predicate read would.
func (f *fixture) where(tx *kv.Txn, v string) []string {
	f.Helper()
	var names []string
	for p, err := range tx.Scan(f.ctx, kv.Range{}, nil) {
		f.ok(err)
		if unmark(p.Value) == v {
			names = append(names, unmark(p.Key))
		}
	}
	return names
}

func g0(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "11")
	f.set(t2, "1", "12")
	f.set(t1, "2", "21")
	f.commit(t1)
	require.Equal(f, []string{"1=11", "2=21"}, f.contents())
	f.set(t2, "2", "22")
	f.conflict(t2)
	require.Equal(f, []string{"1=11", "2=21"}, f.contents())
}

func g1a(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "101")
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
	t1.Rollback()
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
	f.commit(t2)
	require.Equal(f, []string{"1=10", "2=20"}, f.contents())
}

func g1b(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "101")
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
	f.set(t1, "1", "11")
	f.commit(t1)
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
	f.commit(t2)
	require.Equal(f, []string{"1=11", "2=20"}, f.contents())
}

func g1c(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "11")
	f.set(t2, "2", "22")
	require.Equal(f, "20", f.get(t1, "2"))
	require.Equal(f, "10", f.get(t2, "1"))
	f.commit(t1)
	f.commit(t2)
	require.Equal(f, []string{"1=11", "2=22"}, f.contents())
}

func otv(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "11", "2", "19")
	f.set(t2, "1", "12")
	f.commit(t1)
	t3 := f.begin()
	require.Equal(f, "11", f.get(t3, "1"))
	f.set(t2, "2", "18")
	require.Equal(f, "19", f.get(t3, "2"))
	f.conflict(t2)
	require.Equal(f, []string{"1=11", "2=19"}, f.scan(t3))
	f.commit(t3)
}

func pmp(f *fixture) {
	t1, t2 := f.pair()
	require.Empty(f, f.where(t1, "30"))
	f.set(t2, "3", "30")
	f.commit(t2)
	require.Empty(f, f.where(t1, "30"), "no phantom appears in a snapshot")
	require.Equal(f, "", f.get(t1, "3"))
	require.Equal(f, []string{""}, f.batch(t1, "3"))
	f.commit(t1)
}

func pmpWrite(f *fixture) {
	t1, t2 := f.pair()
	f.set(t1, "1", "20", "2", "30") // each plus 10
	require.Equal(f, []string{"2"}, f.where(t2, "20"))
	f.commit(t1)
	f.del(t2, f.where(t2, "20")...)
	f.conflict(t2)
	require.Equal(f, []string{"1=20", "2=30"}, f.contents())
}

func p4(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, "10", f.get(t1, "1"))
	require.Equal(f, "10", f.get(t2, "1"))
	f.set(t1, "1", "11")
	f.set(t2, "1", "11")
	f.commit(t1)
	f.conflict(t2)

	t1, t2 = f.pair() // the other way round: the first committer wins, not the first writer
	f.set(t1, "1", "11")
	f.set(t2, "1", "12")
	f.commit(t2)
	f.conflict(t1)
	require.Equal(f, []string{"1=12", "2=20"}, f.contents())

	t1, t2 = f.pair() // a write of the same value is a write
	f.set(t1, "1", "10")
	f.set(t2, "1", "10")
	f.commit(t1)
	f.conflict(t2)
}

func p4Delete(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, "10", f.get(t1, "1"))
	f.del(t2, "1")
	f.commit(t2)
	f.set(t1, "1", "11")
	f.conflict(t1)
	require.Equal(f, []string{"2=20"}, f.contents())

	t1, t2 = f.pair()
	f.set(t2, "1", "12")
	f.commit(t2)
	f.del(t1, "1")
	f.conflict(t1)
	require.Equal(f, []string{"1=12", "2=20"}, f.contents())
}

func gSingle(f *fixture) {
	for _, begin := range []func() *kv.Txn{f.begin, f.view} {
		_, t2 := f.pair()
		t1 := begin()
		require.Equal(f, "10", f.get(t1, "1"))
		require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
		f.set(t2, "1", "12", "2", "18")
		f.commit(t2)
		require.Equal(f, "20", f.get(t1, "2"))
		f.commit(t1)
	}
}

func gSinglePredicate(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, []string{"1"}, f.where(t1, "10"))
	require.Equal(f, []string{"1"}, f.where(t2, "10"))
	f.set(t2, "1", "30")
	f.commit(t2)
	require.Empty(f, f.where(t1, "30"))
	require.Equal(f, []string{"1"}, f.where(t1, "10"))
	f.commit(t1)
}

func gSingleWrite(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, "10", f.get(t1, "1"))
	f.set(t2, "1", "12", "2", "18")
	f.commit(t2)
	f.del(t1, f.where(t1, "20")...) // deletes 2, which is 18 by now
	f.conflict(t1)
	require.Equal(f, []string{"1=12", "2=18"}, f.contents())

	t1, t2 = f.pair() // interrupted by a rollback to a savepoint
	sp := f.savepoint(t1)
	f.set(t1, "2", "21")
	f.set(t2, "1", "12", "2", "18")
	f.commit(t2)
	f.ok(t1.RollbackTo(sp))
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t1))
	f.commit(t1)
}

// gSingleBatch: all ways to read share the one snapshot.
func gSingleBatch(f *fixture) {
	f.numbered(50)
	t1 := f.view()
	c, err := t1.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{PageSize: 1})
	f.ok(err)
	defer c.Close()
	require.True(f, c.Next(f.ctx))
	t2 := f.begin()
	names := make([]string, 50)
	for i, pair := range f.scan(t1) {
		names[i] = pair[:5]
		f.set(t2, names[i], "new")
	}
	f.commit(t2)
	require.Equal(f, names, f.batch(t1, names...))
	for _, name := range names[1:] {
		require.True(f, c.Next(f.ctx))
		require.Equal(f, name, unmark(c.Value()))
		require.Equal(f, name, f.get(t1, name))
	}
	late, err := t1.Cursor(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: true})
	f.ok(err)
	defer late.Close()
	require.True(f, late.Seek(f.ctx, key(names[10])))
	require.Equal(f, names[10], unmark(late.Value()))
}

func g2Item(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, []string{"10", "20"}, f.batch(t1, "1", "2"))
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t2))
	f.set(t1, "1", "11")
	f.set(t2, "2", "21")
	f.commit(t1)
	f.commit(t2) // a store that refuses this would hide bugs that others then show
	require.Equal(f, []string{"1=11", "2=21"}, f.contents())
}

func g2ItemLocked(f *fixture) {
	for _, firstWins := range []bool{true, false} {
		t1, t2 := f.pair()
		f.scan(t1)
		f.scan(t2)
		f.lock(t1, "2")
		f.lock(t2, "1")
		f.set(t1, "1", "11")
		f.set(t2, "2", "21")
		if firstWins {
			f.commit(t1)
			f.conflict(t2)
			require.Equal(f, []string{"1=11", "2=20"}, f.contents())
		} else {
			f.commit(t2)
			f.conflict(t1)
			require.Equal(f, []string{"1=10", "2=21"}, f.contents())
		}
	}

	// One lock is enough if the transaction that holds it commits last or first.
	t1, t2 := f.pair()
	f.lock(t1, "2")
	f.set(t1, "1", "11")
	f.set(t2, "2", "21")
	f.commit(t2)
	f.conflict(t1)
	t1, t2 = f.pair()
	f.lock(t1, "2")
	f.set(t1, "1", "11")
	f.set(t2, "2", "21")
	f.commit(t1)
	f.conflict(t2)
}

func g2(f *fixture) {
	t1, t2 := f.pair()
	require.Empty(f, f.where(t1, "30"))
	require.Empty(f, f.where(t2, "30"))
	f.set(t1, "3", "30")
	f.set(t2, "4", "30")
	f.commit(t1)
	f.commit(t2)
	require.Equal(f, []string{"1=10", "2=20", "3=30", "4=30"}, f.contents())
}

func g2Fenced(f *fixture) {
	for _, readerFirst := range []bool{true, false} {
		// The reader decides by a predicate and locks its fence; whoever adds to
		// what the predicate covers writes the fence.
		f.open(nil)
		reader, inserter := f.pair()
		require.Empty(f, f.where(reader, "30"))
		f.lock(reader, "fence")
		f.set(reader, "1", "no 30")
		f.set(inserter, "3", "30", "fence", "x")
		if readerFirst {
			f.commit(reader)
			f.conflict(inserter)
			require.Equal(f, []string{"1=no 30", "2=20"}, f.contents())
		} else {
			f.commit(inserter)
			f.conflict(reader)
			require.Equal(f, []string{"1=10", "2=20", "3=30", "fence=x"}, f.contents())
		}
	}
}

func g2TwoEdges(f *fixture) {
	t1, t2 := f.pair()
	require.Equal(f, []string{"1=10", "2=20"}, f.scan(t1))
	f.set(t2, "2", "25")
	f.commit(t2)
	t3 := f.view()
	require.Equal(f, []string{"1=10", "2=25"}, f.scan(t3))
	f.commit(t3)
	f.set(t1, "1", "0")
	f.commit(t1) // t3 saw t2 and not t1, and t1 saw neither
	require.Equal(f, []string{"1=0", "2=25"}, f.contents())
}

func g2TwoEdgesLocked(f *fixture) {
	t1, t2 := f.pair()
	f.scan(t1)
	f.lock(t1, "1", "2")
	f.set(t2, "2", "25")
	f.commit(t2)
	f.set(t1, "1", "0")
	f.conflict(t1)
}

// longFork takes a snapshot around every commit: a snapshot holds the first commits in
// the order of their versions, and no others.
func longFork(f *fixture) {
	var snapshots []*kv.Txn
	var writers []*kv.Txn
	names := []string{"1", "2", "3", "4", "5"}
	for range names {
		writers = append(writers, f.begin())
	}
	committed := map[string]kv.Version{}
	for _, i := range []int{3, 0, 4, 2, 1} {
		snapshots = append(snapshots, f.view(), f.begin())
		f.set(writers[i], names[i], "x")
		committed[names[i]] = f.commit(writers[i])
	}
	snapshots = append(snapshots, f.view(), f.begin())
	slices.Reverse(snapshots) // late ones read first
	for _, tx := range snapshots {
		for _, name := range names {
			require.Equal(f, committed[name] <= tx.ReadVersion(), f.get(tx, name) != "", "commit %s in a snapshot", name)
		}
	}
}

func repeatableReads(f *fixture) {
	f.put("1", "10", "2", "20")
	for _, tx := range []*kv.Txn{f.view(), f.begin()} {
		for i := range 10 {
			require.Equal(f, "10", f.get(tx, "1"))
			require.Equal(f, []string{"20", "", "10"}, f.batch(tx, "2", "3", "1"))
			require.Equal(f, []string{"1=10", "2=20"}, f.scan(tx))
			other := f.begin()
			f.set(other, "1", string(rune('a'+i)), "3", "x")
			f.del(other, "2")
			f.commit(other)
		}
		f.remove("3")
		f.put("1", "10", "2", "20")
	}
}

// realTime: every transaction that begins after another goroutine's commit was
// acknowledged sees that commit, read-only or read-write.
func realTime(f *fixture) {
	requests, replies := make(chan string), make(chan error)
	defer close(requests)
	go func() {
		for v := range requests {
			replies <- f.store.Update(f.ctx, func(tx *kv.Txn) error { return tx.Set(key("a"), val(v)) })
		}
	}()
	for i := range 100 {
		v := fmt.Sprint(i)
		requests <- v
		f.ok(<-replies)
		for _, tx := range []*kv.Txn{f.view(), f.begin()} {
			require.Equal(f, v, f.get(tx, "a"))
			require.Equal(f, []string{"a=" + v}, f.scan(tx))
			tx.Rollback()
		}
	}
}
