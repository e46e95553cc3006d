package tikv

import (
	"context"
	"sync"

	"google.golang.org/grpc"
)

// dialed keeps the connections of a client of PD until that has been made: one
// that fails to be leaves those open that it has opened.
type dialed struct {
	mu    sync.Mutex
	conns map[*grpc.ClientConn]struct{} // nil once they are somebody else's to close
}

// note is an interceptor that sees each connection with its first call.
func (d *dialed) note(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	d.mu.Lock()
	if d.conns != nil {
		d.conns[cc] = struct{}{}
	}
	d.mu.Unlock()
	return invoker(ctx, method, req, reply, cc, opts...)
}

// settle forgets the connections, and closes them if the client has failed.
func (d *dialed) settle(failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for cc := range d.conns {
		if failed {
			_ = cc.Close() // there is nothing to be done about it
		}
	}
	d.conns = nil
}
