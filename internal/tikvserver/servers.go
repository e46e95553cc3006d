package tikvserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Environment variables.
const (
	envPD      = "TITO_TIKV_PD"
	envPDImage = "TITO_PD_IMAGE"
	envImage   = "TITO_TIKV_IMAGE"
	envStandin = "TITO_TIKV_STANDIN"
	envRequire = "TITO_REQUIRE_TIKV"
	envLabel   = "TITO_TIKV_LABEL"
)

// Times that are enough for slow machines.
const (
	startTimeout = 3 * time.Minute // from nothing to ready, images pulled
	pullTimeout  = 4 * time.Minute // of all images
	endTimeout   = time.Minute
)

// Servers gives the tests of one process their servers. The zero value is ready,
// and its methods may be called from several goroutines. A package of tests holds
// one, and runs its tests through it:
//
//	var servers tikvserver.Servers
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Tests(m)) }
type Servers struct {
	mu      sync.Mutex
	running bool     // the tests run through Runner.Run
	tried   bool     // shared and reason are valid
	shared  *Cluster // nil: there is none
	reason  error    // why
	none    error    // why none can be started, once that is known
}

// Runner runs the tests of a package. It has the method that goleak wants.
type Runner struct {
	m       *testing.M
	servers *Servers
}

// Tests returns what runs m and then ends the shared cluster.
func (s *Servers) Tests(m *testing.M) *Runner { return &Runner{m, s} }

// Run returns the exit code for os.Exit.
func (r *Runner) Run() int {
	r.servers.mu.Lock()
	r.servers.running = true
	r.servers.mu.Unlock()
	code := r.m.Run()
	if err := r.servers.end(); err != nil {
		fmt.Fprintln(os.Stderr, "tikvserver: end the servers:", err)
		code = max(code, 1)
	}
	return code
}

// Shared returns the cluster that all tests of the process share, which it starts
// at the first call, or nil if there are no servers to be had; it logs which, or
// why not. Tests keep apart by their keys.
func (s *Servers) Shared(tb testing.TB) *Cluster {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		tb.Fatal("tikvserver: run the tests through Servers.Tests in TestMain, or the servers never end")
	}
	if !s.tried {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout+pullTimeout)
		defer cancel()
		s.shared, s.reason = s.find(ctx, tb.Logf)
		s.tried = true
	}
	return given(tb, s.shared, s.reason)
}

// Own starts a cluster for one test, which may kill and pause its servers, and
// removes it when the test ends. It returns nil if no servers can be started; a
// running cluster is never given.
func (s *Servers) Own(tb testing.TB) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout+pullTimeout)
	defer cancel()
	s.mu.Lock()
	c, err := s.startNew(ctx, tb.Logf)
	s.mu.Unlock()
	if c != nil {
		c.own = true
		tb.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
			defer cancel()
			if tb.Failed() {
				tb.Logf("tikvserver: the servers said:\n%s", c.output(ctx))
			}
			if err := c.end(ctx); err != nil {
				tb.Errorf("tikvserver: end the servers: %v", err)
			}
		})
	}
	return given(tb, c, err)
}

// given logs or reports what a search came to.
func given(tb testing.TB, c *Cluster, err error) *Cluster {
	tb.Helper()
	switch {
	case c != nil:
		tb.Logf("tikvserver: using %v", c)
	case !errors.Is(err, errNone):
		tb.Fatalf("tikvserver: %v", err)
	case os.Getenv(envRequire) == "1":
		tb.Fatalf("tikvserver: %s=1, but %v", envRequire, err)
	default:
		tb.Logf("tikvserver: using no servers: %v", err)
	}
	return c
}

func (s *Servers) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	c := s.shared
	s.shared, s.tried = nil, false
	return c.end(ctx)
}

// errNone says that this machine has no servers, which is nobody's fault.
var errNone = errors.New("there are no servers")

// find returns a cluster that runs already, or a new one. An error that is errNone
// says why there is neither.
func (s *Servers) find(ctx context.Context, logf func(string, ...any)) (*Cluster, error) {
	list := os.Getenv(envPD)
	if list == "" {
		return s.startNew(ctx, logf)
	}
	c := &Cluster{kind: External, what: "the cluster at " + list}
	for _, endpoint := range strings.Split(list, ",") {
		c.pd = append(c.pd, strings.TrimSpace(endpoint))
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := c.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s names %s, which does not work: %w", envPD, list, err)
	}
	return c, nil
}

// startNew starts a cluster in containers or as processes. It looks for a way once:
// a registry that does not answer is slow to ask.
func (s *Servers) startNew(ctx context.Context, logf func(string, ...any)) (*Cluster, error) {
	if s.none == nil {
		c, err := startContainers(ctx, logf)
		if !errors.Is(err, errNone) {
			return c, err
		}
		s.none = err
	}
	if bin := os.Getenv(envStandin); bin != "" {
		return startProcesses(ctx, bin)
	}
	return nil, s.none
}
