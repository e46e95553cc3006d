package engine

import (
	"bytes"
	"context"
	"errors"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/config/retry"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
	"github.com/tikv/client-go/v2/txnkv/txnlock"
)

// pageRequest asks for the first pairs of a range that is not empty, from its
// end if reverse.
type pageRequest struct {
	start, end        []byte
	reverse, keysOnly bool
	limit             int
}

// page is the answer.
type page struct {
	pairs  []pair
	locked [][]byte // keys of the page whose value a lock hid from the scan
	bytes  int      // size of pairs
	next   []byte   // where the next page begins: a new start or, in reverse, a new end
}

// page asks the region where the range begins, and goes on to the next region only if
// the first has no pairs. So it costs as many requests as the client's own iterators.
func (t *txn) page(ctx context.Context, r pageRequest) (page, error) {
	ctx = context.WithValue(ctx, retry.TxnStartKey, t.ts)
	for {
		p, err := t.regionPage(ctx, r)
		if err != nil {
			return page{}, err
		}
		if r.reverse {
			r.end = p.next
		} else {
			r.start = p.next
		}
		if len(p.pairs) > 0 || bytes.Compare(r.start, r.end) >= 0 {
			err := t.fillLocked(ctx, &p)
			return p, err
		}
	}
}

// regionPage asks one region, until it answers or Options.Timeout is over. Each
// region that a page asks has the whole timeout.
func (t *txn) regionPage(ctx context.Context, r pageRequest) (page, error) {
	ctx, cancel := t.d.bounded(ctx)
	defer cancel()
	p, err := t.askRegion(t.d.backoffer(ctx), r)
	if err != nil {
		return page{}, t.readError(ctx, err)
	}
	return p, nil
}

func (t *txn) askRegion(bo *tikv.Backoffer, r pageRequest) (page, error) {
	for {
		start, end := r.start, r.end
		region, err := t.locate(bo, r)
		if err != nil {
			return page{}, err
		}
		if region.StartKey != nil && bytes.Compare(region.StartKey, start) > 0 {
			start = region.StartKey
		}
		if len(region.EndKey) > 0 && bytes.Compare(region.EndKey, end) < 0 {
			end = region.EndKey
		}
		answer, err := t.scan(bo, region.Region, start, end, r)
		if err != nil {
			return page{}, err
		}
		if answer != nil {
			return newPage(answer.Pairs, start, end, r)
		}
	}
}

func (t *txn) locate(bo *tikv.Backoffer, r pageRequest) (*tikv.KeyLocation, error) {
	if r.reverse {
		return t.d.store.GetRegionCache().LocateEndKey(bo, r.end)
	}
	return t.d.store.GetRegionCache().LocateKey(bo, r.start)
}

// scan sends one request. It returns nil if the next request should succeed: it has
// looked where the region has gone, or waited for the end of a lock.
func (t *txn) scan(bo *tikv.Backoffer, region tikv.RegionVerID, start, end []byte, r pageRequest) (*kvrpcpb.ScanResponse, error) {
	if r.reverse {
		start, end = end, start // the protocol's start is where a scan begins
	}
	req := tikvrpc.NewRequest(tikvrpc.CmdScan, &kvrpcpb.ScanRequest{
		StartKey: start,
		EndKey:   end,
		Limit:    uint32(r.limit),
		Version:  t.ts,
		KeyOnly:  r.keysOnly,
		Reverse:  r.reverse,
	}, kvrpcpb.Context{MaxExecutionDurationMs: uint64(tikv.ReadTimeoutMedium.Milliseconds())})
	resp, err := t.d.store.SendReq(bo, req, region, tikv.ReadTimeoutMedium)
	if err != nil {
		return nil, err
	}
	switch regionErr, err := resp.GetRegionError(); {
	case err != nil:
		return nil, err
	case regionErr != nil && moved(regionErr):
		return nil, nil
	case regionErr != nil:
		return nil, bo.Backoff(tikv.BoRegionMiss(), errors.New(regionErr.String()))
	}
	answer, ok := resp.Resp.(*kvrpcpb.ScanResponse)
	if !ok {
		return nil, tikverr.ErrBodyMissing
	}
	if err := t.d.store.CheckVisibility(t.ts); err != nil {
		return nil, err
	}
	if keyErr := answer.GetError(); keyErr != nil {
		return nil, t.resolve(bo, keyErr)
	}
	return answer, nil
}

// moved reports whether a server has told where the region went. When the client
// could not reach a server it makes an error of that kind with nothing in it.
func moved(e *errorpb.Error) bool { return len(e.GetEpochNotMatch().GetCurrentRegions()) > 0 }

// resolve waits for a lock that keeps a whole answer back, or removes it.
func (t *txn) resolve(bo *tikv.Backoffer, keyErr *kvrpcpb.KeyError) error {
	lock, err := txnlock.ExtractLockFromKeyErr(keyErr)
	if err != nil {
		return err
	}
	left, err := t.d.store.GetLockResolver().ResolveLocks(bo, t.ts, []*txnlock.Lock{lock})
	if err != nil || left <= 0 {
		return err
	}
	return bo.BackoffWithMaxSleepTxnLockFast(int(left), errors.New("a scan has met a lock"))
}

func newPage(pairs []*kvrpcpb.KvPair, start, end []byte, r pageRequest) (page, error) {
	p := page{pairs: make([]pair, len(pairs))}
	for i, kvPair := range pairs {
		p.pairs[i] = pair{key: kvPair.GetKey(), value: kvPair.GetValue()}
		if keyErr := kvPair.GetError(); keyErr != nil {
			lock, err := txnlock.ExtractLockFromKeyErr(keyErr)
			if err != nil {
				return page{}, err
			}
			p.pairs[i] = pair{key: lock.Key}
			p.locked = append(p.locked, lock.Key)
		}
		p.bytes += len(p.pairs[i].key) + len(p.pairs[i].value)
	}
	switch full := len(pairs) >= r.limit; {
	case full && r.reverse:
		p.next = p.pairs[len(pairs)-1].key
	case full:
		p.next = append(bytes.Clone(p.pairs[len(pairs)-1].key), 0)
	case r.reverse:
		p.next = start
	default:
		p.next = end
	}
	return p, nil
}

// fillLocked reads the locked keys one by one, which resolves their locks, and
// drops those that have no value.
func (t *txn) fillLocked(ctx context.Context, p *page) error {
	if len(p.locked) == 0 {
		return nil
	}
	ctx, cancel := t.d.bounded(ctx)
	defer cancel()
	values, err := t.snapshot().BatchGet(ctx, p.locked)
	if err != nil {
		return t.readError(ctx, err)
	}
	left := p.pairs[:0]
	next := 0 // of the locked keys, which are in the pairs' order
	for _, kv := range p.pairs {
		if next < len(p.locked) && bytes.Equal(kv.key, p.locked[next]) {
			next++
			if kv.value = values[string(kv.key)]; kv.value == nil {
				continue
			}
		}
		left = append(left, kv)
	}
	p.pairs = left
	return nil
}
