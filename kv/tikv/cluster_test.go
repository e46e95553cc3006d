package tikv_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
	"github.com/tito-db/tito-go/kvtest"
)

func TestConformanceX(t *testing.T) {
	pd := strings.Split(os.Getenv("TITO_TIKV_PD"), ",")
	var prefixes sync.Map
	open := func(t testing.TB, prefix string, o *kv.Options) (*kv.Store, error) {
		opts := tikv.Options{Prefix: prefix}
		if o != nil {
			opts.Options = *o
		}
		s, err := tikv.Open(t.Context(), pd, &opts)
		if err == nil {
			prefixes.Store(s, prefix)
		}
		return s, err
	}
	h := kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			s, err := open(t, fmt.Sprintf("x%x", rand.Uint64()), o)
			require.NoError(t, err)
			return s
		},
		Reopen: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			p, _ := prefixes.Load(s)
			_ = s.Close()
			return open(t, p.(string), o)
		},
		Remote: true,
	}
	kvtest.Run(t, h)
}
