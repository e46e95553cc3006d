package clienttls

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/config"

	"github.com/tito-db/tito-go/kv"
)

// TestSecurity: all of a process's stores have one TLS, and the library has
// theirs.
func TestSecurity(t *testing.T) {
	before := config.GetGlobalConfig()
	t.Cleanup(func() { config.StoreGlobalConfig(before) })
	var s security
	inTheClear, err := s.claim(Files{})
	require.NoError(t, err)
	s.apply(config.Security{})
	require.Same(t, before, config.GetGlobalConfig(), "a program's own is left alone")
	_, err = s.claim(Files{CA: "a"})
	require.ErrorIs(t, err, kv.ErrOptions)
	inTheClear()

	one, err := s.claim(Files{CA: "a"})
	require.NoError(t, err)
	two, err := s.claim(Files{CA: "a"})
	require.NoError(t, err)
	s.apply(config.Security{ClusterSSLCA: "a"})
	require.Equal(t, "a", config.GetGlobalConfig().Security.ClusterSSLCA)
	one()
	for _, other := range []Files{{}, {CA: "b"}} {
		_, err = s.claim(other)
		require.ErrorIs(t, err, kv.ErrOptions)
	}
	two()

	_, err = s.claim(Files{})
	require.NoError(t, err)
	s.apply(config.Security{})
	require.Empty(t, config.GetGlobalConfig().Security.ClusterSSLCA)
}
