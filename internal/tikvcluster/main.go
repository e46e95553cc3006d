// Command tikvcluster runs the stand-in for a TiKV cluster on loopback, for
// development without Docker:
//
//	go run ./internal/tikvcluster
//
// It builds both servers, which takes minutes the first time, starts them and
// prints where PD is. The data is still there the next time. Ctrl-C stops it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tikvcluster:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, which is no error, or until a server does.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	home := filepath.Join(cache, "tito-tikvcluster")

	set := flag.NewFlagSet("tikvcluster", flag.ContinueOnError)
	set.SetOutput(log)
	data := set.String("data-dir", filepath.Join(home, "data"), "folder of the data")
	bin := set.String("bin-dir", filepath.Join(home, "bin"), "folder of the built servers")
	build := set.Bool("build", true, "build the servers first")
	pdPort := set.Int("pd-port", 2379, "port of PD for clients")
	peerPort := set.Int("peer-port", 2380, "port of PD for other members, of which there are none")
	tikvPort := set.Int("tikv-port", 20160, "port of TiKV")
	level := set.String("log-level", "error", "of both servers: debug, info, warn, error or fatal")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if *build {
		fmt.Fprintln(log, "building the servers")
		if err := standin.Build(ctx, *bin, log); err != nil {
			return err
		}
	}
	layout := standin.Local(*data, *pdPort, *peerPort, *tikvPort)
	layout.Level = *level
	pd, tikv := layout.Processes(*bin, log)
	// TiKV ends first: it still has things to tell PD.
	defer func() { err = errors.Join(err, stop("tikv", tikv), stop("pd", pd)) }()

	for _, dir := range []string{layout.PDData, layout.TiKVData} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := pd.Start(); err != nil {
		return err
	}
	if err := tikv.Start(); err != nil {
		return err
	}
	if err := serving(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(*tikvPort)), pd, tikv); err != nil {
		return ended(ctx, err)
	}
	fmt.Fprintf(out, "PD is at %s\n", layout.PD())
	fmt.Fprintf(log, "data is under %s; ctrl-C stops the servers\n", *data)
	select {
	case <-ctx.Done():
		return nil
	case <-pd.Over():
		return fmt.Errorf("pd has ended: %w", reason(pd))
	case <-tikv.Over():
		return fmt.Errorf("tikv has ended: %w", reason(tikv))
	}
}

// serving waits until something answers at the address of TiKV, which it does
// once it has joined PD.
func serving(ctx context.Context, address string, pd, tikv *standin.Process) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	dialer := net.Dialer{Timeout: time.Second}
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pd.Over():
			return fmt.Errorf("pd has ended: %w", reason(pd))
		case <-tikv.Over():
			return fmt.Errorf("tikv has ended: %w", reason(tikv))
		case <-ticker.C:
		}
	}
}

// ended makes no error of being told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func reason(p *standin.Process) error {
	if err := p.Err(); err != nil {
		return err
	}
	return errors.New("by itself, without an error")
}

// stop ends a server that is still running.
func stop(name string, p *standin.Process) error {
	select {
	case <-p.Over():
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}
