package main

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// BatchCommands serves a stream of commands, each as the call of the same name.
// client-go sends almost everything this way. unistore's own version knows the
// engine alone and no CheckSecondaryLocks, without which a client cannot finish
// what another one left behind.
func (s *service) BatchCommands(stream tikvpb.Tikv_BatchCommandsServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	var (
		commands sync.WaitGroup
		sending  sync.Mutex
		failed   = make(chan error, 1)
	)
	defer commands.Wait() // Send must not be called after the return
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
		cancel()
	}
	received, over := receive(ctx, stream)
	for {
		var req *tikvpb.BatchCommandsRequest
		select {
		case err := <-failed: // the client has to learn that no answer comes
			return err
		case err := <-over:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case req = <-received:
		}
		for i, command := range req.GetRequests() {
			id := req.GetRequestIds()[i]
			commands.Go(func() {
				resp, err := s.command(ctx, command)
				if err != nil {
					fail(err)
					return
				}
				sending.Lock()
				defer sending.Unlock()
				err = stream.Send(&tikvpb.BatchCommandsResponse{
					RequestIds: []uint64{id},
					Responses:  []*tikvpb.BatchCommandsResponse_Response{resp},
				})
				if err != nil {
					fail(err)
				}
			})
		}
	}
}

// receive passes on what comes in a stream until ctx ends, and why nothing more
// comes. What it has started ends with the stream.
func receive(ctx context.Context, stream tikvpb.Tikv_BatchCommandsServer) (received chan *tikvpb.BatchCommandsRequest, over chan error) {
	received, over = make(chan *tikvpb.BatchCommandsRequest), make(chan error, 1)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				over <- err
				return
			}
			select {
			case received <- req:
			case <-ctx.Done():
				return
			}
		}
	}()
	return received, over
}

// command carries out one command of a stream.
func (s *service) command(ctx context.Context, req *tikvpb.BatchCommandsRequest_Request) (*tikvpb.BatchCommandsResponse_Response, error) {
	resp := &tikvpb.BatchCommandsResponse_Response{}
	var err error
	switch c := req.GetCmd().(type) {
	case *tikvpb.BatchCommandsRequest_Request_Get:
		out := &tikvpb.BatchCommandsResponse_Response_Get{}
		out.Get, err = s.KvGet(ctx, c.Get)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_BatchGet:
		out := &tikvpb.BatchCommandsResponse_Response_BatchGet{}
		out.BatchGet, err = s.KvBatchGet(ctx, c.BatchGet)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_Scan:
		out := &tikvpb.BatchCommandsResponse_Response_Scan{}
		out.Scan, err = s.KvScan(ctx, c.Scan)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_Prewrite:
		out := &tikvpb.BatchCommandsResponse_Response_Prewrite{}
		out.Prewrite, err = s.KvPrewrite(ctx, c.Prewrite)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_Commit:
		out := &tikvpb.BatchCommandsResponse_Response_Commit{}
		out.Commit, err = s.KvCommit(ctx, c.Commit)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_Cleanup:
		out := &tikvpb.BatchCommandsResponse_Response_Cleanup{}
		out.Cleanup, err = s.KvCleanup(ctx, c.Cleanup)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_BatchRollback:
		out := &tikvpb.BatchCommandsResponse_Response_BatchRollback{}
		out.BatchRollback, err = s.KvBatchRollback(ctx, c.BatchRollback)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_PessimisticLock:
		out := &tikvpb.BatchCommandsResponse_Response_PessimisticLock{}
		out.PessimisticLock, err = s.KvPessimisticLock(ctx, c.PessimisticLock)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_PessimisticRollback:
		out := &tikvpb.BatchCommandsResponse_Response_PessimisticRollback{}
		out.PessimisticRollback, err = s.KVPessimisticRollback(ctx, c.PessimisticRollback)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_TxnHeartBeat:
		out := &tikvpb.BatchCommandsResponse_Response_TxnHeartBeat{}
		out.TxnHeartBeat, err = s.KvTxnHeartBeat(ctx, c.TxnHeartBeat)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_CheckTxnStatus:
		out := &tikvpb.BatchCommandsResponse_Response_CheckTxnStatus{}
		out.CheckTxnStatus, err = s.KvCheckTxnStatus(ctx, c.CheckTxnStatus)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_CheckSecondaryLocks:
		out := &tikvpb.BatchCommandsResponse_Response_CheckSecondaryLocks{}
		out.CheckSecondaryLocks, err = s.KvCheckSecondaryLocks(ctx, c.CheckSecondaryLocks)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_ScanLock:
		out := &tikvpb.BatchCommandsResponse_Response_ScanLock{}
		out.ScanLock, err = s.KvScanLock(ctx, c.ScanLock)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_ResolveLock:
		out := &tikvpb.BatchCommandsResponse_Response_ResolveLock{}
		out.ResolveLock, err = s.KvResolveLock(ctx, c.ResolveLock)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_GC:
		out := &tikvpb.BatchCommandsResponse_Response_GC{}
		out.GC, err = s.KvGC(ctx, c.GC)
		resp.Cmd = out
	case *tikvpb.BatchCommandsRequest_Request_Empty:
		resp.Cmd = &tikvpb.BatchCommandsResponse_Response_Empty{
			Empty: &tikvpb.BatchCommandsEmptyResponse{TestId: c.Empty.GetTestId()},
		}
	default:
		err = status.Errorf(codes.Unimplemented, "tikv: %T is not part of the stand-in", c)
	}
	return resp, err
}
