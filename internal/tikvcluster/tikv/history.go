package main

import (
	"bytes"

	"github.com/pingcap/badger"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv/mvcc"
)

// history tells what became of a transaction's earlier prewrites. A client that
// lost an answer sends the prewrite again, and unistore then answers as though
// the first one had been another transaction's: with a conflict after it has
// committed, and without the timestamp while it holds its locks. Either makes the
// client report or do the wrong thing.
type history struct {
	bundle *mvcc.DBBundle
}

// recognise returns the answer to a prewrite, given the engine's: the one that
// TiKV gives where the prewrite is a repeated one.
func (h history) recognise(req *kvrpcpb.PrewriteRequest, resp *kvrpcpb.PrewriteResponse) (*kvrpcpb.PrewriteResponse, error) {
	switch {
	case len(resp.GetErrors()) > 0 && resp.GetErrors()[0].GetConflict() != nil:
		at, err := h.committed(req.GetMutations(), req.GetStartVersion())
		if err != nil || at == 0 {
			return resp, err
		}
		return committed(req, at), nil
	case len(resp.GetErrors()) == 0 && req.GetUseAsyncCommit() && resp.GetMinCommitTs() == 0 && resp.GetOnePcCommitTs() == 0:
		at, err := h.committed(req.GetMutations(), req.GetStartVersion())
		if err != nil {
			return resp, err
		}
		if at > 0 {
			return committed(req, at), nil
		}
		resp.MinCommitTs = h.minCommitTS(req)
	}
	return resp, nil
}

// committed is the answer for a transaction that has committed already.
func committed(req *kvrpcpb.PrewriteRequest, at uint64) *kvrpcpb.PrewriteResponse {
	resp := &kvrpcpb.PrewriteResponse{}
	if req.GetTryOnePc() {
		resp.OnePcCommitTs = at
	}
	if req.GetUseAsyncCommit() {
		resp.MinCommitTs = at
	}
	return resp
}

// minCommitTS returns the least timestamp at which the locks of the transaction
// on all keys of req may commit, or 0 if one of them is missing or cannot commit
// by itself.
func (h history) minCommitTS(req *kvrpcpb.PrewriteRequest) uint64 {
	var least uint64
	var buf []byte
	for _, m := range req.GetMutations() {
		if m.GetOp() == kvrpcpb.Op_CheckNotExists {
			continue
		}
		buf = h.bundle.LockStore.Get(m.GetKey(), buf)
		if len(buf) == 0 {
			return 0
		}
		lock := mvcc.DecodeLock(buf)
		if lock.StartTS != req.GetStartVersion() || !lock.UseAsyncCommit {
			return 0
		}
		least = max(least, lock.MinCommitTS)
	}
	return least
}

// committed returns the timestamp at which the transaction that began at startTS
// committed one of these keys, or 0.
func (h history) committed(mutations []*kvrpcpb.Mutation, startTS uint64) (uint64, error) {
	var at uint64
	err := h.bundle.DB.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		it.SetAllVersions(true)
		for _, m := range mutations {
			for it.Seek(m.GetKey()); it.Valid() && bytes.Equal(it.Item().Key(), m.GetKey()); it.Next() {
				meta := mvcc.DBUserMeta(it.Item().UserMeta())
				if meta.CommitTS() < startTS {
					break
				}
				if meta.StartTS() == startTS {
					at = meta.CommitTS()
					return nil
				}
			}
		}
		return nil
	})
	return at, err
}
