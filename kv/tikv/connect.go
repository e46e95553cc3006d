package tikv

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/util"
	pd "github.com/tikv/pd/client"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/internal/clientlog"
	"github.com/tito-db/tito-go/kv/tikv/internal/clienttls"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
)

// connection is a client.
type connection struct {
	store *tikv.KVStore
	end   context.CancelFunc // ends the work that the connections do by themselves
}

// Settings of connections.
const (
	dialTimeout      = 5 * time.Second
	dialPause        = 100 * time.Millisecond // between tries to reach PD
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
	pdCallTimeout    = 3 * time.Second
)

// connect makes a client. What the client consists of lives as long as a context,
// which connect ends if ctx ends before the client is complete: the library has no
// other way to stop these parts.
func connect(ctx context.Context, addrs []string, o *Options) (*connection, error) {
	security := config.Security{}
	if o.TLS != nil {
		security = config.NewSecurity(o.TLS.CA, o.TLS.Cert, o.TLS.Key, nil)
	}
	tlsConfig, err := security.ToTLSConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: TLS: %w", kv.ErrOptions, err)
	}

	life, end := context.WithCancel(context.WithoutCancel(ctx))
	opened := context.AfterFunc(ctx, end)
	giveUp := func() {
		opened() // or a ctx that outlives this call would keep end
		end()
	}
	points, err := newSafePoints(life, addrs, tlsConfig)
	if err != nil {
		giveUp()
		return nil, engine.CallError(ctx, err)
	}
	// A client of PD that finds no server does not clean up what it has begun. So
	// connect makes sure first that a server answers.
	if err := points.wait(ctx); err != nil {
		giveUp()
		_ = points.Close()
		return nil, points.unreachable(ctx, err)
	}
	store, err := newClient(life, addrs, security, points)
	if err == nil && !opened() { // ctx has ended meanwhile
		end()
		_ = store.Close()
		return nil, engine.CallError(ctx, ctx.Err())
	}
	if err != nil {
		giveUp()
		_ = points.Close()
		return nil, engine.CallError(ctx, err)
	}
	clienttls.Apply(security)
	return &connection{store: store, end: end}, nil
}

// newClient connects to PD and makes the client. On failure points is left open.
func newClient(ctx context.Context, addrs []string, security config.Security, points *safePoints) (*tikv.KVStore, error) {
	conns := &dialed{conns: map[*grpc.ClientConn]struct{}{}}
	pdClient, err := pd.NewClientWithContext(ctx, addrs,
		pd.SecurityOption{CAPath: security.ClusterSSLCA, CertPath: security.ClusterSSLCert, KeyPath: security.ClusterSSLKey},
		pd.WithGRPCDialOptions(
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAliveTime, Timeout: keepAliveTimeout}),
			grpc.WithChainUnaryInterceptor(conns.note)),
		pd.WithCustomTimeoutOption(pdCallTimeout))
	conns.settle(err != nil)
	if err != nil {
		return nil, err
	}
	codec := tikv.NewCodecPDClient(tikv.ModeTxn, steady{util.InterceptedPDClient{Client: pdClient}, ctx})
	servers := tikv.NewRPCClient(tikv.WithSecurity(security), tikv.WithCodec(codec.GetCodec()))
	store, err := tikv.NewKVStore(fmt.Sprintf("tito-%d", pdClient.GetClusterID(ctx)), codec, points, servers)
	if err != nil {
		_ = servers.Close() // no connection has been made yet
		pdClient.Close()
		return nil, err
	}
	return store, nil
}

// safePoints is where the client learns what has been garbage collected: a key
// in PD. It replaces the library's own implementation, which cannot be kept from
// logging.
type safePoints struct {
	etcd    *clientv3.Client
	trouble atomic.Pointer[string] // why a server could not be reached last
}

func newSafePoints(ctx context.Context, addrs []string, tlsConfig *tls.Config) (*safePoints, error) {
	p := &safePoints{}
	etcd, err := clientv3.New(clientv3.Config{
		Context:              ctx,
		Endpoints:            addrs,
		AutoSyncInterval:     30 * time.Second,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		TLS:                  tlsConfig,
		Logger:               clientlog.Zap(),
		DialOptions:          []grpc.DialOption{grpc.WithChainUnaryInterceptor(p.note)},
	})
	if err != nil {
		return nil, err
	}
	p.etcd = etcd
	return p, nil
}

// note remembers why a server could not be reached. The client waits for a
// connection until its time is over, and its error then names only the timeout.
func (p *safePoints) note(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoker(ctx, method, req, reply, cc, opts...)
	why := status.Convert(err).Message()
	if err != nil && !strings.HasPrefix(why, context.DeadlineExceeded.Error()) && !strings.HasPrefix(why, context.Canceled.Error()) {
		p.trouble.Store(&why)
	}
	return err
}

// unreachable makes err, which wait returned, an error for the caller. The reason
// that it adds holds addresses and names of certificates, and no keys.
func (p *safePoints) unreachable(ctx context.Context, err error) error {
	err = engine.CallError(ctx, err)
	if why := p.trouble.Load(); why != nil {
		return fmt.Errorf("%w: %s", err, *why)
	}
	return err
}

// wait returns when a PD server answers.
func (p *safePoints) wait(ctx context.Context) error {
	pause := time.NewTicker(dialPause)
	defer pause.Stop()
	for {
		_, err := p.get(ctx, tikv.GcSavedSafePoint)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-pause.C:
		}
	}
}

func (p *safePoints) get(ctx context.Context, k string, o ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pdCallTimeout)
	defer cancel()
	return p.etcd.Get(ctx, k, o...)
}

// Put sets k.
func (p *safePoints) Put(k, v string) error {
	ctx, cancel := context.WithTimeout(p.etcd.Ctx(), pdCallTimeout)
	defer cancel()
	_, err := p.etcd.Put(ctx, k, v)
	return err
}

// Raise sets k to v unless it is higher, and returns what it is then.
func (p *safePoints) Raise(k string, v uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(p.etcd.Ctx(), pdCallTimeout)
	defer cancel()
	for {
		r, err := p.get(ctx, k)
		if err != nil {
			return 0, err
		}
		var revision int64
		if len(r.Kvs) > 0 {
			revision = r.Kvs[0].ModRevision
			if old, err := strconv.ParseUint(string(r.Kvs[0].Value), 10, 64); err == nil && old >= v {
				return old, nil
			}
		}
		done, err := p.etcd.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(k), "=", revision)).
			Then(clientv3.OpPut(k, strconv.FormatUint(v, 10))).
			Commit()
		if err != nil || done.Succeeded {
			return v, err
		}
	}
}

// Get returns the value of k, empty if it has none.
func (p *safePoints) Get(k string) (string, error) {
	r, err := p.get(p.etcd.Ctx(), k)
	if err != nil || len(r.Kvs) == 0 {
		return "", err
	}
	return string(r.Kvs[0].Value), nil
}

// GetWithPrefix returns all that begins with k.
func (p *safePoints) GetWithPrefix(k string) ([]*mvccpb.KeyValue, error) {
	r, err := p.get(p.etcd.Ctx(), k, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	return r.Kvs, nil
}

// Close ends the connection.
func (p *safePoints) Close() error { return p.etcd.Close() }
