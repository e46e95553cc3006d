//go:build unix

package standin

import "syscall"

// Pause freezes the program, Unpause thaws it.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Unpause lets a paused program go on.
func (p *Process) Unpause() error { return p.signal(syscall.SIGCONT) }
