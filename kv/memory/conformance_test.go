package memory_test

import (
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest"
)

func harness() kvtest.Harness { return harnessWith(memory.Options{}) }

func harnessWith(options memory.Options) kvtest.Harness {
	return kvtest.Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			t.Helper()
			options := options
			options.Options = *o
			s, err := memory.Open(&options)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return s
		},
		Caps: kvtest.Caps{NoSync: true, FakeTime: true, PromptWatermark: true},
	}
}

func TestConformance(t *testing.T) {
	kvtest.Run(t, harness())
}

// TestConformanceWhileDetecting: the write-skew detector changes nothing.
func TestConformanceWhileDetecting(t *testing.T) {
	kvtest.Run(t, harnessWith(memory.Options{OnWriteSkew: func(*memory.WriteSkew) {}}))
}
