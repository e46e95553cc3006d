package pebble_test

import (
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kvtest"
)

func openKV(dir string, o *kv.Options) (*kv.Store, error) {
	var opts pebble.Options
	if o != nil {
		opts.Options = *o
	}
	return pebble.Open(dir, &opts)
}

func TestConformance(t *testing.T) {
	h := kvtest.Files(openKV)
	h.Caps = kvtest.Caps{NoSync: true, PromptWatermark: true}
	kvtest.Run(t, h)
}
