package group

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that was set wrong, or is now, does not stop a partition for longer
// than was decided when its event failed.
func TestRetryClockJumps(t *testing.T) {
	due := time.UnixMilli(946684800123)
	r := Retry{Due: due, Wait: 10 * time.Second}
	require.Equal(t, 10*time.Second, r.remaining(due.Add(-10*time.Second)))
	require.Equal(t, 3*time.Second, r.remaining(due.Add(-3*time.Second)))
	require.Zero(t, r.remaining(due))
	require.Zero(t, r.remaining(due.Add(time.Hour)), "the clock went ahead")
	require.Equal(t, 10*time.Second, r.remaining(due.Add(-1000*time.Hour)), "the clock was set back")
	require.Zero(t, (&Retry{Wait: time.Hour}).remaining(due), "no pause was decided")
}
