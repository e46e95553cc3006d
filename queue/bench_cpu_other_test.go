//go:build !unix

package queue_test

import (
	"testing"
	"time"
)

// cpuTime is not measured here.
func cpuTime(b *testing.B) time.Duration {
	b.Skip("the processor time of the process is not known on this system")
	return 0
}
