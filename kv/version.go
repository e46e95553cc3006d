package kv

import "time"

// Version is a point in a store's commit order. Versions of one store never go
// backwards, across reopen, crash and steps of the wall clock too: a call hands
// out no version below one that was handed out before the call began. Two commits
// may have one version only if their transactions ran side by side and neither
// wrote or locked a key that the other did; so the versions of a key's changes
// ascend. The upper 46 bits are Unix time in milliseconds, the lower 18 a
// counter: the layout of a TiKV timestamp, which all drivers follow. Zero is
// before every commit.
type Version uint64

// logicalBits is the width of the counter in a Version.
const logicalBits = 18

// VersionAt returns the first version of the millisecond that holds t, or 0
// for times before 1970.
func VersionAt(t time.Time) Version {
	ms := t.UnixMilli()
	if ms < 0 {
		return 0
	}
	return Version(ms) << logicalBits
}

// Time returns the wall-clock time that v maps to, with millisecond precision.
// It is the engine's idea of time: an embedded store that has seen a clock
// step backwards, or a crash, runs ahead of the wall clock until that catches up.
func (v Version) Time() time.Time {
	return time.UnixMilli(int64(v >> logicalBits))
}
