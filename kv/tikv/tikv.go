package tikv

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/internal/clientlog"
	"github.com/tito-db/tito-go/kv/tikv/internal/clienttls"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
)

// Open opens the store at o.Prefix in the cluster whose PD servers, at least
// one of them, are at pd ("host:port"), and makes it if need be. Errors wrap
// kv.ErrOptions if o is out of range or contradicts the store; kv.ErrCorrupt if
// there is something else at o.Prefix; kv.ErrNewerFormat if a newer version of
// this package made the store; kv.ErrUnavailable if the cluster does not answer
// within o.Timeout; or the error of ctx, which bounds nothing but the opening.
//
// The store's As knows *tikv.KVStore, the client of package
// github.com/tikv/client-go/v2/tikv. Closing it breaks the store.
func Open(ctx context.Context, pd []string, o *Options) (*kv.Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := open(ctx, pd, &opts)
	if err != nil {
		return nil, fmt.Errorf("kv: open TiKV store: %w", err)
	}
	return kv.NewStore(d, &opts.Options)
}

func open(ctx context.Context, pd []string, o *Options) (*engine.Driver, error) {
	if len(pd) == 0 {
		return nil, fmt.Errorf("%w: no PD server is named", kv.ErrOptions)
	}
	var files clienttls.Files
	if o.TLS != nil {
		files = clienttls.Files(*o.TLS)
	}
	release, err := clienttls.Claim(files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := engine.Bounded(ctx, o.Timeout) // in all
	defer cancel()
	quiet := clientlog.Listen(o.Logger)
	c, err := connect(ctx, pd, o)
	if err != nil {
		quiet()
		release()
		return nil, err
	}
	return engine.Open(ctx, c.store, engine.Options{
		Prefix:      []byte(o.Prefix),
		TxnLifetime: o.TxnLifetime,
		MaxTxnSize:  o.MaxTxnSize,
		Timeout:     o.Timeout,
		Logger:      o.Logger,
		Closed: func() {
			c.end()
			quiet()
			release()
		},
	})
}
