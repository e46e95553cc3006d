package engine

import (
	"context"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/tikvrpc"
)

// watcher looks at what becomes of the prewrites of one transaction. The client
// does not tell enough: where a region has been split, or where several were
// written and one refused, it reports a plain conflict as an outcome that it
// does not know.
type watcher struct {
	startTS uint64

	mu       sync.Mutex
	sent     bool            // there were prewrites
	lost     map[string]bool // keys of prewrites of which no answer came
	conflict bool            // see outcome
}

// outcome tells whether anything was sent, and whether a key was refused of
// which no earlier prewrite can have been carried out. A transaction that lacks
// a key can never commit.
func (w *watcher) outcome() (sent, conflict bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent, w.conflict
}

func (w *watcher) note(req *kvrpcpb.PrewriteRequest, resp *tikvrpc.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	if err != nil {
		if w.lost == nil {
			w.lost = map[string]bool{}
		}
		for _, m := range req.GetMutations() {
			w.lost[string(m.GetKey())] = true
		}
		return
	}
	answer, ok := resp.Resp.(*kvrpcpb.PrewriteResponse)
	if !ok {
		return
	}
	for _, e := range answer.GetErrors() {
		key, refused := w.refused(e)
		w.conflict = w.conflict || refused && !w.lost[string(key)]
	}
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

// watched is a connection whose prewrites are noted.
type watched struct {
	tikv.Client
	by *watcher
}

// SendRequest sends one request, and returns the answer or that there is none.
func (c watched) SendRequest(ctx context.Context, addr string, req *tikvrpc.Request, timeout time.Duration) (*tikvrpc.Response, error) {
	resp, err := c.Client.SendRequest(ctx, addr, req, timeout)
	if req.Type == tikvrpc.CmdPrewrite {
		c.by.note(req.Prewrite(), resp, err)
	}
	return resp, err
}
