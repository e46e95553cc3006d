package occ

import (
	"time"

	"github.com/tito-db/tito-go/kv"
)

// reserveAhead is how far ahead of the version in use the clock reserves the next
// block. A crash makes versions run ahead of the wall clock by at most reserveAhead.
const reserveAhead = 2 * time.Second

// clock hands out versions: the wall clock's, unless the wall clock stands still or
// goes back. It reserves blocks of versions with a durable write, so that it never
// hands out again a version whose commit was lost with an unsynced tail.
type clock struct {
	last     kv.Version
	reserved kv.Version
	reserve  func(kv.Version) error
	now      func() time.Time
}

func newClock(last kv.Version, reserve func(kv.Version) error) clock {
	return clock{last: last, reserved: last, reserve: reserve, now: time.Now}
}

// next returns a version above all that it returned before.
func (c *clock) next() (kv.Version, error) {
	v := max(c.last+1, kv.VersionAt(c.now()))
	if c.reserve != nil && v > c.reserved {
		upTo := kv.VersionAt(v.Time().Add(reserveAhead))
		if err := c.reserve(upTo); err != nil {
			return 0, err
		}
		c.reserved = upTo
	}
	c.last = v
	return v, nil
}
