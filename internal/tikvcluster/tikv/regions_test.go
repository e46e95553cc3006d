package main

import (
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
)

func (x *fixture) split(at string, keys ...string) *kvrpcpb.SplitRegionResponse {
	x.t.Helper()
	req := &kvrpcpb.SplitRegionRequest{Context: x.at(at)}
	for _, key := range keys {
		req.SplitKeys = append(req.SplitKeys, []byte(key))
	}
	resp, err := x.SplitRegion(x.t.Context(), req)
	require.NoError(x.t, err)
	return resp
}

func TestSplitRegion(t *testing.T) {
	x := openNew(t)
	tx := txn{start: x.pd.now(), primary: "b", onePC: true}
	x.mustPrewrite(tx, put("b", "1"), put("g", "2"), put("q", "3"))
	whole := x.at("b")

	resp := x.split("a", "m", "f", "f")
	require.Nil(t, resp.RegionError)
	require.Len(t, resp.Regions, 3)
	require.Equal(t, whole.RegionId, resp.Regions[2].Id, "the rightmost keeps the identity")
	require.Len(t, x.pd.regions, 3)
	require.Len(t, x.split("f", "f").Regions, 1, "a border is no split")
	require.NotNil(t, x.split("a", "n").RegionError, "of another region")

	// A client with the old picture is told of the new one.
	stale, err := x.KvGet(t.Context(), &kvrpcpb.GetRequest{Context: whole, Key: []byte("b"), Version: x.pd.now()})
	require.NoError(t, err)
	require.NotNil(t, stale.RegionError.EpochNotMatch)

	x = x.crash()
	for key, value := range map[string]string{"b": "1", "g": "2", "q": "3"} {
		require.Equal(t, value, x.get(key))
	}
	require.NotEqual(t, x.at("b").RegionId, x.at("g").RegionId)
	require.Len(t, x.split("a", "c").Regions, 2)
}

func TestRequestForAnotherStoreIsRefused(t *testing.T) {
	x := openNew(t)
	rc := x.at("a")
	peer := *rc.Peer
	peer.StoreId++
	rc.Peer = &peer
	resp, err := x.KvGet(t.Context(), &kvrpcpb.GetRequest{Context: rc, Key: []byte("a"), Version: x.pd.now()})
	require.NoError(t, err)
	require.NotNil(t, resp.RegionError.StoreNotMatch)
}

func TestDataOfAnotherClusterIsRefused(t *testing.T) {
	x := openNew(t)
	dir := t.TempDir()
	s, err := openStore(t.Context(), x.pd, dir, "127.0.0.1:1")
	require.NoError(t, err)
	s.close()
	other := newPD()
	other.cluster++
	_, err = openStore(t.Context(), other, dir, "127.0.0.1:1")
	require.ErrorContains(t, err, "another cluster")
}

// The process may end after the store was saved and before PD heard of it.
func TestStoreThatPDForgotJoinsAgain(t *testing.T) {
	x := openNew(t)
	x.pd.store = nil
	x = x.crash()
	require.NotNil(t, x.pd.store)
	require.Empty(t, x.get("a"))
}
