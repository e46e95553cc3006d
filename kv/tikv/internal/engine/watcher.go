package engine

import (
	"context"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
)

// watcher looks at what becomes of the requests of one transaction's commit. The
// client does not tell enough. If a region has been split, or one of several regions
// refused its part, the client reports a plain conflict as an unknown outcome. And
// it forgets that an answer was lost when a later answer has come.
type watcher struct {
	startTS uint64

	mu         sync.Mutex
	known      outcome
	unanswered map[string]bool // keys of prewrites that got no answer
}

// outcome is what is known of a commit that has failed.
type outcome struct {
	sent     bool // there was a request
	lost     bool // a request that may have committed the transaction got no answer
	conflict bool // a server refused a key that no earlier prewrite can have locked: the transaction can never commit
}

func (w *watcher) outcome() outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// note looks at the answer to a request, which is a prewrite or a commit.
func (w *watcher) note(req *tikvrpc.Request, resp *tikvrpc.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.sent = true
	if req.Type == tikvrpc.CmdCommit {
		w.known.lost = w.known.lost || noAnswer(resp, err)
		return
	}
	prewrite := req.Prewrite()
	if noAnswer(resp, err) {
		w.known.lost = w.known.lost || prewrite.GetTryOnePc() || prewrite.GetUseAsyncCommit()
		if w.unanswered == nil {
			w.unanswered = map[string]bool{}
		}
		for _, m := range prewrite.GetMutations() {
			w.unanswered[string(m.GetKey())] = true
		}
		return
	}
	answer, ok := resp.Resp.(*kvrpcpb.PrewriteResponse)
	if !ok {
		return
	}
	for _, e := range answer.GetErrors() {
		key, refused := w.refused(e)
		w.known.conflict = w.known.conflict || refused && !w.unanswered[string(key)]
	}
}

// noAnswer reports whether a server may have carried out a request without saying so.
// A server that has lost its region answers StaleCommand to a request that it had
// already passed on.
func noAnswer(resp *tikvrpc.Response, err error) bool {
	if err != nil || resp == nil || resp.Resp == nil {
		return true
	}
	region, err := resp.GetRegionError()
	return err != nil || region.GetStaleCommand() != nil
}

// refused reports whether e says that another transaction has come first, as
// the client understands it, and for which key.
func (w *watcher) refused(e *kvrpcpb.KeyError) (key []byte, refused bool) {
	if c := e.GetConflict(); c != nil {
		itself := c.GetConflictTs() == w.startTS && c.GetConflictCommitTs() > w.startTS
		return c.GetKey(), !itself
	}
	if l := e.GetLocked(); l != nil && l.GetLockVersion() > w.startTS {
		return l.GetKey(), true
	}
	return nil, false
}

// watched is a connection whose prewrites and commits are noted.
type watched struct {
	tikv.Client
	by *watcher
}

// SendRequest sends one request, and returns the answer or that there is none.
func (c watched) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	resp, err := c.Client.SendRequest(ctx, addr, req, timeout)
	if req.Type == tikvrpc.CmdPrewrite || req.Type == tikvrpc.CmdCommit {
		c.by.note(req, resp, err)
	}
	return resp, err
}
