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

// server is a running store.
type server struct {
	engine *tikv.Server
	pd     pd.Client
	grpc   *grpc.Server
	served chan error // how serving ended
}

// start opens the store under dir, makes it known to PD and serves it. The caller
// must stop it.
func start(ctx context.Context, f *flags) (*server, error) {
	client, err := pd.NewClient(f.endpoints(), "")
	if err != nil {
		return nil, fmt.Errorf("reach PD: %w", err)
	}
	s := &server{pd: client, served: make(chan error, 1)}
	if err := s.start(ctx, f); err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

func (s *server) start(ctx context.Context, f *flags) error {
	physical, logical, err := s.pd.GetTS(ctx)
	if err != nil {
		return fmt.Errorf("get a timestamp from PD: %w", err)
	}
	db, err := openDB(filepath.Join(f.dataDir, "kv"))
	if err != nil {
		return err
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
		return errors.Join(fmt.Errorf("load locks: %w", err), db.Close())
	}
	rs, err := openRegions(ctx, bundle, s.pd, f.advertised())
	if err != nil {
		return errors.Join(err, db.Close())
	}
	// Whoever can connect finds a store that is ready.
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		return errors.Join(err, rs.Close(), db.Close())
	}
	conf := config.DefaultConf
	conf.Server.Raft = false
	conf.Server.StoreAddr = f.advertised()
	conf.Engine.DBPath = f.dataDir
	store := tikv.NewMVCCStore(&conf, bundle, f.dataDir, &tikv.SafePoint{}, w, s.pd)
	store.DeadlockDetectSvr.ChangeRole(tikv.Leader)
	store.StartDeadlockDetection(false)
	s.engine = tikv.NewServer(rs, store, tikv.NewStandAlongInnerServer(bundle))

	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		// client-go pings more often than gRPC allows by default.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	tikvpb.RegisterTikvServer(s.grpc, &door{engine: s.engine, past: history{bundle}})
	// client-go asks it whether a store that failed has come back.
	grpc_health_v1.RegisterHealthServer(s.grpc, health.NewServer())
	go func() { s.served <- s.grpc.Serve(listener) }()
	return nil
}

// stop ends the server, with all that it has acknowledged on disk.
func (s *server) stop() {
	s.grpc.Stop()
	s.engine.Stop()
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
