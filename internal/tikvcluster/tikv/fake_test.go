package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/pd"
	"github.com/stretchr/testify/require"
)

// fakePD is a PD of one process. What it does not implement is not called.
type fakePD struct {
	pd.Client
	cluster uint64
	clock   atomic.Uint64
	onTS    func() // runs in each GetTS, before its timestamp is taken

	mu      sync.Mutex
	store   *metapb.Store
	regions map[uint64]*metapb.Region
	lastID  uint64
}

func newPD() *fakePD {
	f := &fakePD{cluster: 7, regions: map[uint64]*metapb.Region{}}
	f.clock.Store(1 << 40)
	return f
}

// now returns a timestamp that is higher than all before.
func (f *fakePD) now() uint64 { return f.clock.Add(1 << 18) }

func (f *fakePD) GetClusterID(context.Context) uint64 { return f.cluster }

func (f *fakePD) GetTS(context.Context) (int64, int64, error) {
	if f.onTS != nil {
		f.onTS()
	}
	ts := f.now()
	return int64(ts >> 18), int64(ts & (1<<18 - 1)), nil
}

func (f *fakePD) AllocID(context.Context) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID++
	return f.lastID, nil
}

func (f *fakePD) IsBootstrapped(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store != nil, nil
}

func (f *fakePD) Bootstrap(_ context.Context, s *metapb.Store, r *metapb.Region) (*pdpb.BootstrapResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store, f.regions[r.Id] = s, r
	return &pdpb.BootstrapResponse{}, nil
}

func (f *fakePD) PutStore(_ context.Context, s *metapb.Store) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = s
	return nil
}

func (f *fakePD) ReportRegion(req *pdpb.RegionHeartbeatRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.regions[req.Region.Id] = req.Region
}

func (f *fakePD) StoreHeartbeat(context.Context, *pdpb.StoreStats) error { return nil }

func (f *fakePD) GetGCSafePoint(context.Context) (uint64, error) { return 0, nil }

// fixture is a store without a network.
type fixture struct {
	*service
	t   *testing.T
	pd  *fakePD
	dir string
}

func open(t *testing.T, client *fakePD, dir string) *fixture {
	t.Helper()
	s, err := openStore(t.Context(), client, dir, "127.0.0.1:1")
	require.NoError(t, err)
	t.Cleanup(s.close)
	return &fixture{service: s.service, t: t, pd: client, dir: dir}
}

func openNew(t *testing.T) *fixture {
	t.Helper()
	return open(t, newPD(), t.TempDir())
}

// crash returns the store as a process would find it that starts after this one
// was killed now.
func (x *fixture) crash() *fixture {
	x.t.Helper()
	dir := x.t.TempDir()
	source := os.DirFS(x.dir)
	require.NoError(x.t, fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}))
	return open(x.t, x.pd, dir)
}

// at returns the context of a request for the region of key.
func (x *fixture) at(key string) *kvrpcpb.Context {
	x.pd.mu.Lock()
	defer x.pd.mu.Unlock()
	for _, meta := range x.pd.regions {
		r, err := newRegion(meta, nil)
		require.NoError(x.t, err)
		if r.holds([]byte(key)) {
			return &kvrpcpb.Context{RegionId: meta.Id, RegionEpoch: meta.RegionEpoch, Peer: meta.Peers[0]}
		}
	}
	x.t.Fatalf("no region has %q", key)
	return nil
}

// txn is a transaction of tests.
type txn struct {
	start   uint64
	primary string
	onePC   bool
	async   []string // its secondary keys; nil for a commit in two phases
}

func put(key, value string) *kvrpcpb.Mutation {
	return &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: []byte(key), Value: []byte(value)}
}

func lockOnly(key string) *kvrpcpb.Mutation {
	return &kvrpcpb.Mutation{Op: kvrpcpb.Op_Lock, Key: []byte(key)}
}

// prewrite sends mutations that lie in one region.
func (x *fixture) prewrite(tx txn, mutations ...*kvrpcpb.Mutation) *kvrpcpb.PrewriteResponse {
	x.t.Helper()
	req := &kvrpcpb.PrewriteRequest{
		Context:        x.at(string(mutations[0].Key)),
		PrimaryLock:    []byte(tx.primary),
		StartVersion:   tx.start,
		LockTtl:        3000,
		TryOnePc:       tx.onePC,
		UseAsyncCommit: tx.async != nil,
		MinCommitTs:    tx.start + 1,
	}
	if slices.ContainsFunc(mutations, func(m *kvrpcpb.Mutation) bool { return string(m.Key) == tx.primary }) {
		for _, key := range tx.async {
			req.Secondaries = append(req.Secondaries, []byte(key))
		}
	}
	for _, m := range mutations { // the server may change what it was sent
		sent := *m
		req.Mutations = append(req.Mutations, &sent)
	}
	resp, err := x.KvPrewrite(x.t.Context(), req)
	require.NoError(x.t, err)
	require.Nil(x.t, resp.RegionError)
	return resp
}

// mustPrewrite is prewrite without errors.
func (x *fixture) mustPrewrite(tx txn, mutations ...*kvrpcpb.Mutation) *kvrpcpb.PrewriteResponse {
	x.t.Helper()
	resp := x.prewrite(tx, mutations...)
	require.Empty(x.t, resp.Errors)
	return resp
}

// commit commits keys in one region, and returns the timestamp.
func (x *fixture) commit(tx txn, keys ...string) uint64 {
	x.t.Helper()
	at := x.pd.now()
	req := &kvrpcpb.CommitRequest{Context: x.at(keys[0]), StartVersion: tx.start, CommitVersion: at}
	for _, key := range keys {
		req.Keys = append(req.Keys, []byte(key))
	}
	resp, err := x.KvCommit(x.t.Context(), req)
	require.NoError(x.t, err)
	require.Nil(x.t, resp.Error)
	return at
}

// get returns a key's value now, or "" if there is none.
func (x *fixture) get(key string) string {
	x.t.Helper()
	resp, err := x.KvGet(x.t.Context(), &kvrpcpb.GetRequest{Context: x.at(key), Key: []byte(key), Version: x.pd.now()})
	require.NoError(x.t, err)
	require.Nil(x.t, resp.RegionError)
	require.Nil(x.t, resp.Error)
	return string(resp.Value)
}

// checkSecondaries asks what became of keys of an asynchronous commit.
func (x *fixture) checkSecondaries(tx txn, keys ...string) *kvrpcpb.CheckSecondaryLocksResponse {
	x.t.Helper()
	req := &kvrpcpb.CheckSecondaryLocksRequest{Context: x.at(keys[0]), StartVersion: tx.start}
	for _, key := range keys {
		req.Keys = append(req.Keys, []byte(key))
	}
	resp, err := x.KvCheckSecondaryLocks(x.t.Context(), req)
	require.NoError(x.t, err)
	require.Nil(x.t, resp.Error)
	return resp
}
