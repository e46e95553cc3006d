package tikv

import (
	"context"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	pd "github.com/tikv/pd/client"
)

// steady is a client of PD that asks again where a server is. The library asks PD
// when it has lost a server. If PD does not answer at that moment, because it was
// lost as well, the library does not ask again for 30 s, when the server has long
// been back.
type steady struct {
	pd.Client
	life context.Context //nolint:containedctx // of the client itself; its calls have their own
}

const (
	steadyPause = 200 * time.Millisecond
	steadyTime  = time.Minute
)

// GetStore returns where the server is, or that PD does not know it.
func (c steady) GetStore(ctx context.Context, id uint64) (*metapb.Store, error) {
	limit := time.NewTimer(steadyTime)
	defer limit.Stop()
	pause := time.NewTicker(steadyPause)
	defer pause.Stop()
	for {
		s, err := c.Client.GetStore(ctx, id)
		if err == nil || strings.Contains(err.Error(), "not found") {
			return s, err
		}
		select {
		case <-pause.C:
		case <-limit.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		case <-c.life.Done():
			return nil, err
		}
	}
}
