package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kvtest"
)

// openKV opens the store that this package's tests keep in a folder.
func openKV(dir string, o *kv.Options) (*kv.Store, error) {
	var opts bolt.Options
	if o != nil {
		opts.Options = *o
	}
	return bolt.Open(filepath.Join(dir, "store"), &opts)
}

func TestConformance(t *testing.T) {
	h := kvtest.Files(openKV)
	h.Caps = kvtest.Caps{PromptWatermark: true}
	kvtest.Run(t, h)
}

// TestKill opens with a check of the whole file.
func TestKill(t *testing.T) {
	open := func(dir string, o *kv.Options) (*kv.Store, error) {
		opts := bolt.Options{Verify: true}
		if o != nil {
			opts.Options = *o
		}
		return bolt.Open(filepath.Join(dir, "store"), &opts)
	}
	kvtest.Kill(t, open, &kvtest.KillOptions{Kills: *kills, Seed: *seed})
}
