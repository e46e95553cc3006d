package driver_test

import (
	"testing"

	"github.com/tito-db/tito-go/examples/driver"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest"
)

func TestConformance(t *testing.T) {
	kvtest.Run(t, kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			t.Helper()
			s, err := driver.Open(o)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return s
		},
		Caps: kvtest.Caps{NoSync: true, FakeTime: true, PromptWatermark: true},
	})
}
