package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// Process is a program that can end and be started again. Its methods may be
// called from several goroutines.
type Process struct {
	path string
	args []string
	out  io.Writer

	mu   sync.Mutex
	cmd  *exec.Cmd     // of the last start
	over chan struct{} // closed when it has ended
	err  error         // how; valid once over is closed
}

// NewProcess describes a program; Start starts it. Both its outputs go to out,
// which must be safe for concurrent use if it is shared, and may be nil.
func NewProcess(out io.Writer, path string, args ...string) *Process {
	over := make(chan struct{})
	close(over)
	return &Process{path: path, args: args, out: out, over: over}
}

// Start runs the program. It returns before the program does anything.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.over:
	default:
		return errors.New("standin: it is running already")
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	detach(cmd)
	started, over := make(chan error), make(chan struct{})
	go func() {
		// Linux ties the program's life to the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
		close(over)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.over = cmd, over
	return nil
}

// Over is closed once the program, as last started, has ended.
func (p *Process) Over() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// Err tells how the program ended, nil if with success or if it is still running.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.over:
		return p.err
	default:
		return nil
	}
}

// Stop asks the program to end and waits until it has. It is killed if ctx ends
// before that.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.Over():
		return p.Err()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("it did not end by itself: %w", ctx.Err()), p.Kill())
	}
}

// Kill ends the program at once, as kill -9 does, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.signal(os.Kill); err != nil {
		return err
	}
	<-p.Over()
	return nil
}

// signal does nothing to a program that has ended.
func (p *Process) signal(s os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.over:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
