package standin

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
)

// Layout says where a cluster of one PD and one TiKV is. The arguments it makes
// are those of the original servers too.
type Layout struct {
	Listen   string // host that the servers listen on
	PDPort   int    // for clients
	PeerPort int    // of PD, which it needs even when alone
	TiKVPort int
	PDData   string // folder
	TiKVData string // folder
	Level    string // of the log: debug, info, warn, error or fatal
}

// Local returns the layout of a cluster on loopback with its data under dir.
func Local(dir string, pd, peer, tikv int) Layout {
	return Layout{
		Listen:   "127.0.0.1",
		PDPort:   pd,
		PeerPort: peer,
		TiKVPort: tikv,
		PDData:   filepath.Join(dir, "pd"),
		TiKVData: filepath.Join(dir, "tikv"),
		Level:    "error",
	}
}

// PD returns where clients find PD.
func (l Layout) PD() string { return loopback(l.PDPort) }

// PDArgs returns the command line of PD.
func (l Layout) PDArgs() []string {
	return []string{
		"--name=pd",
		"--data-dir=" + l.PDData,
		"--client-urls=http://" + address(l.Listen, l.PDPort),
		"--advertise-client-urls=http://" + l.PD(),
		"--peer-urls=http://" + loopback(l.PeerPort),
		"--log-level=" + l.Level,
	}
}

// TiKVArgs returns the command line of TiKV.
func (l Layout) TiKVArgs() []string {
	return []string{
		"--pd-endpoints=" + l.PD(),
		"--addr=" + address(l.Listen, l.TiKVPort),
		"--advertise-addr=" + loopback(l.TiKVPort),
		"--data-dir=" + l.TiKVData,
		"--log-level=" + l.Level,
	}
}

// Processes describes both servers, with the programs that Build left in bin.
func (l Layout) Processes(bin string, out io.Writer) (pd, tikv *Process) {
	return NewProcess(out, filepath.Join(bin, PDProgram), l.PDArgs()...),
		NewProcess(out, filepath.Join(bin, TiKVProgram), l.TiKVArgs()...)
}

func loopback(port int) string { return address("127.0.0.1", port) }

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// The ports that FreePorts chooses from. Those above are given to connections
// that go out, and to whoever listens at port 0.
const (
	lowestPort = 10000
	portsEnd   = 32768
)

// Ports are ports of loopback for servers.
type Ports struct {
	Numbers []int
	held    []net.PacketConn
}

// FreePorts returns n free ports, for TCP. Until they are released, nobody who asks
// FreePorts is given them, in this process or another; so a server may be late to
// listen, or stop and come back.
func FreePorts(n int) (*Ports, error) {
	p := &Ports{}
	var errs []error
	for len(p.Numbers) < n {
		port := lowestPort + rand.IntN(portsEnd-lowestPort)
		held, err := claim(loopback(port))
		if err == nil {
			p.Numbers = append(p.Numbers, port)
			p.held = append(p.held, held)
			continue
		}
		if errs = append(errs, err); len(errs) == 100 {
			return nil, fmt.Errorf("standin: find a free port: %w", errors.Join(append(errs, p.Release())...))
		}
	}
	return p, nil
}

// Release gives the ports back.
func (p *Ports) Release() error {
	var errs []error
	for _, held := range p.held {
		errs = append(errs, held.Close())
	}
	p.held = nil
	return errors.Join(errs...)
}

// claim takes the UDP port of that number, which no server of ours needs. If the
// process dies, it is free again.
func claim(address string) (net.PacketConn, error) {
	held, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}
