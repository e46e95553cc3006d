package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"

	"github.com/tito-db/tito-go/kv"
)

var errBroken = errors.New("the connection broke")

// TestCommitError: a commit that may have happened is never said not to have.
func TestCommitError(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	timeUp, cancel := context.WithTimeoutCause(t.Context(), 0, errTimeout)
	defer cancel()
	sent := outcome{sent: true}
	lost := outcome{sent: true, lost: true}
	conflict := outcome{sent: true, lost: true, conflict: true}
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		o    outcome
		want []error
	}{
		"too old":                     {t.Context(), kv.ErrTxnTooOld, sent, []error{kv.ErrTxnTooOld}},
		"too old, after a loss":       {t.Context(), kv.ErrTxnTooOld, lost, []error{kv.ErrCommitUnknown}},
		"rolled back":                 {t.Context(), &tikverr.ErrRetryable{}, sent, []error{kv.ErrConflict}},
		"rolled back, after a loss":   {t.Context(), &tikverr.ErrRetryable{}, lost, []error{kv.ErrCommitUnknown}},
		"latch":                       {t.Context(), &tikverr.ErrWriteConflictInLatch{}, outcome{}, []error{kv.ErrConflict}},
		"latch, after a loss":         {t.Context(), &tikverr.ErrWriteConflictInLatch{}, lost, []error{kv.ErrCommitUnknown}},
		"conflict, and a loss":        {t.Context(), tikverr.ErrResultUndetermined, conflict, []error{kv.ErrConflict}},
		"the client does not know":    {t.Context(), tikverr.ErrResultUndetermined, sent, []error{kv.ErrCommitUnknown}},
		"anything, after requests":    {t.Context(), errBroken, sent, []error{kv.ErrCommitUnknown}},
		"anything, before":            {t.Context(), errBroken, outcome{}, []error{kv.ErrUnavailable}},
		"too large":                   {t.Context(), &tikverr.ErrTxnTooLarge{}, outcome{}, []error{kv.ErrTxnTooLarge}},
		"context ended, before":       {ended, ended.Err(), outcome{}, []error{kv.ErrUnavailable, context.Canceled}},
		"time is up, before":          {timeUp, timeUp.Err(), outcome{}, []error{kv.ErrUnavailable, errTimeout}},
		"context ended, after a loss": {ended, ended.Err(), lost, []error{kv.ErrCommitUnknown, context.Canceled}},
	} {
		t.Run(name, func(t *testing.T) {
			err := commitError(c.ctx, c.err, c.o)
			for _, want := range c.want {
				require.ErrorIs(t, err, want)
				require.Equal(t, 1, strings.Count(err.Error(), want.Error()), "it says so once")
			}
			for _, kind := range []error{kv.ErrConflict, kv.ErrCommitUnknown, kv.ErrUnavailable, kv.ErrTxnTooLarge, kv.ErrTxnTooOld} {
				require.Equal(t, errors.Is(c.want[0], kind), errors.Is(err, kind), "it is of one kind only")
			}
		})
	}
}

// TestWatcher: what the answers to a commit's requests tell, one after the other.
func TestWatcher(t *testing.T) {
	const start = 100
	prewrite := func(onePC, async bool) *tikvrpc.Request {
		return tikvrpc.NewRequest(tikvrpc.CmdPrewrite, &kvrpcpb.PrewriteRequest{
			Mutations: []*kvrpcpb.Mutation{{Key: []byte("a")}}, TryOnePc: onePC, UseAsyncCommit: async,
		})
	}
	commit := tikvrpc.NewRequest(tikvrpc.CmdCommit, &kvrpcpb.CommitRequest{Keys: [][]byte{[]byte("a")}})
	stale := &errorpb.Error{StaleCommand: &errorpb.StaleCommand{}}
	moved := &errorpb.Error{EpochNotMatch: &errorpb.EpochNotMatch{}}
	refused := &kvrpcpb.PrewriteResponse{Errors: []*kvrpcpb.KeyError{{Conflict: &kvrpcpb.WriteConflict{Key: []byte("a"), ConflictTs: start + 1}}}}

	type answer struct {
		req  *tikvrpc.Request
		body any
		err  error
	}
	for name, c := range map[string]struct {
		answers []answer
		want    outcome
	}{
		"nothing": {nil, outcome{}},
		"all well": {[]answer{
			{prewrite(false, false), &kvrpcpb.PrewriteResponse{}, nil}, {commit, &kvrpcpb.CommitResponse{}, nil},
		}, outcome{sent: true}},
		"refused":               {[]answer{{prewrite(true, false), refused, nil}}, outcome{sent: true, conflict: true}},
		"lost in two phases":    {[]answer{{prewrite(false, false), nil, errBroken}}, outcome{sent: true}},
		"lost in one phase":     {[]answer{{prewrite(true, false), nil, errBroken}}, outcome{sent: true, lost: true}},
		"lost in an async one":  {[]answer{{prewrite(false, true), nil, errBroken}}, outcome{sent: true, lost: true}},
		"lost in the second":    {[]answer{{commit, nil, errBroken}}, outcome{sent: true, lost: true}},
		"empty":                 {[]answer{{commit, nil, nil}}, outcome{sent: true, lost: true}},
		"stale prewrite":        {[]answer{{prewrite(true, false), &kvrpcpb.PrewriteResponse{RegionError: stale}, nil}}, outcome{sent: true, lost: true}},
		"stale commit":          {[]answer{{commit, &kvrpcpb.CommitResponse{RegionError: stale}, nil}}, outcome{sent: true, lost: true}},
		"moved":                 {[]answer{{commit, &kvrpcpb.CommitResponse{RegionError: moved}, nil}}, outcome{sent: true}},
		"lost, and refused":     {[]answer{{prewrite(true, false), nil, errBroken}, {prewrite(true, false), refused, nil}}, outcome{sent: true, lost: true}},
		"lost, and then it was": {[]answer{{commit, nil, errBroken}, {commit, &kvrpcpb.CommitResponse{}, nil}}, outcome{sent: true, lost: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &watcher{startTS: start}
			for _, a := range c.answers {
				var resp *tikvrpc.Response
				if a.err == nil {
					resp = &tikvrpc.Response{Resp: a.body}
				}
				w.note(a.req, resp, a.err)
			}
			require.Equal(t, c.want, w.outcome())
		})
	}
}

// mute is a clock that does not tell the time from some question on.
type mute struct {
	oracle.Oracle
	left int
}

func (m *mute) GetTimestamp(ctx context.Context, o *oracle.Option) (uint64, error) {
	if m.left--; m.left >= 0 {
		return m.Oracle.GetTimestamp(ctx, o)
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestCommitWithoutTime: a commit does not wait for PD without end.
func TestCommitWithoutTime(t *testing.T) {
	servers, cluster, pd, err := testutils.NewMockTiKV("", nil)
	require.NoError(t, err)
	testutils.BootstrapWithSingleStore(cluster)
	client, err := tikv.NewTestTiKVStore(servers, pd, nil, nil, 0)
	require.NoError(t, err)
	d, err := Open(t.Context(), client, Options{Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	clock := &mute{Oracle: client.GetOracle()}
	client.SetOracle(clock)
	for told, want := range map[int]error{
		1: kv.ErrUnavailable,   // nothing is sent without a timestamp
		2: kv.ErrCommitUnknown, // the prewrite was; two phases need another one
	} {
		clock.left = told
		tx, err := d.Begin(t.Context(), kv.BeginOptions{})
		require.NoError(t, err)
		_, err = tx.Commit(context.Background(), &kv.Commit{Writes: []kv.Write{{Key: []byte("a"), Value: []byte("1")}}})
		require.ErrorIs(t, err, want)
		require.ErrorIs(t, err, errTimeout)
		require.ErrorContains(t, err, errTimeout.Error())
		require.NotEqual(t, errors.Is(err, kv.ErrUnavailable), errors.Is(err, kv.ErrCommitUnknown), "it is of one kind")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		tx.Release()
	}
	require.NoError(t, d.Close())
}
