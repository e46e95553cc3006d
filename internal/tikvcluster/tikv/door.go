package main

import (
	"context"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv"
)

// door is what clients call. It serves the commands of transactions and refuses
// all others, some of which unistore answers by a panic or by deleting more than
// it was asked to. Most go straight to the engine; reads and prewrites do not.
type door struct {
	tikvpb.UnimplementedTikvServer
	engine *tikv.Server
	past   history
	gate   gate
}

var _ tikvpb.TikvServer = (*door)(nil)

func (d *door) KvGet(ctx context.Context, req *kvrpcpb.GetRequest) (*kvrpcpb.GetResponse, error) {
	if err := d.gate.wait(ctx, req.GetVersion(), anyOf(req.GetKey())); err != nil {
		return nil, err
	}
	return d.engine.KvGet(ctx, req)
}

func (d *door) KvBatchGet(ctx context.Context, req *kvrpcpb.BatchGetRequest) (*kvrpcpb.BatchGetResponse, error) {
	if err := d.gate.wait(ctx, req.GetVersion(), anyOf(req.GetKeys()...)); err != nil {
		return nil, err
	}
	return d.engine.KvBatchGet(ctx, req)
}

func (d *door) KvScan(ctx context.Context, req *kvrpcpb.ScanRequest) (*kvrpcpb.ScanResponse, error) {
	start, end := req.GetStartKey(), req.GetEndKey()
	if req.GetReverse() {
		start, end = end, start
	}
	if err := d.gate.wait(ctx, req.GetVersion(), within(start, end)); err != nil {
		return nil, err
	}
	if req.GetReverse() {
		return d.reverse(ctx, req)
	}
	return d.engine.KvScan(ctx, req)
}

// KvPrewrite writes the locks of a transaction, or all of it in one phase.
func (d *door) KvPrewrite(ctx context.Context, req *kvrpcpb.PrewriteRequest) (*kvrpcpb.PrewriteResponse, error) {
	keys := make([][]byte, len(req.GetMutations()))
	for i, m := range req.GetMutations() {
		keys[i] = m.GetKey()
		if m.GetOp() == kvrpcpb.Op_Put || m.GetOp() == kvrpcpb.Op_Insert {
			m.Value = mark(m.GetKey(), m.GetValue())
		}
	}
	if req.GetUseAsyncCommit() || req.GetTryOnePc() {
		defer d.gate.leave(d.gate.enter(req.GetStartVersion(), keys))
	}
	resp, err := d.engine.KvPrewrite(ctx, req)
	if err != nil || resp.GetRegionError() != nil {
		return resp, err
	}
	return d.past.recognise(req, resp)
}

func (d *door) KvPessimisticLock(ctx context.Context, req *kvrpcpb.PessimisticLockRequest) (*kvrpcpb.PessimisticLockResponse, error) {
	return d.engine.KvPessimisticLock(ctx, req)
}

func (d *door) KVPessimisticRollback(ctx context.Context, req *kvrpcpb.PessimisticRollbackRequest) (*kvrpcpb.PessimisticRollbackResponse, error) {
	return d.engine.KVPessimisticRollback(ctx, req)
}

func (d *door) KvTxnHeartBeat(ctx context.Context, req *kvrpcpb.TxnHeartBeatRequest) (*kvrpcpb.TxnHeartBeatResponse, error) {
	return d.engine.KvTxnHeartBeat(ctx, req)
}

func (d *door) KvCheckTxnStatus(ctx context.Context, req *kvrpcpb.CheckTxnStatusRequest) (*kvrpcpb.CheckTxnStatusResponse, error) {
	return d.engine.KvCheckTxnStatus(ctx, req)
}

func (d *door) KvCheckSecondaryLocks(ctx context.Context, req *kvrpcpb.CheckSecondaryLocksRequest) (*kvrpcpb.CheckSecondaryLocksResponse, error) {
	return d.engine.KvCheckSecondaryLocks(ctx, req)
}

func (d *door) KvCommit(ctx context.Context, req *kvrpcpb.CommitRequest) (*kvrpcpb.CommitResponse, error) {
	return d.engine.KvCommit(ctx, req)
}

func (d *door) KvCleanup(ctx context.Context, req *kvrpcpb.CleanupRequest) (*kvrpcpb.CleanupResponse, error) {
	return d.engine.KvCleanup(ctx, req)
}

func (d *door) KvBatchRollback(ctx context.Context, req *kvrpcpb.BatchRollbackRequest) (*kvrpcpb.BatchRollbackResponse, error) {
	return d.engine.KvBatchRollback(ctx, req)
}

func (d *door) KvScanLock(ctx context.Context, req *kvrpcpb.ScanLockRequest) (*kvrpcpb.ScanLockResponse, error) {
	return d.engine.KvScanLock(ctx, req)
}

func (d *door) KvResolveLock(ctx context.Context, req *kvrpcpb.ResolveLockRequest) (*kvrpcpb.ResolveLockResponse, error) {
	return d.engine.KvResolveLock(ctx, req)
}

func (d *door) KvGC(ctx context.Context, req *kvrpcpb.GCRequest) (*kvrpcpb.GCResponse, error) {
	return d.engine.KvGC(ctx, req)
}

func (d *door) SplitRegion(ctx context.Context, req *kvrpcpb.SplitRegionRequest) (*kvrpcpb.SplitRegionResponse, error) {
	return d.engine.SplitRegion(ctx, req)
}

// GetStoreSafeTS says that there is no timestamp at which followers may be read.
func (d *door) GetStoreSafeTS(context.Context, *kvrpcpb.StoreSafeTSRequest) (*kvrpcpb.StoreSafeTSResponse, error) {
	return &kvrpcpb.StoreSafeTSResponse{}, nil
}
