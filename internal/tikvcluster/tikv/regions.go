package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/badger"
	"github.com/pingcap/badger/y"
	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/log"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/pd"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv/mvcc"
	"github.com/pingcap/tidb/pkg/util/codec"
	"go.uber.org/zap"
)

// Keys under which the store keeps what it is. Clients cannot reach them.
var (
	storeKey     = []byte("\xff\x00store")   // immutable
	regionPrefix = []byte("\xff\x00region/") // immutable
)

// unreachable is the least key that unistore reserves for itself.
var unreachable = []byte{0xff} // immutable

// heartbeat is how often PD hears of the store and of every region. TiKV tells of
// regions each minute and the moment PD comes back; telling often is enough here.
const heartbeat = 2 * time.Second

// standinHash is what tells the stand-in from TiKV: the commit that PD is told the
// store was built from.
const standinHash = "tito-standin"

// regions splits the key space of the one store, and tells PD about it. It stands
// in for unistore's manager, which cannot split on request and tells PD of a
// region once.
type regions struct {
	db      *badger.DB
	version *uint64 // of internal keys; atomic, always growing
	pd      pd.Client
	store   *metapb.Store
	latches *latches

	mu   sync.RWMutex
	byID map[uint64]*region

	closed chan struct{}
	done   sync.WaitGroup
}

var _ tikv.RegionManager = (*regions)(nil)

// openRegions loads the store and its regions, or makes a new store of one region
// that spans all keys. Either way PD knows the store afterwards.
func openRegions(ctx context.Context, bundle *mvcc.DBBundle, client pd.Client, addr string) (*regions, error) {
	rs := &regions{
		db:      bundle.DB,
		version: &bundle.StateTS,
		pd:      client,
		latches: newLatches(),
		byID:    map[uint64]*region{},
		closed:  make(chan struct{}),
	}
	if err := rs.load(); err != nil {
		return nil, fmt.Errorf("load regions: %w", err)
	}
	if rs.store == nil {
		if err := rs.create(ctx); err != nil {
			return nil, fmt.Errorf("make a store: %w", err)
		}
	}
	rs.store.Address, rs.store.GitHash = addr, standinHash
	if err := rs.join(ctx); err != nil {
		return nil, fmt.Errorf("join the cluster: %w", err)
	}
	rs.done.Add(1)
	go rs.beat()
	return rs, nil
}

func (rs *regions) load() error {
	return rs.db.View(func(txn *badger.Txn) error {
		item, err := get(txn, storeKey)
		if item == nil || err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		// The identity of the cluster stands before the store.
		if id := binary.BigEndian.Uint64(value); id != rs.pd.GetClusterID(context.Background()) {
			return errors.New("the data directory belongs to another cluster than this PD's")
		}
		rs.store = &metapb.Store{}
		if err := rs.store.Unmarshal(value[8:]); err != nil {
			return err
		}
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Seek(regionPrefix); it.ValidForPrefix(regionPrefix); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			meta := &metapb.Region{}
			if err := meta.Unmarshal(value); err != nil {
				return err
			}
			r, err := newRegion(meta, rs.latches)
			if err != nil {
				return err
			}
			rs.byID[meta.Id] = r
		}
		return nil
	})
}

func (rs *regions) create(ctx context.Context) error {
	ids, err := rs.allocIDs(ctx, 3)
	if err != nil {
		return err
	}
	rs.store = &metapb.Store{Id: ids[0]}
	root, err := newRegion(&metapb.Region{
		Id:          ids[1],
		RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1},
		Peers:       []*metapb.Peer{{Id: ids[2], StoreId: ids[0]}},
	}, rs.latches)
	if err != nil {
		return err
	}
	store, err := rs.store.Marshal()
	if err != nil {
		return err
	}
	id := binary.BigEndian.AppendUint64(nil, rs.pd.GetClusterID(ctx))
	return rs.save([]*region{root}, &badger.Entry{Key: y.KeyWithTs(storeKey, 0), Value: append(id, store...)})
}

// join makes the store known to PD. What was saved may not have reached PD, if
// the process ended in between.
func (rs *regions) join(ctx context.Context) error {
	ok, err := rs.pd.IsBootstrapped(ctx)
	if err != nil {
		return err
	}
	if !ok {
		all := rs.sorted()
		if len(all) != 1 {
			return errors.New("the data directory has regions that PD has forgotten")
		}
		resp, err := rs.pd.Bootstrap(ctx, rs.store, all[0].meta)
		if err != nil {
			return err
		}
		if failed := resp.GetHeader().GetError(); failed != nil {
			return errors.New(failed.GetMessage())
		}
	}
	return rs.pd.PutStore(ctx, rs.store)
}

// save makes regions durable and then current.
func (rs *regions) save(changed []*region, more ...*badger.Entry) error {
	version := atomic.AddUint64(rs.version, 1)
	entries := more
	for _, r := range changed {
		value, err := r.meta.Marshal()
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(bytes.Clone(regionPrefix), r.meta.Id)
		entries = append(entries, &badger.Entry{Key: y.KeyWithTs(key, 0), Value: value})
	}
	err := rs.db.Update(func(txn *badger.Txn) error {
		for _, e := range entries {
			e.Key.Version = version
			if err := txn.SetEntry(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range changed {
		rs.byID[r.meta.Id] = r
	}
	return nil
}

// beat keeps PD informed until the manager is closed. PD forgets who leads a
// region when it restarts, so every region is told of again and again.
func (rs *regions) beat() {
	defer rs.done.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		all := rs.sorted()
		stats := &pdpb.StoreStats{
			StoreId:     rs.store.Id,
			RegionCount: uint32(len(all)),
			Capacity:    64 << 30,
			Available:   32 << 30,
		}
		if err := rs.pd.StoreHeartbeat(ctx, stats); err != nil {
			log.Warn("store heartbeat failed", zap.Error(err))
		}
		rs.report(all)
		select {
		case <-rs.closed:
			return
		case <-ticker.C:
		}
	}
}

// report tells PD of regions, in the order given.
func (rs *regions) report(changed []*region) {
	for _, r := range changed {
		rs.pd.ReportRegion(&pdpb.RegionHeartbeatRequest{Region: r.meta, Leader: r.meta.Peers[0], Term: 1, ApproximateSize: 1 << 20})
	}
}

// sorted returns all regions in the order of their keys.
func (rs *regions) sorted() []*region {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	all := make([]*region, 0, len(rs.byID))
	for _, r := range rs.byID {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *region) int { return bytes.Compare(a.start, b.start) })
	return all
}

func (rs *regions) allocIDs(ctx context.Context, n int) ([]uint64, error) {
	ids := make([]uint64, n)
	for i := range ids {
		var err error
		if ids[i], err = rs.pd.AllocID(ctx); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// GetRegionFromCtx returns the region that a request is for, if the client's
// picture of it is the current one.
func (rs *regions) GetRegionFromCtx(rc *kvrpcpb.Context) (tikv.RegionCtx, *errorpb.Error) {
	if _, _, failed := rs.GetStoreInfoFromCtx(rc); failed != nil {
		return nil, failed
	}
	rs.mu.RLock()
	r := rs.byID[rc.GetRegionId()]
	rs.mu.RUnlock()
	if r == nil {
		return nil, &errorpb.Error{
			Message:        "region not found",
			RegionNotFound: &errorpb.RegionNotFound{RegionId: rc.GetRegionId()},
		}
	}
	have, want := r.meta.RegionEpoch, rc.GetRegionEpoch()
	if have.GetVersion() != want.GetVersion() || have.GetConfVer() != want.GetConfVer() {
		return nil, &errorpb.Error{
			Message:       "stale epoch",
			EpochNotMatch: &errorpb.EpochNotMatch{CurrentRegions: []*metapb.Region{r.meta}},
		}
	}
	return r, nil
}

// GetStoreInfoFromCtx refuses a request that is for another store.
func (rs *regions) GetStoreInfoFromCtx(rc *kvrpcpb.Context) (string, uint64, *errorpb.Error) {
	if peer := rc.GetPeer(); peer != nil && peer.GetStoreId() != rs.store.Id {
		return "", 0, &errorpb.Error{
			Message:       "store not match",
			StoreNotMatch: &errorpb.StoreNotMatch{RequestStoreId: peer.GetStoreId(), ActualStoreId: rs.store.Id},
		}
	}
	return rs.store.Address, rs.store.Id, nil
}

// GetStoreIDByAddr implements tikv.RegionManager.
func (rs *regions) GetStoreIDByAddr(addr string) (uint64, error) {
	if addr != rs.store.Address {
		return 0, errors.New("no store has this address")
	}
	return rs.store.Id, nil
}

// GetStoreAddrByStoreID implements tikv.RegionManager.
func (rs *regions) GetStoreAddrByStoreID(id uint64) (string, error) {
	if id != rs.store.Id {
		return "", errors.New("no store has this identity")
	}
	return rs.store.Address, nil
}

// SplitRegion splits the region that the request is for at each of its keys. As
// in TiKV the rightmost part keeps the identity.
func (rs *regions) SplitRegion(req *kvrpcpb.SplitRegionRequest) *kvrpcpb.SplitRegionResponse {
	found, failed := rs.GetRegionFromCtx(req.GetContext())
	if failed != nil {
		return &kvrpcpb.SplitRegionResponse{RegionError: failed}
	}
	parts, err := rs.split(found.(*region), splitKeys(req))
	if err != nil {
		log.Warn("split failed", zap.Error(err))
		return &kvrpcpb.SplitRegionResponse{RegionError: &errorpb.Error{Message: err.Error()}}
	}
	resp := &kvrpcpb.SplitRegionResponse{}
	for _, r := range parts {
		resp.Regions = append(resp.Regions, r.meta)
	}
	return resp
}

func splitKeys(req *kvrpcpb.SplitRegionRequest) [][]byte {
	keys := slices.Clone(req.GetSplitKeys())
	if one := req.GetSplitKey(); len(one) > 0 { //nolint:staticcheck // older clients send it
		keys = append(keys, one)
	}
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// split returns the parts of r, left to right.
func (rs *regions) split(r *region, keys [][]byte) ([]*region, error) {
	for _, key := range keys {
		if !r.holds(key) {
			return nil, errors.New("a split key lies outside of the region")
		}
	}
	keys = slices.DeleteFunc(keys, func(key []byte) bool { return bytes.Equal(key, r.start) })
	if len(keys) == 0 {
		return []*region{r}, nil
	}
	ids, err := rs.allocIDs(context.Background(), 2*len(keys))
	if err != nil {
		return nil, err
	}
	epoch := metapb.RegionEpoch{ConfVer: r.meta.RegionEpoch.ConfVer, Version: r.meta.RegionEpoch.Version + uint64(len(keys))}
	parts := make([]*region, 0, len(keys)+1)
	start := r.meta.StartKey
	for i := range len(keys) + 1 {
		meta := &metapb.Region{Id: r.meta.Id, StartKey: start, EndKey: r.meta.EndKey, Peers: r.meta.Peers}
		meta.RegionEpoch = &metapb.RegionEpoch{ConfVer: epoch.ConfVer, Version: epoch.Version}
		if i < len(keys) {
			meta.Id, meta.EndKey = ids[2*i], codec.EncodeBytes(nil, keys[i])
			meta.Peers = []*metapb.Peer{{Id: ids[2*i+1], StoreId: rs.store.Id}}
		}
		part, err := newRegion(meta, rs.latches)
		if err != nil {
			return nil, err
		}
		parts, start = append(parts, part), meta.EndKey
	}
	if err := rs.replace(r, parts); err != nil {
		return nil, err
	}
	// The part with the old identity first: PD then knows that the old range has shrunk.
	slices.Reverse(parts)
	rs.report(parts)
	slices.Reverse(parts)
	return parts, nil
}

// replace puts parts in the place of r, unless something else has by now.
func (rs *regions) replace(r *region, parts []*region) error {
	// One split at a time: the identity of r stands for the right to change it.
	hash := []uint64{math.MaxUint64 - r.meta.Id}
	rs.latches.acquire(hash)
	defer rs.latches.release(hash)
	rs.mu.RLock()
	current := rs.byID[r.meta.Id]
	rs.mu.RUnlock()
	if current != r {
		return errors.New("the region has changed")
	}
	return rs.save(parts)
}

// Close ends the heartbeats. PD may be gone by then, and the last one stuck: so
// it waits for it only briefly.
func (rs *regions) Close() error {
	close(rs.closed)
	ended := make(chan struct{})
	go func() {
		rs.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Second):
		log.Warn("the last heartbeat did not end")
	}
	return nil
}

// region is one immutable picture of a region: a split makes new ones.
type region struct {
	meta       *metapb.Region
	start, end []byte // raw keys; end is never empty
	latches    *latches
	diff       int64 // counted by the engine, of no use here
}

var _ tikv.RegionCtx = (*region)(nil)

func newRegion(meta *metapb.Region, l *latches) (*region, error) {
	r := &region{meta: meta, latches: l, end: unreachable}
	for _, border := range []struct {
		raw     *[]byte
		encoded []byte
	}{{&r.start, meta.StartKey}, {&r.end, meta.EndKey}} {
		if len(border.encoded) == 0 {
			continue
		}
		_, raw, err := codec.DecodeBytes(border.encoded, nil)
		if err != nil {
			return nil, errors.New("a region border is not an encoded key")
		}
		*border.raw = raw
	}
	return r, nil
}

func (r *region) holds(key []byte) bool {
	return bytes.Compare(key, r.start) >= 0 && bytes.Compare(key, r.end) < 0
}

// Meta, Diff, RawStart and RawEnd implement tikv.RegionCtx.
func (r *region) Meta() *metapb.Region { return r.meta }

func (r *region) Diff() *int64 { return &r.diff }

func (r *region) RawStart() []byte { return r.start }

func (r *region) RawEnd() []byte { return r.end }

// AcquireLatches waits until no other request works on these keys, in whatever
// region: a split may come in between.
func (r *region) AcquireLatches(hashes []uint64) { r.latches.acquire(hashes) }

// ReleaseLatches is the other half of AcquireLatches.
func (r *region) ReleaseLatches(hashes []uint64) { r.latches.release(hashes) }
