package main

import (
	"context"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv"
)

// service is what clients call. It serves the commands of transactions and refuses
// all others, some of which unistore answers by a panic or by deleting more than
// it was asked to. Most go straight to the engine; reads and prewrites do not.
type service struct {
	tikvpb.UnimplementedTikvServer
	engine *tikv.Server
	past   history
	fence  readFence
}

var _ tikvpb.TikvServer = (*service)(nil)

func (s *service) KvGet(ctx context.Context, req *kvrpcpb.GetRequest) (*kvrpcpb.GetResponse, error) {
	if err := s.fence.wait(ctx, req.GetVersion(), anyOf(req.GetKey())); err != nil {
		return nil, err
	}
	return s.engine.KvGet(ctx, req)
}

func (s *service) KvBatchGet(ctx context.Context, req *kvrpcpb.BatchGetRequest) (*kvrpcpb.BatchGetResponse, error) {
	if err := s.fence.wait(ctx, req.GetVersion(), anyOf(req.GetKeys()...)); err != nil {
		return nil, err
	}
	return s.engine.KvBatchGet(ctx, req)
}

func (s *service) KvScan(ctx context.Context, req *kvrpcpb.ScanRequest) (*kvrpcpb.ScanResponse, error) {
	start, end := req.GetStartKey(), req.GetEndKey()
	if req.GetReverse() {
		start, end = end, start
	}
	if err := s.fence.wait(ctx, req.GetVersion(), within(start, end)); err != nil {
		return nil, err
	}
	if req.GetReverse() {
		return s.reverse(ctx, req)
	}
	return s.engine.KvScan(ctx, req)
}

// KvPrewrite writes the locks of a transaction, or all of it in one phase.
func (s *service) KvPrewrite(ctx context.Context, req *kvrpcpb.PrewriteRequest) (*kvrpcpb.PrewriteResponse, error) {
	keys := make([][]byte, len(req.GetMutations()))
	for i, m := range req.GetMutations() {
		keys[i] = m.GetKey()
		if m.GetOp() == kvrpcpb.Op_Put || m.GetOp() == kvrpcpb.Op_Insert {
			m.Value = mark(m.GetKey(), m.GetValue())
		}
	}
	if req.GetUseAsyncCommit() || req.GetTryOnePc() {
		defer s.fence.leave(s.fence.enter(req.GetStartVersion(), keys))
	}
	resp, err := s.engine.KvPrewrite(ctx, req)
	if err != nil || resp.GetRegionError() != nil {
		return resp, err
	}
	return s.past.recognise(req, resp)
}

func (s *service) KvPessimisticLock(ctx context.Context, req *kvrpcpb.PessimisticLockRequest) (*kvrpcpb.PessimisticLockResponse, error) {
	return s.engine.KvPessimisticLock(ctx, req)
}

func (s *service) KVPessimisticRollback(ctx context.Context, req *kvrpcpb.PessimisticRollbackRequest) (*kvrpcpb.PessimisticRollbackResponse, error) {
	return s.engine.KVPessimisticRollback(ctx, req)
}

func (s *service) KvTxnHeartBeat(ctx context.Context, req *kvrpcpb.TxnHeartBeatRequest) (*kvrpcpb.TxnHeartBeatResponse, error) {
	return s.engine.KvTxnHeartBeat(ctx, req)
}

func (s *service) KvCheckTxnStatus(ctx context.Context, req *kvrpcpb.CheckTxnStatusRequest) (*kvrpcpb.CheckTxnStatusResponse, error) {
	return s.engine.KvCheckTxnStatus(ctx, req)
}

func (s *service) KvCheckSecondaryLocks(ctx context.Context, req *kvrpcpb.CheckSecondaryLocksRequest) (*kvrpcpb.CheckSecondaryLocksResponse, error) {
	return s.engine.KvCheckSecondaryLocks(ctx, req)
}

func (s *service) KvCommit(ctx context.Context, req *kvrpcpb.CommitRequest) (*kvrpcpb.CommitResponse, error) {
	return s.engine.KvCommit(ctx, req)
}

func (s *service) KvCleanup(ctx context.Context, req *kvrpcpb.CleanupRequest) (*kvrpcpb.CleanupResponse, error) {
	return s.engine.KvCleanup(ctx, req)
}

func (s *service) KvBatchRollback(ctx context.Context, req *kvrpcpb.BatchRollbackRequest) (*kvrpcpb.BatchRollbackResponse, error) {
	return s.engine.KvBatchRollback(ctx, req)
}

func (s *service) KvScanLock(ctx context.Context, req *kvrpcpb.ScanLockRequest) (*kvrpcpb.ScanLockResponse, error) {
	return s.engine.KvScanLock(ctx, req)
}

func (s *service) KvResolveLock(ctx context.Context, req *kvrpcpb.ResolveLockRequest) (*kvrpcpb.ResolveLockResponse, error) {
	return s.engine.KvResolveLock(ctx, req)
}

func (s *service) KvGC(ctx context.Context, req *kvrpcpb.GCRequest) (*kvrpcpb.GCResponse, error) {
	return s.engine.KvGC(ctx, req)
}

func (s *service) SplitRegion(ctx context.Context, req *kvrpcpb.SplitRegionRequest) (*kvrpcpb.SplitRegionResponse, error) {
	return s.engine.SplitRegion(ctx, req)
}

// GetStoreSafeTS says that there is no timestamp at which followers may be read.
func (s *service) GetStoreSafeTS(context.Context, *kvrpcpb.StoreSafeTSRequest) (*kvrpcpb.StoreSafeTSResponse, error) {
	return &kvrpcpb.StoreSafeTSResponse{}, nil
}
