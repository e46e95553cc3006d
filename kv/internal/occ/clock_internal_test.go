package occ

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
)

// TestClockNeverGoesBack runs a clock through steps of the wall clock, reserve
// writes that fail, and crashes that leave only what was reserved durably.
func TestClockNeverGoesBack(t *testing.T) {
	errReserve := errors.New("no")
	rapid.Check(t, func(t *rapid.T) {
		wall := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var durable, newest kv.Version
		failing := false
		reserve := func(v kv.Version) error {
			if failing {
				return errReserve
			}
			require.Greater(t, v, durable)
			durable = v
			return nil
		}
		open := func() clock {
			c := newClock(durable, reserve)
			c.now = func() time.Time { return wall }
			return c
		}
		c := open()
		t.Repeat(map[string]func(*rapid.T){
			"next": func(t *rapid.T) {
				v, err := c.next()
				if err != nil {
					require.True(t, failing)
					require.ErrorIs(t, err, errReserve)
					require.Zero(t, v)
					return
				}
				require.Greater(t, v, newest)
				require.LessOrEqual(t, v, durable, "reserved before it was handed out")
				require.GreaterOrEqual(t, v, kv.VersionAt(wall))
				newest = v
			},
			"step": func(t *rapid.T) {
				wall = wall.Add(time.Duration(rapid.Int64Range(int64(-time.Hour), int64(time.Hour)).Draw(t, "step")))
			},
			"tick":       func(*rapid.T) { wall = wall.Add(time.Millisecond) },
			"crash":      func(*rapid.T) { c = open() },
			"fail":       func(*rapid.T) { failing = true },
			"work again": func(*rapid.T) { failing = false },
		})
	})
}

// TestClockFollowsTheWall: a version is the wall clock's, unless an earlier
// one was above it, and blocks last as long as they should.
func TestClockFollowsTheWall(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	reserved := 0
	c := newClock(0, func(kv.Version) error {
		reserved++
		return nil
	})
	c.now = func() time.Time { return wall }
	for i := range 10 {
		v, err := c.next()
		require.NoError(t, err)
		require.Equal(t, kv.VersionAt(wall)+kv.Version(i), v)
	}
	wall = wall.Add(-time.Hour)
	v, err := c.next()
	require.NoError(t, err)
	require.Equal(t, kv.VersionAt(wall.Add(time.Hour))+10, v)
	require.Equal(t, 1, reserved)

	wall = wall.Add(time.Hour + reserveAhead)
	_, err = c.next()
	require.NoError(t, err)
	require.Equal(t, 1, reserved, "the last millisecond of the block")
	wall = wall.Add(time.Millisecond)
	_, err = c.next()
	require.NoError(t, err)
	require.Equal(t, 2, reserved)

	forgetful := newClock(5, nil)
	forgetful.now = func() time.Time { return time.Time{} }
	v, err = forgetful.next()
	require.NoError(t, err)
	require.Equal(t, kv.Version(6), v)
}

// TestClockOfTheFarFuture: a clock that is ages ahead for a moment leaves
// versions enough, and they ascend before, then and after.
func TestClockOfTheFarFuture(t *testing.T) {
	today := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, year := range []int{3084, 3086, 4198, 4199, 4200, 9999, 250_000_000} {
		var durable, last kv.Version
		reserve := func(v kv.Version) error {
			require.Greater(t, v, durable)
			durable = v
			return nil
		}
		c := newClock(0, reserve)
		for _, now := range []time.Time{today, time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC), today} {
			c.now = func() time.Time { return now }
			for range 1000 {
				v, err := c.next()
				require.NoError(t, err)
				require.Greater(t, v, last)
				require.LessOrEqual(t, v, durable)
				last = v
			}
			c = newClock(durable, reserve)
		}
		require.Less(t, durable, latest+1<<40, "year %d", year)
	}
}
