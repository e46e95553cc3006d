package access

import (
	"context"
	"math/rand/v2"
	"time"
)

// Forever stands for all longer durations. Sums and small multiples of it do not
// overflow.
const Forever = 10 * 365 * 24 * time.Hour

// Pause waits until d has passed or ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Jitter takes a random part, up to a quarter, off d. It spreads what many
// processes do at the same interval.
func Jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// Backoff is a wait that doubles from Min to Max.
type Backoff struct {
	Min, Max time.Duration

	atOnce bool // the next Pause does not wait
	last   time.Duration
}

// Unknown returns the waits between the repeats of a transaction whose commits end
// unknown: the first repeat comes at once, because the outcome is most often known
// by then.
func Unknown() Backoff {
	return Backoff{Min: 20 * time.Millisecond, Max: time.Second, atOnce: true}
}

// Next returns Min at first, and twice the wait before it, up to Max, from then on.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, b.Min), b.Max)
	return b.last
}

// Reset makes Next begin with Min again.
func (b *Backoff) Reset() { b.last = 0 }

// Pause waits for Next, less a jitter, or until ctx ends.
func (b *Backoff) Pause(ctx context.Context) {
	if b.atOnce {
		b.atOnce = false
		return
	}
	Pause(ctx, Jitter(b.Next()))
}

// EqualJitter returns how long a failed attempt waits before the next one: the wait
// doubles from low, after the first attempt, to high, and a random half of it
// varies ("equal jitter"). So attempts that failed together do not come again
// together, and none comes again at once.
func EqualJitter(low, high time.Duration, attempts uint32) time.Duration {
	bound := high
	if shift := attempts - 1; shift < 63 && low <= bound>>shift {
		bound = low << shift
	}
	half := bound / 2
	return half + rand.N(bound-half+1)
}
