package tikvserver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv"

	"github.com/tito-db/tito-go/internal/tikvserver"
)

const (
	accounts = 12
	deposit  = 100
	movers   = 4
)

// Workers move money between accounts in several regions while the servers are
// killed under them. Every snapshot has all the money, and no acknowledged
// transfer is lost.
func TestTransfersUnderKills(t *testing.T) {
	c := own(t)
	client := connect(t, c)
	require.NoError(t, c.Split(t.Context(), []byte(account(3)), []byte(account(6)), []byte(account(9))))
	opening := map[string]string{}
	for i := range accounts {
		opening[account(i)] = strconv.Itoa(deposit)
	}
	set(t, client, opening)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var workers sync.WaitGroup
	moves := make([]mover, movers)
	for i := range moves {
		m := &moves[i]
		m.client, m.random, m.counter = client, rand.New(rand.NewPCG(seed, uint64(i))), fmt.Sprintf("counter/%d", i)
		workers.Go(func() { m.run(ctx) })
	}
	var snapshots atomic.Int64
	workers.Go(func() {
		for ctx.Err() == nil {
			if sum, err := total(client); err == nil {
				if sum != accounts*deposit {
					t.Errorf("a snapshot has %d", sum)
					return
				}
				snapshots.Add(1)
			}
		}
	})
	// progress waits until every worker has done something more.
	progress := func() {
		more := func(count *atomic.Int64, n int64) {
			enough := count.Load() + n
			require.Eventually(t, func() bool { return count.Load() >= enough }, patience, 10*time.Millisecond)
		}
		for i := range moves {
			more(&moves[i].acknowledged, 20)
		}
		more(&snapshots, 1)
	}
	progress()
	for _, n := range []tikvserver.Node{tikvserver.TiKV, tikvserver.PD, tikvserver.TiKV} {
		require.NoError(t, c.Kill(ctx, n))
		require.NoError(t, c.Start(ctx, n))
		ready(t, c)
		progress()
	}
	stop()
	workers.Wait()
	ready(t, c)

	sum, err := total(client)
	require.NoError(t, err)
	require.Equal(t, accounts*deposit, sum)
	counters := scan(t, client, "counter/")
	for i := range moves {
		m := &moves[i]
		done, err := strconv.Atoi(counters[m.counter])
		require.NoError(t, err)
		acknowledged, unknown := int(m.acknowledged.Load()), m.unknown
		require.GreaterOrEqual(t, done, acknowledged, "an acknowledged transfer is lost")
		require.LessOrEqual(t, done, acknowledged+unknown, "a transfer that was not sent has happened")
		t.Logf("worker %d: %d acknowledged, %d unknown, %d done", i, acknowledged, unknown, done)
	}
	t.Logf("%d snapshots", snapshots.Load())
}

func account(i int) string { return fmt.Sprintf("account/%02d", i) }

// mover moves money, one transfer at a time.
type mover struct {
	client       *txnkv.Client
	random       *rand.Rand
	counter      string // key of its own, which counts
	acknowledged atomic.Int64
	unknown      int // commits that failed: they may have happened all the same
}

func (m *mover) run(ctx context.Context) {
	for ctx.Err() == nil {
		switch err := m.transfer(); {
		case err == nil:
			m.acknowledged.Add(1)
		case errors.Is(err, errNotSent):
		default:
			// A conflict too: the client reports one as well when a prewrite whose
			// answer was lost has committed, and others have written the keys since.
			m.unknown++
		}
	}
}

// errNotSent says that the commit was not tried.
var errNotSent = errors.New("not committed")

func (m *mover) transfer() error {
	// Not the worker's own context: a commit is let finish.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	txn, err := m.client.Begin()
	if err != nil {
		return errNotSent
	}
	txn.SetEnable1PC(true)
	txn.SetEnableAsyncCommit(true)
	from := m.random.IntN(accounts)
	to := (from + 1 + m.random.IntN(accounts-1)) % accounts
	for key, change := range map[string]int{account(from): -1, account(to): 1, m.counter: 1} {
		value, err := txn.Get(ctx, []byte(key))
		if err != nil && !tikverr.IsErrNotFound(err) {
			return errors.Join(errNotSent, txn.Rollback())
		}
		n, _ := strconv.Atoi(string(value)) // no counter is 0
		if err := txn.Set([]byte(key), []byte(strconv.Itoa(n+change))); err != nil {
			return errors.Join(errNotSent, txn.Rollback())
		}
	}
	return txn.Commit(ctx)
}

// total returns the sum of all accounts in one snapshot.
func total(client *txnkv.Client) (int, error) {
	txn, err := client.Begin()
	if err != nil {
		return 0, err
	}
	it, err := txn.Iter([]byte(account(0)), []byte("account0"))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	sum := 0
	for it.Valid() {
		n, err := strconv.Atoi(string(it.Value()))
		if err != nil {
			return 0, err
		}
		sum += n
		if err := it.Next(); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
