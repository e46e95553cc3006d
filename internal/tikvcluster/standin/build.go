package standin

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names of the programs in the folder that Build fills.
const (
	PDProgram   = "pd"
	TiKVProgram = "tikv"
)

// Build compiles both programs into dir, as static binaries. It needs the go
// command and the source code of this module; out hears what the command says.
func Build(ctx context.Context, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := sources(ctx)
	if err != nil {
		return err
	}
	for _, program := range []struct{ name, tags string }{
		{PDProgram, "without_dashboard"}, // which is a program of its own
		{TiKVProgram, ""},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-tags", program.tags, "-o", filepath.Join(dir, program.name), ".")
		cmd.Dir = filepath.Join(root, "internal", "tikvcluster", program.name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build the stand-in for %s: %w", program.name, err)
		}
	}
	return nil
}

// sources returns the root folder of this module.
func sources(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tito-db/tito-go").Output()
	if err != nil {
		return "", fmt.Errorf("find the source code: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
