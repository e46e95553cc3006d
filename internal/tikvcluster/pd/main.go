// Command pd is the placement driver of a TiKV cluster, built from PD's own source
// code, for the stand-in cluster of tests and development. It is always the only
// member of its cluster.
//
// Its flags are some of pd-server's; its go.mod turns on what PD needs of the Go
// runtime. Build it with -tags without_dashboard.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/pingcap/log"
	"github.com/spf13/pflag"
	"github.com/tikv/pd/pkg/schedule/schedulers"
	"github.com/tikv/pd/pkg/utils/logutil"
	"github.com/tikv/pd/server"
	"github.com/tikv/pd/server/api"
	"github.com/tikv/pd/server/apiv2"
	"github.com/tikv/pd/server/config"
	"github.com/tikv/pd/server/join"
)

func main() {
	cfg, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "pd:", err)
		os.Exit(2)
	}
	if err := run(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "pd:", err)
		os.Exit(1)
	}
}

// run serves until a signal ends it.
func run(cfg *config.Config) error {
	schedulers.Register()
	if err := cfg.Adjust(nil, false); err != nil {
		return err
	}
	if err := logutil.SetupLogger(cfg.Log, &cfg.Logger, &cfg.LogProps, cfg.Security.RedactInfoLog); err != nil {
		return err
	}
	log.ReplaceGlobals(cfg.Logger, cfg.LogProps)
	if err := join.PrepareJoinCluster(cfg); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	pd, err := server.CreateServer(ctx, cfg, nil, api.NewHandler, apiv2.NewV2Handler)
	if err != nil {
		return err
	}
	defer pd.Close()
	if err := pd.Run(); err != nil {
		return err
	}
	fmt.Printf("pd is serving on %s\n", cfg.AdvertiseClientUrls)
	<-ctx.Done()
	cancel() // a second signal ends the process at once
	return nil
}

// parse reads the command line. What it says of usage goes to out.
func parse(args []string, out io.Writer) (*config.Config, error) {
	cfg := config.NewConfig()
	set := pflag.NewFlagSet("pd", pflag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&cfg.Name, "name", "pd", "name of this member")
	set.StringVar(&cfg.DataDir, "data-dir", "", "folder of the data (required)")
	set.StringVar(&cfg.ClientUrls, "client-urls", "http://127.0.0.1:2379", "URLs to listen on for clients")
	set.StringVar(&cfg.AdvertiseClientUrls, "advertise-client-urls", "", "URLs for clients, if they are others")
	set.StringVar(&cfg.PeerUrls, "peer-urls", "http://127.0.0.1:2380", "URLs to listen on for other members")
	set.StringVar(&cfg.AdvertisePeerUrls, "advertise-peer-urls", "", "URLs for other members, if they are others")
	set.StringVarP(&cfg.Log.Level, "log-level", "L", "error", "debug, info, warn, error or fatal")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if err := validate(cfg, set.Args()); err != nil {
		return nil, err
	}
	return cfg, nil
}

func validate(cfg *config.Config, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if cfg.DataDir == "" {
		return errors.New("--data-dir is missing")
	}
	for _, flag := range []struct {
		name, value string
		optional    bool
	}{
		{"client-urls", cfg.ClientUrls, false},
		{"advertise-client-urls", cfg.AdvertiseClientUrls, true},
		{"peer-urls", cfg.PeerUrls, false},
		{"advertise-peer-urls", cfg.AdvertisePeerUrls, true},
	} {
		if flag.optional && flag.value == "" {
			continue
		}
		if err := urls(flag.value); err != nil {
			return fmt.Errorf("--%s: %w", flag.name, err)
		}
	}
	if levels := []string{"debug", "info", "warn", "error", "fatal"}; !slices.Contains(levels, cfg.Log.Level) {
		return fmt.Errorf("--log-level: there is no level %q", cfg.Log.Level)
	}
	return nil
}

// urls checks a list of URLs that is separated by commas.
func urls(list string) error {
	for _, one := range strings.Split(list, ",") {
		u, err := url.Parse(one)
		if err != nil || u.Scheme != "http" {
			return fmt.Errorf("%q is not http://host:port", one)
		}
		if host, port, err := net.SplitHostPort(u.Host); err != nil || host == "" || port == "" || u.Path != "" {
			return fmt.Errorf("%q is not http://host:port", one)
		}
	}
	return nil
}
