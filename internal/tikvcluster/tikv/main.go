// Command tikv stands in for a TiKV server in tests and development: unistore,
// TiDB's implementation of TiKV's protocol in Go, with what it lacks mended. It is
// one store without replication, and not for data that anybody needs.
//
// Its flags are some of tikv-server's. See docs/development.md for how it differs
// from TiKV.
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
	"strings"
	"syscall"

	"github.com/pingcap/log"
)

func main() {
	f, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "tikv:", err)
		os.Exit(2)
	}
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "tikv:", err)
		os.Exit(1)
	}
}

// run serves until a signal or an error ends it.
func run(f *flags) error {
	logger, properties, err := log.InitLogger(&log.Config{Level: f.logLevel})
	if err != nil {
		return err
	}
	log.ReplaceGlobals(logger, properties)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	s, err := startUnlessDone(ctx, f)
	if s == nil {
		return err
	}
	fmt.Printf("the tikv stand-in is serving on %s\n", f.advertised())
	select {
	case <-ctx.Done():
		cancel() // a second signal ends the process at once
	case err = <-s.served:
	}
	s.stop()
	return err
}

// startUnlessDone is start, but returns nil at once when ctx ends: PD may be long
// in answering. What has been opened by then stands the end of the process.
func startUnlessDone(ctx context.Context, f *flags) (*server, error) {
	started := make(chan struct{})
	var made *server
	var failed error
	go func() {
		defer close(started)
		made, failed = start(ctx, f)
	}()
	select {
	case <-started:
		return made, failed
	case <-ctx.Done():
		return nil, nil
	}
}

// flags are the command line, with tikv-server's names.
type flags struct {
	pdEndpoints   string
	addr          string
	advertiseAddr string
	dataDir       string
	logLevel      string
}

// parse reads the command line. What it says of usage goes to out.
func parse(args []string, out io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("tikv", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&f.pdEndpoints, "pd-endpoints", "", "addresses of PD, separated by commas (required)")
	set.StringVar(&f.addr, "addr", "127.0.0.1:20160", "address to listen on")
	set.StringVar(&f.advertiseAddr, "advertise-addr", "", "address for clients, if it is another one")
	set.StringVar(&f.dataDir, "data-dir", "", "folder of the data (required)")
	set.StringVar(&f.logLevel, "log-level", "error", "debug, info, warn, error or fatal")
	set.StringVar(&f.logLevel, "L", "error", "short for --log-level")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if err := f.validate(set.Args()); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *flags) validate(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if f.dataDir == "" {
		return errors.New("--data-dir is missing")
	}
	if f.pdEndpoints == "" {
		return errors.New("--pd-endpoints is missing")
	}
	for _, url := range f.endpoints() {
		_, address, _ := strings.Cut(url, "://")
		if err := hostPort(address); err != nil {
			return fmt.Errorf("--pd-endpoints: %w", err)
		}
	}
	if err := hostPort(f.addr); err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if err := hostPort(f.advertised()); err != nil {
		return fmt.Errorf("--advertise-addr: %w", err)
	}
	if host, _, _ := net.SplitHostPort(f.advertised()); net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("--advertise-addr: clients cannot dial %s", f.advertised())
	}
	switch f.logLevel {
	case "debug", "info", "warn", "error", "fatal":
		return nil
	}
	return fmt.Errorf("--log-level: there is no level %q", f.logLevel)
}

// advertised returns the address that clients dial.
func (f *flags) advertised() string {
	if f.advertiseAddr == "" {
		return f.addr
	}
	return f.advertiseAddr
}

func hostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is not host:port", address)
	}
	return nil
}
