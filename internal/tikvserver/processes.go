package tikvserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
)

// startProcesses runs the stand-in's programs in bin.
func startProcesses(ctx context.Context, bin string) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp("", "tito-tikv-")
	if err != nil {
		return nil, err
	}
	ports, err := standin.FreePorts(3)
	if err != nil {
		return nil, err
	}
	layout := standin.Local(dir, ports.Numbers[0], ports.Numbers[1], ports.Numbers[2])
	var logs [2]tail
	pd, _ := layout.Processes(bin, &logs[PD])
	_, tikv := layout.Processes(bin, &logs[TiKV])
	c := &Cluster{
		kind:  Processes,
		what:  "processes of " + bin,
		pd:    []string{layout.PD()},
		nodes: [2]node{&process{pd, &logs[PD]}, &process{tikv, &logs[TiKV]}},
		close: func(context.Context) error {
			return errors.Join(tikv.Kill(), pd.Kill(), os.RemoveAll(dir), ports.Release())
		},
	}
	for n, s := range c.nodes {
		if err := s.start(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start %v: %w", Node(n), err), c.end(ctx))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.begin(ctx)
}

// process is a node that runs as a process.
type process struct {
	program *standin.Process
	log     *tail
}

func (p *process) kill(context.Context) error    { return p.program.Kill() }
func (p *process) start(context.Context) error   { return p.program.Start() }
func (p *process) pause(context.Context) error   { return p.program.Pause() }
func (p *process) unpause(context.Context) error { return p.program.Unpause() }
func (p *process) output(context.Context) string { return p.log.String() }

// tailSize is how many bytes of output are kept for a failing test.
const tailSize = 4096

// tail keeps the last that was written to it, from any goroutine.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = t.buf[max(0, len(t.buf)-tailSize):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
