package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pingcap/badger"
	"github.com/pingcap/badger/options"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/config"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/lockstore"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/pd"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv"
	"github.com/pingcap/tidb/pkg/store/mockstore/unistore/tikv/mvcc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// store is an open database with the engine over it.
type store struct {
	service *service
	engine  *tikv.Server
}

// openStore opens the store under dir and makes PD know it by addr. The caller
// must close it.
func openStore(ctx context.Context, client pd.Client, dir, addr string) (*store, error) {
	physical, logical, err := client.GetTS(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a timestamp from PD: %w", err)
	}
	db, err := openDB(filepath.Join(dir, "kv"))
	if err != nil {
		return nil, err
	}
	bundle := &mvcc.DBBundle{
		DB:        db,
		LockStore: lockstore.NewMemStore(8 << 20),
		// Internal keys are versioned from here on. PD's clock is ahead of all
		// that earlier processes can have reached.
		StateTS: uint64(physical)<<18 + uint64(logical),
	}
	w := newWriter(bundle)
	if err := w.loadLocks(); err != nil {
		return nil, errors.Join(fmt.Errorf("load locks: %w", err), db.Close())
	}
	rs, err := openRegions(ctx, bundle, client, addr)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	conf := config.DefaultConf
	conf.Server.Raft = false
	conf.Server.StoreAddr = addr
	conf.Engine.DBPath = dir
	engine := tikv.NewMVCCStore(&conf, bundle, dir, &tikv.SafePoint{}, w, client)
	engine.DeadlockDetectSvr.ChangeRole(tikv.Leader)
	engine.StartDeadlockDetection(false)
	s := &store{engine: tikv.NewServer(rs, engine, tikv.NewStandAlongInnerServer(bundle))}
	s.service = &service{engine: s.engine, past: history{bundle}}
	return s, nil
}

// close waits for the requests at hand. What was acknowledged is on disk before
// that.
func (s *store) close() { s.engine.Stop() }

// server is a running store.
type server struct {
	pd     pd.Client
	store  *store
	grpc   *grpc.Server
	served chan error // how serving ended
}

// start opens the store and serves it. The caller must stop it.
func start(ctx context.Context, f *flags) (*server, error) {
	client, err := pd.NewClient(f.endpoints(), "")
	if err != nil {
		return nil, fmt.Errorf("reach PD: %w", err)
	}
	st, err := openStore(ctx, client, f.dataDir, f.advertised())
	if err != nil {
		client.Close()
		return nil, err
	}
	// Whoever can connect finds a store that is ready.
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		st.close()
		client.Close()
		return nil, err
	}
	s := &server{pd: client, store: st, served: make(chan error, 1)}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		// client-go pings more often than gRPC allows by default.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	tikvpb.RegisterTikvServer(s.grpc, st.service)
	// client-go asks it whether a store that failed has come back.
	grpc_health_v1.RegisterHealthServer(s.grpc, health.NewServer())
	go func() { s.served <- s.grpc.Serve(listener) }()
	return s, nil
}

// stop ends the server.
func (s *server) stop() {
	s.grpc.Stop()
	s.store.close()
	s.pd.Close()
}

// openDB opens the database, which then syncs each write before it returns.
func openDB(dir string) (*badger.DB, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	opts := badger.DefaultOptions
	opts.Dir, opts.ValueDir = dir, dir
	opts.ManagedTxns = true
	opts.SyncWrites = true
	opts.ValueThreshold = 256
	opts.ValueLogFileSize = 64 << 20 // allocated at once
	opts.ValueLogMaxNumFiles = 3
	opts.MaxMemTableSize = 32 << 20
	opts.NumMemtables = 3
	opts.NumLevelZeroTables = 4
	opts.NumLevelZeroTablesStall = 8
	opts.MaxBlockCacheSize = 0 // tables are mapped into memory
	opts.MaxIndexCacheSize = 0
	opts.TableBuilderOptions.CompressionPerLevel = make([]options.CompressionType, 7)
	// Old versions go when GC has moved the safe point. unistore has a filter
	// besides that, which knows TiDB's keys alone and takes some of others' for
	// rollback records.
	opts.CompactionFilterFactory = nil
	db, err := badger.Open(opts)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return db, nil
}

// endpoints returns the URLs of PD.
func (f *flags) endpoints() []string {
	var urls []string
	for _, e := range strings.Split(f.pdEndpoints, ",") {
		if e = strings.TrimSpace(e); !strings.Contains(e, "://") {
			e = "http://" + e
		}
		urls = append(urls, e)
	}
	return urls
}
