package main

import (
	"context"
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stream is a client's, who sends one request and then waits for the answer.
type stream struct {
	grpc.ServerStream
	ctx      context.Context
	requests chan *tikvpb.BatchCommandsRequest
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*tikvpb.BatchCommandsRequest, error) {
	select {
	case req := <-s.requests:
		return req, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *stream) Send(*tikvpb.BatchCommandsResponse) error { return nil }

// TestStreamEndsWithAFailedCommand: the client does not wait for an answer that
// never comes.
func TestStreamEndsWithAFailedCommand(t *testing.T) {
	s := &stream{ctx: t.Context(), requests: make(chan *tikvpb.BatchCommandsRequest, 1)}
	s.requests <- &tikvpb.BatchCommandsRequest{
		RequestIds: []uint64{1},
		Requests: []*tikvpb.BatchCommandsRequest_Request{
			{Cmd: &tikvpb.BatchCommandsRequest_Request_RawGet{RawGet: &kvrpcpb.RawGetRequest{}}},
		},
	}
	err := openNew(t).BatchCommands(s)
	require.Equal(t, codes.Unimplemented, status.Code(err))
}
