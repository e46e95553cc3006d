package standin

import (
	"fmt"
	"io"
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

// FreePorts returns n ports of loopback that were free a moment ago.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("standin: find a free port: %w", err)
		}
		defer l.Close() //nolint:errcheck,gocritic // all of them stay taken until the last is found
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
