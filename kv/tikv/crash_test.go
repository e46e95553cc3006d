package tikv_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/tikvserver"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/kvtest"
)

// own returns a cluster whose servers the test may kill.
func own(t *testing.T) *tikvtest.Cluster {
	t.Helper()
	c := servers.Own(t)
	needs(t, c, mortal)
	return c
}

// TestTrouble: no acknowledged commit is lost, none is half there, and the
// driver recovers by itself.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		name    string
		o       *tikv.Options
		trouble func(ctx context.Context, s *tikvserver.Cluster, store *kv.Store) error
	}{
		{"TiKV is killed and comes back", nil, restart(tikvserver.TiKV)},
		{"PD is killed and comes back", nil, restart(tikvserver.PD)},
		{"TiKV hangs for a while", impatient, hang(tikvserver.TiKV)},
		{"PD hangs for a while", impatient, hang(tikvserver.PD)},
		{"both are killed and come back", nil, func(ctx context.Context, s *tikvserver.Cluster, _ *kv.Store) error {
			return errors.Join(
				s.Kill(ctx, tikvserver.TiKV), s.Kill(ctx, tikvserver.PD),
				s.Start(ctx, tikvserver.PD), s.Start(ctx, tikvserver.TiKV), s.Ready(ctx))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := own(t)
			store := openPatiently(t, cluster, cluster.Prefix(t), c.o)
			defer func() { require.NoError(t, store.Close()) }()
			kvtest.Disturb(t, store, func(ctx context.Context) error {
				return c.trouble(ctx, cluster.Servers(), store)
			}, nil)
		})
	}
}

func restart(n tikvserver.Node) func(context.Context, *tikvserver.Cluster, *kv.Store) error {
	return func(ctx context.Context, s *tikvserver.Cluster, _ *kv.Store) error {
		return errors.Join(s.Kill(ctx, n), s.Start(ctx, n), s.Ready(ctx))
	}
}

// hangTime is more than clients wait for an answer before they ask whether
// there is still somebody, and more than impatient stores wait.
const hangTime = 8 * time.Second

var impatient = &tikv.Options{Timeout: hangTime / 2} // immutable

// hang stops a server for a while. A read fails meanwhile, for its time is up
// before the server goes on.
func hang(n tikvserver.Node) func(context.Context, *tikvserver.Cluster, *kv.Store) error {
	return func(ctx context.Context, s *tikvserver.Cluster, store *kv.Store) error {
		if err := s.Pause(ctx, n); err != nil {
			return err
		}
		timer := time.NewTimer(hangTime)
		defer timer.Stop()
		read := readOnce(ctx, store)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		err := s.Unpause(ctx, n)
		if !errors.Is(read, kv.ErrUnavailable) {
			err = errors.Join(err, fmt.Errorf("a read without a server ended with: %w", read))
		}
		return err
	}
}

var errRead = errors.New("it has read")

// readOnce returns why a read failed, or errRead.
func readOnce(ctx context.Context, s *kv.Store) error {
	tx, err := s.Begin(ctx, &kv.TxnOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err = tx.Get(ctx, []byte("a")); err == nil || errors.Is(err, kv.ErrNotFound) {
		return errRead
	}
	return err
}

// TestKill: clients that are killed leave no half of a commit, and keep nobody
// from going on.
func TestKill(t *testing.T) {
	c := servers.Cluster(t)
	needs(t, c, processes)
	t.Setenv("TITO_TIKV_PD", strings.Join(c.PD(), ",")) // for the processes that are killed
	prefix := func(dir string) string { return "tikvtest/" + strings.TrimLeft(dir, "/") }
	kvtest.Kill(t, func(dir string, o *kv.Options) (*kv.Store, error) {
		var opts tikv.Options
		if o != nil {
			opts.Options = *o
		}
		t.Cleanup(func() { c.Erase(t, prefix(dir)) })
		return c.OpenAt(context.Background(), prefix(dir), &opts)
	}, nil)
}

// nobody is at a port that is not given to anybody who asks for a free one.
const nobody = "127.0.0.1:1"

// TestWithoutServers: opening ends in time and says why, and leaves nothing
// behind that TestMain would find.
func TestWithoutServers(t *testing.T) {
	_, err := tikv.Open(t.Context(), []string{nobody}, &tikv.Options{Timeout: time.Second})
	require.ErrorIs(t, err, kv.ErrUnavailable)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "of a context that the caller did not give")

	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the reason")
	time.AfterFunc(100*time.Millisecond, func() { cancel(reason) })
	_, err = tikv.Open(ctx, []string{nobody}, &tikv.Options{Timeout: time.Hour})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, reason)

	for _, o := range []tikv.Options{
		{Prefix: "a\x01b"}, {Prefix: strings.Repeat("a", tikv.MaxPrefixSize+1)}, {Timeout: -1},
		{TLS: &tikv.TLS{}}, {TLS: &tikv.TLS{CA: "a", Cert: "b"}}, {TLS: &tikv.TLS{CA: "/does/not/exist"}},
		{Options: kv.Options{TxnLifetime: -1}}, {Options: kv.Options{TxnLifetime: 1000 * time.Hour}},
	} {
		if o.Timeout == 0 {
			o.Timeout = time.Second
		}
		_, err = tikv.Open(t.Context(), []string{nobody}, &o)
		require.ErrorIs(t, err, kv.ErrOptions, "nobody was asked")
	}
	_, err = tikv.Open(t.Context(), nil, nil)
	require.ErrorIs(t, err, kv.ErrOptions)
}

// TestWhyUnreachable: who cannot open a store is told what is wrong with the
// connection.
func TestWhyUnreachable(t *testing.T) {
	other := httptest.NewUnstartedServer(nil)
	other.EnableHTTP2 = true
	other.StartTLS()
	defer other.Close()
	_, port, err := net.SplitHostPort(other.Listener.Addr().String())
	require.NoError(t, err)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, cert, 0o600))

	for _, c := range []struct {
		pd   string
		tls  *tikv.TLS
		want string
	}{
		{nobody, nil, "dial tcp " + nobody},
		{net.JoinHostPort("localhost", port), &tikv.TLS{CA: ca}, "x509: "}, // it has another name
	} {
		err := kv.ErrUnavailable
		for tries := 0; tries == 0 || !strings.Contains(err.Error(), c.want); tries++ {
			require.Less(t, tries, 60, "it does not say why: %v", err) // a slow machine may not get that far
			_, err = tikv.Open(t.Context(), []string{c.pd}, &tikv.Options{Timeout: time.Second, TLS: c.tls})
			require.ErrorIs(t, err, kv.ErrUnavailable)
		}
	}
}
