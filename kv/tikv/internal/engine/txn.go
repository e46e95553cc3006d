package engine

import (
	"bytes"
	"context"
	"fmt"

	tikverr "github.com/tikv/client-go/v2/error"
	tikvkv "github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/txnkv/transaction"
	"github.com/tikv/client-go/v2/txnkv/txnsnapshot"

	"github.com/tito-db/tito-go/kv"
)

// txn is a transaction of the driver.
type txn struct {
	d  *Driver
	ts uint64 // of the snapshot

	// kv is the client's transaction, nil if this transaction is read-only. Begin
	// makes it, since the client counts the lifetime of locks from the making.
	kv  *transaction.KVTxn
	via *committer
}

func (d *Driver) newTxn(ts uint64, readOnly bool) (*txn, error) {
	t := &txn{d: d, ts: ts}
	if readOnly {
		return t, nil
	}
	t.via = newCommitter(d, ts)
	var err error
	t.kv, err = transaction.NewTiKVTxn(t.via, t.snapshot(), ts, &transaction.TxnOptions{TxnScope: oracle.GlobalTxnScope})
	if err != nil {
		return nil, fail(err, kv.ErrUnavailable)
	}
	t.kv.SetVars(patience())
	t.kv.SetEnable1PC(true)
	t.kv.SetEnableAsyncCommit(true)
	t.kv.SetSchemaLeaseChecker(t.via)
	return t, nil
}

// patience lets the client try each part of a commit for some 40 s where a server
// does not answer, and not for twice that.
func patience() *tikvkv.Variables {
	v := tikvkv.NewVariables(nil)
	v.BackOffWeight = 1
	return v
}

// snapshot returns a new view of the transaction's snapshot for each call: a view of
// the client's keeps all that was read through it, and returns the same bytes again,
// while kv's callers own the bytes that they get.
func (t *txn) snapshot() *txnsnapshot.KVSnapshot { return t.d.store.GetSnapshot(t.ts) }

// ReadVersion is the timestamp of the snapshot.
func (t *txn) ReadVersion() kv.Version { return kv.Version(t.ts) }

// Get asks the server that has the key.
func (t *txn) Get(ctx context.Context, key []byte) ([]byte, error) {
	ctx, cancel := t.d.bounded(ctx)
	defer cancel()
	v, err := t.snapshot().Get(ctx, t.d.space.key(key))
	if tikverr.IsErrNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, t.readError(ctx, err)
	}
	return v, nil
}

// BatchGet asks all servers that have some of the keys at once.
func (t *txn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	ctx, cancel := t.d.bounded(ctx)
	defer cancel()
	stored := make([][]byte, 0, len(keys))
	first := make(map[string]int, len(keys)) // where a key comes first
	for i, k := range keys {
		k = t.d.space.key(k)
		if _, again := first[string(k)]; !again {
			first[string(k)] = i
			stored = append(stored, k)
		}
	}
	found, err := t.snapshot().BatchGet(ctx, stored)
	if err != nil {
		return nil, t.readError(ctx, err)
	}
	values := make([][]byte, len(keys))
	for k, v := range found {
		i, asked := first[k]
		if !asked {
			return nil, fmt.Errorf("%w: an answer holds a key that was not asked for", kv.ErrUnavailable)
		}
		values[i] = v
	}
	if len(stored) < len(keys) {
		for i, k := range keys {
			if at := first[string(t.d.space.key(k))]; at < i {
				values[i] = bytes.Clone(values[at])
			}
		}
	}
	return values, nil
}

// Release has nothing to free: TiKV keeps old versions by their age.
func (t *txn) Release() {}
