package tikv

import (
	"context"
	"net"
	"testing"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/config"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

// slowPD is a PD server that answers one call of n, and then ends the context.
type slowPD struct {
	pdpb.UnimplementedPDServer
	url     string
	answers int
	end     context.CancelFunc
}

func (p *slowPD) GetMembers(ctx context.Context, _ *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	if p.answers == 0 {
		p.end()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.answers--
	me := &pdpb.Member{Name: "slow", MemberId: 1, ClientUrls: []string{p.url}}
	return &pdpb.GetMembersResponse{Header: &pdpb.ResponseHeader{ClusterId: 1}, Members: []*pdpb.Member{me}, Leader: me}, nil
}

// TestGivenUp: a client whose context ends while it connects leaves nothing behind.
func TestGivenUp(t *testing.T) {
	for answers := range 3 {
		before := goleak.IgnoreCurrent()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		server := grpc.NewServer()
		pdpb.RegisterPDServer(server, &slowPD{url: "http://" + listener.Addr().String(), answers: answers, end: cancel})
		served := make(chan error)
		go func() { served <- server.Serve(listener) }()

		_, err = newClient(ctx, []string{listener.Addr().String()}, config.Security{}, nil)
		require.Error(t, err)
		server.Stop()
		require.NoError(t, <-served)
		cancel()
		goleak.VerifyNone(t, before)
	}
}
