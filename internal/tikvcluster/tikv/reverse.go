package main

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/pingcap/badger"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// reverse answers a scan that goes backwards. unistore takes its iterator for
// one before it tells the database the version to read at, and so returns what
// is newest. It is asked for the same pairs forwards instead.
func (s *service) reverse(ctx context.Context, req *kvrpcpb.ScanRequest) (*kvrpcpb.ScanResponse, error) {
	forward := *req
	forward.Reverse = false
	forward.StartKey, forward.EndKey = s.past.last(req), req.GetStartKey()
	forward.Limit = math.MaxInt32
	resp, err := s.engine.KvScan(ctx, &forward)
	if err != nil || len(resp.GetPairs()) == 0 {
		return resp, err
	}
	slices.Reverse(resp.Pairs)
	resp.Pairs = resp.Pairs[:min(len(resp.Pairs), int(req.GetLimit()))]
	return resp, nil
}

// last returns the lowest key that the scan can reach, or one below.
func (h history) last(req *kvrpcpb.ScanRequest) []byte {
	end := req.GetEndKey()
	txn := h.bundle.DB.NewTransaction(false)
	defer txn.Discard()
	txn.SetReadTS(req.GetVersion())
	options := badger.DefaultIteratorOptions
	options.Reverse = true
	it := txn.NewIterator(options)
	defer it.Close()
	left := req.GetLimit()
	for it.Seek(req.GetStartKey()); it.Valid() && bytes.Compare(it.Item().Key(), end) >= 0; it.Next() {
		if it.Item().IsEmpty() || bytes.Compare(it.Item().Key(), req.GetStartKey()) >= 0 {
			continue
		}
		if left--; left <= 0 {
			return it.Item().KeyCopy(nil)
		}
	}
	return end
}
