//go:build unix

package standin

import (
	"os/exec"
	"syscall"
)

// Pause freezes the program, Unpause thaws it.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Unpause lets a paused program go on.
func (p *Process) Unpause() error { return p.signal(syscall.SIGCONT) }

// detach keeps a terminal's ctrl-C from the program: whoever started it decides
// in which order things end.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
