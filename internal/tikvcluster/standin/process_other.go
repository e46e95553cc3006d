//go:build !unix

package standin

import (
	"errors"
	"os/exec"
)

// Pause is not possible here.
func (p *Process) Pause() error { return errors.ErrUnsupported }

// Unpause is not possible here.
func (p *Process) Unpause() error { return errors.ErrUnsupported }

func detach(*exec.Cmd) {}
