package standin

import (
	"os/exec"
	"syscall"
)

// detach keeps a terminal's ctrl-C from the program: whoever started it decides
// in which order things end. If that process dies, though, the program does too.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
