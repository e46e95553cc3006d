package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
)

func TestCommittedDataSurvivesACrash(t *testing.T) {
	x := openNew(t)
	two := txn{start: x.pd.now(), primary: "a"}
	x.mustPrewrite(two, put("a", "two"), put("b", "two"))
	x.commit(two, "a", "b")
	one := txn{start: x.pd.now(), primary: "b", onePC: true}
	require.NotZero(t, x.mustPrewrite(one, put("b", "one")).OnePcCommitTs)
	for range 3 {
		x = x.crash()
		require.Equal(t, "two", x.get("a"))
		require.Equal(t, "one", x.get("b"))
	}
}

// What is written at the same time may share a sync, and nothing else. A version that
// came back with another's timestamps would let an older transaction overwrite it.
func TestTimestampsSurviveACrash(t *testing.T) {
	const writers, rounds = 32, 4
	type commit struct {
		key       string
		start, at uint64
	}
	x := openNew(t)
	var commits [writers][]commit
	var all sync.WaitGroup
	for w := range commits {
		all.Go(func() {
			for n := range rounds {
				c := commit{key: fmt.Sprintf("%03d.%d", w, n), start: x.pd.now()}
				resp := x.prewrite(txn{start: c.start, primary: c.key, onePC: true}, put(c.key, "v"))
				c.at = resp.OnePcCommitTs
				commits[w] = append(commits[w], c)
			}
		})
	}
	all.Wait()
	x = x.crash()
	for _, of := range commits {
		require.Len(t, of, rounds)
		for _, c := range of {
			require.NotZero(t, c.at)
			at, err := x.past.committed([]*kvrpcpb.Mutation{put(c.key, "")}, c.start)
			require.NoError(t, err)
			require.Equal(t, c.at, at, c.key)
			require.NotEmpty(t, x.prewrite(txn{start: c.at - 1, primary: c.key}, put(c.key, "older")).Errors)
		}
	}
}

// The client acknowledges an asynchronous commit when all its locks are there: a
// store that forgets one forgets the transaction.
func TestLocksSurviveACrash(t *testing.T) {
	x := openNew(t)
	tx := txn{start: x.pd.now(), primary: "a", async: []string{"b"}}
	at := x.mustPrewrite(tx, put("a", "1"), put("b", "2")).MinCommitTs
	require.NotZero(t, at)

	x = x.crash()
	status, err := x.KvCheckTxnStatus(t.Context(), &kvrpcpb.CheckTxnStatusRequest{
		Context: x.at("a"), PrimaryKey: []byte("a"), LockTs: tx.start, CallerStartTs: x.pd.now(), CurrentTs: x.pd.now(), RollbackIfNotExist: true,
	})
	require.NoError(t, err)
	require.True(t, status.GetLockInfo().GetUseAsyncCommit())
	require.Equal(t, [][]byte{[]byte("b")}, status.LockInfo.Secondaries)
	require.Equal(t, at, status.LockInfo.MinCommitTs)
	require.Len(t, x.checkSecondaries(tx, "b").Locks, 1)

	x.commit(tx, "a", "b")
	require.Equal(t, "1", x.get("a"))
	x = x.crash()
	require.Equal(t, "2", x.get("b"), "and the locks are gone")
}

func TestRolledBackLockStaysGone(t *testing.T) {
	x := openNew(t)
	tx := txn{start: x.pd.now(), primary: "a"}
	x.mustPrewrite(tx, put("a", "1"))
	_, err := x.KvBatchRollback(t.Context(), &kvrpcpb.BatchRollbackRequest{Context: x.at("a"), StartVersion: tx.start, Keys: [][]byte{[]byte("a")}})
	require.NoError(t, err)
	x = x.crash()
	require.Empty(t, x.get("a"))
	require.NotEmpty(t, x.prewrite(tx, put("a", "1")).Errors)
}

// A transaction whose missing key somebody has taken for a sign of its failure
// cannot write that key later.
func TestLatePrewriteIsRefused(t *testing.T) {
	for _, onePC := range []bool{false, true} {
		x := openNew(t)
		tx := txn{start: x.pd.now(), primary: "a", async: []string{"b"}}
		x.mustPrewrite(tx, put("a", "1"))
		require.Empty(t, x.checkSecondaries(tx, "b").Locks)
		tx.onePC = onePC
		require.NotEmpty(t, x.prewrite(tx, put("b", "2")).Errors)
		require.Empty(t, x.get("b"))
	}
}

func TestCommittedLockRefusesOlderWriters(t *testing.T) {
	for _, onePC := range []bool{false, true} {
		for _, before := range []string{"", "before"} {
			x := openNew(t)
			if before != "" {
				x.mustPrewrite(txn{start: x.pd.now(), primary: "k", onePC: true}, put("k", before))
			}
			older := txn{start: x.pd.now(), primary: "k"}
			locker := txn{start: x.pd.now(), primary: "k", onePC: onePC}
			x.mustPrewrite(locker, lockOnly("k"), put("other", "x"))
			if !onePC {
				x.commit(locker, "k", "other")
			}
			require.Equal(t, before, x.get("k"))
			resp := x.prewrite(older, put("k", "older"))
			require.Len(t, resp.Errors, 1)
			require.NotNil(t, resp.Errors[0].Conflict)
			require.Equal(t, before, x.get("k"))
		}
	}
}

// A pessimistic transaction locks what is newest, which may be newer than its
// start.
func TestPessimisticLockKeepsTheNewestValue(t *testing.T) {
	x := openNew(t)
	start := x.pd.now()
	x.mustPrewrite(txn{start: x.pd.now(), primary: "k", onePC: true}, put("k", "newer than the start"))
	forUpdate := x.pd.now()
	locked, err := x.KvPessimisticLock(t.Context(), &kvrpcpb.PessimisticLockRequest{
		Context: x.at("k"), Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_PessimisticLock, Key: []byte("k")}},
		PrimaryLock: []byte("k"), StartVersion: start, ForUpdateTs: forUpdate, LockTtl: 3000,
	})
	require.NoError(t, err)
	require.Empty(t, locked.Errors)
	x = x.crash()
	resp, err := x.KvPrewrite(t.Context(), &kvrpcpb.PrewriteRequest{
		Context: x.at("k"), Mutations: []*kvrpcpb.Mutation{lockOnly("k")}, PrimaryLock: []byte("k"), StartVersion: start,
		ForUpdateTs: forUpdate, LockTtl: 3000, PessimisticActions: []kvrpcpb.PrewriteRequest_PessimisticAction{kvrpcpb.PrewriteRequest_DO_PESSIMISTIC_CHECK},
	})
	require.NoError(t, err)
	require.Empty(t, resp.Errors)
	x.commit(txn{start: start}, "k")
	require.Equal(t, "newer than the start", x.get("k"))
}

// These keys have the shape of TiDB's rows.
func TestValuesOfRowShapedKeysStayThemselves(t *testing.T) {
	const key = "t12345678_r12345678"
	for _, value := range []string{"v", "\x80", "\x80abc", "\x00\x01"} {
		x := openNew(t)
		two := txn{start: x.pd.now(), primary: key}
		x.mustPrewrite(two, put(key, value))
		x = x.crash()
		x.commit(two, key)
		require.Equal(t, value, x.get(key))
		x.mustPrewrite(txn{start: x.pd.now(), primary: key, onePC: true}, put(key, value+"2"))
		require.Equal(t, value+"2", x.get(key))
		lock := txn{start: x.pd.now(), primary: key}
		x.mustPrewrite(lock, lockOnly(key))
		x.commit(lock, key)
		require.Equal(t, value+"2", x.get(key))
	}
}
