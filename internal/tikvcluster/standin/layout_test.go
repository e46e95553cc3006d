package standin_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/tikvcluster/standin"
)

// TestFreePorts: none is given twice, though nobody listens there yet.
func TestFreePorts(t *testing.T) {
	given := map[int]bool{}
	for range 20 {
		ports, err := standin.FreePorts(10)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, ports.Release()) })
		require.Len(t, ports.Numbers, 10)
		for _, port := range ports.Numbers {
			require.False(t, given[port], "port %d", port)
			given[port] = true
			// What keeps other processes from it.
			_, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			require.Error(t, err)
		}
	}
}
