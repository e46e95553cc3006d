//go:build unix && !linux

package standin

import (
	"os/exec"
	"syscall"
)

// detach keeps a terminal's ctrl-C from the program: whoever started it decides
// in which order things end.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
