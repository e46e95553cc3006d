package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

// TestTLS: a store of kv/tikv works where every server demands certificates, also
// after TiKV was lost and came back, and does not open with wrong ones. The servers
// themselves know no TLS: what clients are told to connect to takes it from them.
func TestTLS(t *testing.T) {
	bin, dir, ctx := programs(t), t.TempDir(), t.Context()
	at := func(name string) string { return filepath.Join(dir, name) }
	authority, stranger := newAuthority(t), newAuthority(t)
	authority.save(t, at("ca.pem"))
	stranger.save(t, at("stranger.pem"))
	authority.issue(t, at("client.pem"), at("client.key"))
	certificate := authority.issue(t, at("server.pem"), at("server.key"))
	demanding := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    authority.pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		NextProtos:   []string{"h2"},
		MinVersion:   tls.VersionTLS12,
	}

	ports, err := standin.FreePorts(3)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ports.Release()) })
	layout := standin.Local(dir, ports.Numbers[0], ports.Numbers[1], ports.Numbers[2])
	pdArgs, tikvArgs := layout.PDArgs(), layout.TiKVArgs()
	pdProxy := newProxy(t, listens(t, pdArgs, "--client-urls=http://"), demanding)
	tikvProxy := newProxy(t, listens(t, tikvArgs, "--addr="), demanding)
	advertise(t, pdArgs, "--advertise-client-urls=http://", pdProxy.address)
	advertise(t, tikvArgs, "--advertise-addr=", tikvProxy.address)
	log, err := os.Create(at("log")) // both servers write to it
	require.NoError(t, err)
	defer log.Close()
	pdServer := standin.NewProcess(log, filepath.Join(bin, standin.PDProgram), pdArgs...)
	require.NoError(t, pdServer.Start())
	defer func() { require.NoError(t, pdServer.Kill()) }()
	tikvServer := standin.NewProcess(log, filepath.Join(bin, standin.TiKVProgram), tikvArgs...)
	require.NoError(t, tikvServer.Start())
	defer func() { require.NoError(t, tikvServer.Kill()) }()

	servers := []string{pdProxy.address}
	key := []byte("key")
	read := func(s *kv.Store) error {
		return s.View(ctx, func(tx *kv.Txn) error {
			_, err := tx.Get(ctx, key)
			return err
		})
	}
	s, err := tikv.Open(ctx, servers, &tikv.Options{
		TLS:     &tikv.TLS{CA: at("ca.pem"), Cert: at("client.pem"), Key: at("client.key")},
		Timeout: 5 * time.Minute, // the servers are starting
	})
	require.NoError(t, err)
	require.NoError(t, s.Update(ctx, func(tx *kv.Txn) error { return tx.Set(key, []byte("value")) }))
	require.NoError(t, tikvServer.Kill())
	require.NoError(t, tikvServer.Start())
	require.NoError(t, read(s))
	require.NoError(t, s.Close())
	require.Positive(t, pdProxy.protected.Load())
	require.Positive(t, tikvProxy.protected.Load())
	require.Zero(t, tikvProxy.clear.Load(), "connections to TiKV without TLS")

	for name, c := range map[string]struct {
		tls *tikv.TLS
		why string
	}{
		"another authority": {&tikv.TLS{CA: at("stranger.pem"), Cert: at("client.pem"), Key: at("client.key")}, "unknown authority"},
		"no certificate":    {&tikv.TLS{CA: at("ca.pem")}, "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			for tries := 0; tries == 0 || !strings.Contains(err.Error(), c.why); tries++ {
				require.Less(t, tries, 20, "it does not say why: %v", err) // a machine may be too slow at first
				_, err = tikv.Open(ctx, servers, &tikv.Options{TLS: c.tls, Timeout: 3 * time.Second})
				require.ErrorIs(t, err, kv.ErrUnavailable)
			}
		})
	}
}

// authority issues certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{key, cert}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) save(t *testing.T, file string) {
	t.Helper()
	savePEM(t, file, "CERTIFICATE", a.cert.Raw)
}

// issue makes a certificate for loopback, for servers and clients.
func (a *authority) issue(t *testing.T, certFile, keyFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "loopback"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	savePEM(t, certFile, "CERTIFICATE", der)
	savePEM(t, keyFile, "EC PRIVATE KEY", private)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	return pair
}

func savePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// listens returns where a server with these arguments listens, by the one that
// begins with flag.
func listens(t *testing.T, args []string, flag string) string {
	t.Helper()
	for _, arg := range args {
		if address, ok := strings.CutPrefix(arg, flag); ok {
			return address
		}
	}
	t.Fatalf("no %s among %q", flag, args)
	return ""
}

// advertise changes the argument that begins with flag.
func advertise(t *testing.T, args []string, flag, address string) {
	t.Helper()
	for i, arg := range args {
		if strings.HasPrefix(arg, flag) {
			args[i] = flag + address
			return
		}
	}
	t.Fatalf("no %s among %q", flag, args)
}

// proxy is where clients connect to a server: it takes TLS from those who have it,
// and counts.
type proxy struct {
	address          string
	protected, clear atomic.Int64 // connections
}

const handshake = 0x16 // first byte of a connection with TLS: RFC 8446, 5.1

func newProxy(t *testing.T, server string, config *tls.Config) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{address: listener.Addr().String()}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { p.pass(conn, server, config) })
		}
	})
	t.Cleanup(func() { // by now the server has ended, and with it its connections
		require.NoError(t, listener.Close())
		passing.Wait()
	})
	return p
}

// pass connects a client to the server until either of them hangs up.
func (p *proxy) pass(conn net.Conn, server string, config *tls.Config) {
	defer conn.Close()
	buffered := bufio.NewReader(conn)
	first, err := buffered.Peek(1)
	if err != nil {
		return
	}
	var client net.Conn = peeked{conn, buffered}
	if first[0] == handshake {
		p.protected.Add(1)
		client = tls.Server(client, config)
	} else {
		p.clear.Add(1)
	}
	out, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		_, _ = io.Copy(out, client)
		_ = out.Close()
	})
	_, _ = io.Copy(client, out)
	_ = conn.Close()
}

// peeked is a connection of which something has been read already.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
