package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	tikvkv "github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"github.com/tito-db/tito-go/kv"
)

// Commit hands the writes and locks to the client, which until then has done
// nothing for this transaction. A lock costs nothing of its own: the client
// sends it along with the writes.
func (t *txn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	for _, w := range c.Writes {
		var err error
		if k := t.d.space.key(w.Key); w.Value == nil {
			err = t.kv.Delete(k)
		} else {
			err = t.kv.Set(k, w.Value)
		}
		if err != nil {
			return 0, commitError(ctx, err, outcome{})
		}
	}
	if len(c.Locks) > 0 {
		keys := make([][]byte, len(c.Locks))
		for i, k := range c.Locks {
			keys[i] = t.d.space.key(k)
		}
		if err := t.kv.LockKeys(ctx, tikvkv.NewLockCtx(t.ts, tikvkv.LockNoWait, time.Now()), keys...); err != nil {
			return 0, commitError(ctx, err, outcome{})
		}
	}
	return t.commit(ctx)
}

func (t *txn) commit(ctx context.Context) (kv.Version, error) {
	var told string
	t.kv.SetCommitCallback(func(info string, _ error) { told = info })
	if err := t.kv.Commit(ctx); err != nil {
		return 0, t.refused(ctx, err)
	}
	var info transaction.TxnInfo
	if err := json.Unmarshal([]byte(told), &info); err != nil || info.CommitTS <= t.ts {
		return 0, fmt.Errorf("%w: the client does not tell the version", kv.ErrCommitUnknown)
	}
	return kv.Version(info.CommitTS), nil
}

// refused makes err, which the client's commit returned, an error for the caller. It
// removes the locks of a commit that has failed before it returns: until then other
// transactions would conflict with them, also the caller's next try.
func (t *txn) refused(ctx context.Context, err error) error {
	o := t.via.outcome()
	if o.conflict {
		removed := make(chan struct{})
		t.d.background.Go(func() {
			defer close(removed)
			t.cleanUp(errors.Is(err, tikverr.ErrResultUndetermined))
		})
		timer := time.NewTimer(cleanUpTime)
		defer timer.Stop()
		select {
		case <-removed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return commitError(ctx, err, o)
}

// cleanUpTime bounds how long a failed commit waits for its locks to be removed.
// It is enough for a busy machine: whoever meets a lock that was left, and is
// older, is refused for nothing.
const cleanUpTime = 5 * time.Second

// cleanUp returns when the locks of a failed commit are gone. The client removes
// the locks by itself, unless it thinks that the commit may have succeeded.
func (t *txn) cleanUp(left bool) {
	c := transaction.TxnProbe{KVTxn: t.kv}.GetCommitter()
	if left && !c.IsOnePC() {
		_ = c.CleanupMutations(t.d.store.Ctx()) // else they expire
	}
	c.WaitCleanup()
}

// committer is the client as the commit of one transaction sees it. It keeps
// the transaction within its lifetime, whatever pauses the process: no
// timestamp by which it could commit is given out later, and TiKV is told the
// latest one that it may choose itself.
type committer struct {
	*tikv.KVStore
	d    *Driver
	last uint64 // timestamp of the end of the transaction's lifetime

	watcher
}

func newCommitter(d *Driver, ts uint64) *committer {
	last := ts + oracle.ComposeTS(d.info.TxnLifetime.Milliseconds(), 0)
	return &committer{KVStore: d.store, d: d, last: last, watcher: watcher{startTS: ts}}
}

// GetTimestampWithRetry is how the client comes by every timestamp of a commit
// but those that TiKV chooses, and by the time when it prolongs locks. The
// client's own patience with a PD that does not answer is some minutes.
func (c *committer) GetTimestampWithRetry(bo *tikv.Backoffer, scope string) (uint64, error) {
	ctx, cancel := c.d.bounded(bo.GetCtx())
	defer cancel()
	ts, err := c.KVStore.GetTimestampWithRetry(c.d.backoffer(ctx), scope)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errTimeout):
		return 0, errTimeout
	case err == nil && ts > c.last:
		return 0, kv.ErrTxnTooOld
	}
	return ts, err
}

// CheckBySchemaVer is what the client calls before the first request of a commit, if
// TiKV may choose the timestamp itself. The client calls it before it tells TiKV the
// latest timestamp, which is safeWindow above ts. In other commits the client calls
// it between the prewrites and the commit.
//
// If the window of garbage collection was shorter than the transaction's lifetime,
// the collection may have removed what the transaction must conflict with. Then
// CheckBySchemaVer refuses the commit. Servers obey a safe point no sooner than every
// client knows it.
func (c *committer) CheckBySchemaVer(ts uint64, _ transaction.SchemaVer) (*transaction.RelatedSchemaChange, error) {
	if ts > c.last {
		return nil, kv.ErrTxnTooOld
	}
	err := c.CheckVisibility(c.startTS)
	var collected *tikverr.ErrGCTooEarly
	if errors.As(err, &collected) {
		return nil, kv.ErrTxnTooOld
	}
	return nil, err
}

// GetTiKVClient is the connection by which the parts of a commit are sent.
func (c *committer) GetTiKVClient() tikv.Client {
	return watched{c.KVStore.GetTiKVClient(), &c.watcher}
}

// WaitGroup counts what goes on when the commit has returned.
func (c *committer) WaitGroup() *sync.WaitGroup { return &c.d.background }

// Go starts fn on a goroutine. The client's pool would drop fn once the pool is
// closed, and then nobody would count fn as done.
func (c *committer) Go(fn func()) error {
	go fn()
	return nil
}
