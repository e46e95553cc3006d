package kvtest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kvtest"
)

// harnesses are those of the drivers of this module that need no server.
func harnesses() map[string]kvtest.Harness {
	inMemory := kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			s, err := memory.Open(&memory.Options{Options: *o})
			require.NoError(t, err)
			return s
		},
		Caps: kvtest.Caps{NoSync: true, PromptWatermark: true},
	}
	inPebble := kvtest.Files(func(dir string, o *kv.Options) (*kv.Store, error) {
		return pebble.Open(dir, &pebble.Options{Options: *o})
	})
	inPebble.Caps = kvtest.Caps{NoSync: true, PromptWatermark: true}
	inBolt := kvtest.Files(func(dir string, o *kv.Options) (*kv.Store, error) {
		return bolt.Open(filepath.Join(dir, "store"), &bolt.Options{Options: *o})
	})
	inBolt.Caps = kvtest.Caps{PromptWatermark: true}
	return map[string]kvtest.Harness{"memory": inMemory, "pebble": inPebble, "bolt": inBolt}
}

func TestDifferential(t *testing.T) {
	h := harnesses()
	for _, pair := range [][2]string{{"memory", "pebble"}, {"memory", "bolt"}, {"pebble", "bolt"}} {
		t.Run(pair[0]+" and "+pair[1], func(t *testing.T) {
			t.Parallel()
			kvtest.Differential(t, h[pair[0]], h[pair[1]])
		})
	}
}
