package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/stretchr/testify/require"
)

func TestReadWaitsForTheEndOfAPrewrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g readFence
		p := g.enter(10, [][]byte{[]byte("m"), []byte("c")})
		waiting := 0
		read := func(ts uint64, touches func([][]byte) bool) {
			waiting++
			go func() {
				require.NoError(t, g.wait(t.Context(), ts, touches))
				waiting--
			}()
			synctest.Wait()
		}
		// It could have to see the prewrite.
		read(11, anyOf([]byte("a"), []byte("m")))
		read(11, within([]byte("a"), []byte("d")))
		read(11, within([]byte("d"), nil))
		require.Equal(t, 3, waiting)
		// It could not.
		read(10, anyOf([]byte("m")))
		read(11, anyOf([]byte("a"), []byte("z")))
		read(11, within([]byte("d"), []byte("m")))
		read(11, within([]byte("n"), nil))
		require.Equal(t, 3, waiting)

		g.leave(p)
		synctest.Wait()
		require.Zero(t, waiting)
		read(11, anyOf([]byte("m")))
		require.Zero(t, waiting)
	})
}

// A prewrite has entered the fence by the time that it asks for its timestamp, and every
// kind of read waits for it.
func TestReadsCannotOvertakeAPrewrite(t *testing.T) {
	x := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	asked := 0
	check := func(wantErr error) {
		asked++
		version := x.pd.now()
		_, err := x.KvGet(ctx, &kvrpcpb.GetRequest{Context: x.at("k"), Key: []byte("k"), Version: version})
		require.ErrorIs(t, err, wantErr)
		_, err = x.KvBatchGet(ctx, &kvrpcpb.BatchGetRequest{Context: x.at("k"), Keys: [][]byte{[]byte("a"), []byte("k")}, Version: version})
		require.ErrorIs(t, err, wantErr)
		_, err = x.KvScan(ctx, &kvrpcpb.ScanRequest{Context: x.at("k"), StartKey: []byte("a"), EndKey: []byte("z"), Limit: 9, Version: version})
		require.ErrorIs(t, err, wantErr)
		_, err = x.KvScan(ctx, &kvrpcpb.ScanRequest{Context: x.at("k"), StartKey: []byte("z"), EndKey: []byte("a"), Limit: 9, Version: version, Reverse: true})
		require.ErrorIs(t, err, wantErr)
	}
	x.pd.onTS = func() { check(context.Canceled) }
	x.mustPrewrite(txn{start: x.pd.now(), primary: "k", onePC: true}, put("k", "1"))
	x.mustPrewrite(txn{start: x.pd.now(), primary: "k", async: []string{}}, put("k", "2"))
	require.Equal(t, 2, asked)
	check(nil)
}
