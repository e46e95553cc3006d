package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

var (
	testToken  = NewToken(cluster.ID{1})
	otherToken = NewToken(cluster.ID{2})
	testNow    = time.UnixMilli(946684800123)
)

// condition is what a transition depends on, beside the place.
type condition struct{ lost, mine, owned, events, behind bool }

// conditions are all of them.
func conditions() (all []condition) {
	for n := range 1 << 5 {
		c := condition{n&1 != 0, n&2 != 0, n&4 != 0, n&8 != 0, n&16 != 0}
		all = append(all, c)
	}
	return all
}

// partition makes a partition at a place. Its done is 5, as is its saved.
func (c condition) partition(place Place) *Partition {
	p := &Partition{number: 7, place: place, lost: c.lost, mine: c.mine, head: 5, done: 5, saved: 5}
	if c.owned {
		p.token, p.crashes, p.retry, p.carefulTo = testToken, 1, Retry{Attempts: 2}, 6
	}
	if c.behind {
		p.head = 9
	}
	if c.events {
		p.head = 9
		p.events = []eventlog.Event{{Seq: 6, Row: make([]byte, 10)}, {Seq: 7, Row: make([]byte, 20)}}
	}
	return p
}

// settled is where a partition belongs, by its condition: the first row that fits.
var settled = []struct {
	fits  func(c condition) bool
	place Place
	next  Next
}{
	{func(c condition) bool { return !c.mine && c.owned && !c.lost }, Releasing, ToRelease},
	{func(c condition) bool { return !c.mine }, Idle, Nothing},
	{func(c condition) bool { return c.events && !c.lost }, Ready, ToDeliver},
	{func(c condition) bool { return c.events || c.behind }, Fetchable, ToFetch},
	{func(condition) bool { return true }, Idle, Nothing},
}

// requireSettled demands that a partition that had this condition has settled.
func requireSettled(t *testing.T, c condition, p *Partition, e Effects, msg string) {
	t.Helper()
	for _, want := range settled {
		if !want.fits(c) {
			continue
		}
		require.Equal(t, want.place, p.place, msg)
		require.Equal(t, want.next, e.Next, msg)
		require.Zero(t, e.Wait, msg)
		break
	}
	kept := p.place == Ready
	require.Equal(t, kept, len(p.events) > 0, msg)
	if c.events && !kept {
		require.Equal(t, Usage{2, 30 + 2*256}, e.Freed, msg)
	} else {
		require.Zero(t, e.Freed, msg)
	}
	require.False(t, p.lost, msg)
	if c.lost {
		require.Zero(t, p.token, msg)
		require.Zero(t, p.retry, msg)
		require.Zero(t, p.carefulTo, msg)
	}
}

// The table of Partition's documentation: for each event what happens at each place,
// in the order Idle, Fetchable, Ready, Held, Waiting, Releasing, under all conditions.
func TestPartitionTransitions(t *testing.T) {
	const (
		never  = iota // does not happen there
		notes         // the place stays, and there is nothing to do
		settle        // it settles
		hold          // it is held
		hold0         // it is held, or settles if it is lost or not the worker's
		hold1         // the same, and also settles if there is nothing to fetch
		wait          // it waits, or settles if it is lost or not the worker's
		stop          // it settles if it is lost or not the worker's, and its timer stops; else notes
		idle          // it is idle, or settles if it is lost or not the worker's
		ready         // it is ready
	)
	quiet := func(do func(p *Partition)) func(*Partition) Effects {
		return func(p *Partition) Effects {
			do(p)
			return Effects{}
		}
	}
	stored := func(owner Token) *Checkpoint { return &Checkpoint{Owner: owner, Floor: 5} }
	for _, ev := range []struct {
		name   string
		do     func(p *Partition) Effects
		change func(c *condition) // what the event changes of the condition
		want   [6]int
	}{
		{"LogGrew", func(p *Partition) Effects { return p.LogGrew(9) }, func(c *condition) { c.behind = true },
			[6]int{settle, notes, notes, notes, notes, notes}},
		{"LogGrew by nothing", func(p *Partition) Effects { return p.LogGrew(2) }, nil,
			[6]int{settle, notes, notes, notes, notes, notes}},
		{"Assign to this worker", func(p *Partition) Effects { return p.Assign(true) }, func(c *condition) { c.mine = true },
			[6]int{settle, notes, notes, notes, stop, notes}},
		{"Assign to others", func(p *Partition) Effects { return p.Assign(false) }, func(c *condition) { c.mine = false },
			[6]int{settle, notes, notes, notes, stop, notes}},
		{"Loaded as thought", func(p *Partition) Effects { return p.Loaded(9, stored(p.token), true) }, func(c *condition) { c.mine, c.behind = true, true },
			[6]int{settle, notes, notes, notes, stop, notes}},
		{"Loaded with another owner", func(p *Partition) Effects { return p.Loaded(9, stored(otherToken), true) },
			func(c *condition) { c.mine, c.behind, c.lost = true, true, c.lost || c.owned },
			[6]int{settle, notes, notes, notes, stop, notes}},
		{"Lose", quiet((*Partition).Lose), func(c *condition) { c.lost = true },
			[6]int{never, notes, notes, notes, notes, notes}},
		{"TakeToFetch", func(p *Partition) Effects { _, e := p.TakeToFetch(100); return e }, nil,
			[6]int{never, hold1, never, never, never, never}},
		{"TakeToDeliver", func(p *Partition) Effects { _, e := p.TakeToDeliver(); return e }, nil,
			[6]int{never, never, hold0, never, never, never}},
		{"PutBack", quiet((*Partition).PutBack), nil,
			[6]int{never, never, never, ready, never, never}},
		{"Settle", (*Partition).Settle, nil,
			[6]int{settle, settle, settle, settle, never, never}},
		{"SettleAfter nothing", func(p *Partition) Effects { return p.SettleAfter(0, false) }, nil,
			[6]int{never, never, never, settle, never, never}},
		{"SettleAfter a wait", func(p *Partition) Effects { return p.SettleAfter(time.Second, false) }, nil,
			[6]int{never, never, never, wait, never, never}},
		{"SettleAfter a wait when stopping", func(p *Partition) Effects { return p.SettleAfter(time.Second, true) }, nil,
			[6]int{never, never, never, idle, never, never}},
		{"Due", (*Partition).Due, nil,
			[6]int{notes, notes, notes, notes, settle, notes}},
		{"Released", func(p *Partition) Effects { return p.Released(false) }, func(c *condition) { c.owned = false },
			[6]int{never, never, never, never, never, settle}},
		{"Released, lost", func(p *Partition) Effects { p.Lose(); return p.Released(true) }, func(c *condition) { c.lost = true },
			[6]int{never, never, never, never, never, settle}},
		{"Fetched", quiet(func(p *Partition) { p.Fetched(nil) }), nil,
			[6]int{never, never, never, hold, never, never}},
		{"Failed", quiet(func(p *Partition) { p.Failed(Retry{Attempts: 1}) }), nil,
			[6]int{never, never, never, hold, never, never}},
		{"Claimed", quiet(func(p *Partition) { p.Claimed(stored(testToken), testNow, 65) }), nil,
			[6]int{never, never, never, hold, never, never}},
		{"Occupied", quiet(func(p *Partition) { p.Occupied(stored(otherToken), testNow, testNow) }), nil,
			[6]int{never, never, never, hold, never, never}},
	} {
		for place, want := range ev.want {
			if want == never {
				continue
			}
			for _, c := range conditions() {
				p := c.partition(Place(place))
				e := ev.do(p)
				if ev.change != nil {
					ev.change(&c)
				}
				gone := c.lost || !c.mine
				msg := fmt.Sprintf("%s at %d: %+v", ev.name, place, c)
				settles := want == settle || gone && (want == hold0 || want == hold1 || want == wait || want == stop || want == idle) ||
					want == hold1 && !c.behind && !c.events
				require.Equal(t, want == stop && gone, e.StopWait, msg)
				if settles {
					requireSettled(t, c, p, e, msg)
					continue
				}
				switch want {
				case notes, stop:
					require.Equal(t, Place(place), p.place, msg)
					require.Equal(t, Effects{}, e, msg)
				case hold, hold0, hold1:
					require.Equal(t, Held, p.place, msg)
					require.Equal(t, Effects{}, e, msg)
				case ready:
					require.Equal(t, Ready, p.place, msg)
				case wait:
					require.Equal(t, Waiting, p.place, msg)
					require.Equal(t, ToWait, e.Next, msg)
					require.Equal(t, time.Second, e.Wait, msg)
					require.Empty(t, p.events, "a partition that waits keeps no memory")
				case idle:
					require.Equal(t, Idle, p.place, msg)
					require.Equal(t, Nothing, e.Next, msg)
					require.Empty(t, p.events, msg)
				}
			}
		}
	}
}

// A partition that was lost goes on behind what is stored, whatever was done there.
func TestPartitionForgetsTerm(t *testing.T) {
	p := condition{mine: true, owned: true, events: true}.partition(Held)
	p.Finish(6, 1)
	p.dirty, p.suspect = true, true
	p.Lose()
	e := p.Settle()
	require.Equal(t, Effects{Next: ToFetch, Freed: Usage{1, 20 + 256}}, e)
	require.Equal(t, &Partition{number: 7, place: Fetchable, mine: true, head: 9, done: 5, saved: 5}, p)
}

func TestPartitionTakeToFetch(t *testing.T) {
	for room, want := range map[int]int{1: 1, 3: 3, 4: 4, 100: 4} {
		p := condition{mine: true, behind: true}.partition(Fetchable)
		n, _ := p.TakeToFetch(room)
		require.Equal(t, want, n)
	}
	p := condition{mine: true}.partition(Fetchable)
	n, e := p.TakeToFetch(10)
	require.Zero(t, n)
	require.Equal(t, Effects{}, e)
	require.Equal(t, Idle, p.place)
}

// What is loaded changes the floor only where this worker knows no better.
func TestPartitionLoaded(t *testing.T) {
	p := &Partition{}
	require.Equal(t, ToFetch, p.Loaded(9, &Checkpoint{Owner: otherToken, Floor: 3}, true).Next)
	require.EqualValues(t, 3, p.done)
	require.EqualValues(t, 3, p.saved)
	require.False(t, p.lost)
	p.Loaded(8, &Checkpoint{Owner: otherToken, Floor: 4}, true)
	require.EqualValues(t, 3, p.done, "the list has it: who takes it from there reads the checkpoint again")
	require.EqualValues(t, 9, p.head, "the log does not shrink")
	p.Claimed(&Checkpoint{Owner: testToken, Floor: 4}, testNow, 65)
	p.Loaded(9, &Checkpoint{Owner: testToken, Floor: 2}, true)
	require.False(t, p.lost)
	p.Loaded(9, &Checkpoint{}, true)
	require.True(t, p.lost)
}

func TestPartitionClaimed(t *testing.T) {
	retry := Retry{Attempts: 2, Due: testNow.Add(time.Second), Wait: time.Minute, Err: "x"}
	p := &Partition{mine: true, head: 9, place: Held}
	p.Occupied(&Checkpoint{Owner: otherToken, Floor: 2}, testNow, testNow)
	require.Equal(t, time.Second, p.Claimed(&Checkpoint{Owner: testToken, Floor: 3, Crashes: 1, Retry: retry}, testNow, 65))
	require.Equal(t, &Partition{mine: true, head: 9, place: Held, token: testToken, done: 3, saved: 3, crashes: 1, retry: retry}, p)
	require.True(t, p.Single(), "it has failed before")
	require.Zero(t, p.Claimed(&Checkpoint{Owner: testToken, Floor: 3, Crashes: 2}, testNow, 65))
	require.EqualValues(t, 68, p.carefulTo, "after two crashes in a row")
	require.True(t, p.Single())
	p.Finish(67, 0)
	require.True(t, p.Single(), "event 68 may have been with a handler")
	p.Finish(68, 0)
	require.False(t, p.Single())
}

func TestPartitionOccupied(t *testing.T) {
	p := &Partition{mine: true, head: 9, place: Held}
	require.True(t, p.Occupied(&Checkpoint{Owner: otherToken, Floor: 3}, testNow, testNow))
	require.False(t, p.Occupied(&Checkpoint{Owner: otherToken, Floor: 9}, testNow, testNow))
	require.EqualValues(t, 9, p.done)
	require.Zero(t, p.token)
}

// Which mark a checkpoint gets before an event starts.
func TestPartitionMark(t *testing.T) {
	for name, c := range map[string]struct {
		p      Partition
		want   Quarantine
		needed bool
	}{
		"most events":        {Partition{done: 5}, Unsuspected, false},
		"failed before":      {Partition{done: 5, retry: Retry{Attempts: 1}}, Unsuspected, false},
		"after two crashes":  {Partition{done: 5, carefulTo: 6}, Started, true},
		"beyond the window":  {Partition{done: 6, carefulTo: 6}, Unsuspected, false},
		"suspect":            {Partition{done: 5, suspect: true}, Isolated, true},
		"suspect in windows": {Partition{done: 5, suspect: true, carefulTo: 6}, Isolated, true},
	} {
		cp, needed := c.p.Mark()
		require.Equal(t, c.needed, needed, name)
		if needed {
			require.Equal(t, c.want, cp.Quarantine, name)
		}
		require.Equal(t, c.p.suspect, c.p.Checkpoint().Quarantine == Suspect)
	}
}

// How a quarantine goes on when the process dies, and when another goes on with it.
func TestQuarantine(t *testing.T) {
	for q, want := range []struct {
		died     Quarantine
		failed   bool
		survived Quarantine
	}{
		Unsuspected: {Unsuspected, false, Unsuspected},
		Started:     {Suspect, false, Unsuspected},
		Suspect:     {Suspect, false, Suspect},
		Isolated:    {Suspect, true, Suspect},
	} {
		next, failed := Quarantine(q).died()
		require.Equal(t, want.died, next)
		require.Equal(t, want.failed, failed)
		require.Equal(t, want.survived, Quarantine(q).survived())
		for _, crashed := range []bool{false, true} {
			cp := Checkpoint{Owner: otherToken, Floor: 3, Crashes: 1, Quarantine: Quarantine(q), Retry: Retry{Attempts: 1, Err: "x"}}
			cp.take(testToken, crashed)
			wanted := Checkpoint{Owner: testToken, Floor: 3, Crashes: 1, Quarantine: want.survived, Retry: Retry{Attempts: 1, Err: "x"}}
			if crashed {
				wanted.Crashes, wanted.Quarantine = 2, want.died
			}
			if crashed && want.failed {
				wanted.Retry = Retry{Attempts: 2, Err: ErrDied.Error()}
			}
			require.Equal(t, wanted, cp)
		}
	}
}

// A change of a checkpoint concerns the term only that it was made in.
func TestPartitionWritten(t *testing.T) {
	to := &Checkpoint{Owner: testToken, Floor: 6}
	for name, c := range map[string]struct {
		owner    Token
		lost, ok bool
		reports  bool
		saved    uint64
	}{
		"written":              {testToken, false, true, false, 6},
		"failed":               {testToken, false, false, false, 5},
		"lost":                 {testToken, true, true, true, 5},
		"of another term":      {otherToken, false, true, false, 5},
		"lost of another term": {otherToken, true, true, false, 5},
	} {
		p := condition{mine: true, owned: true}.partition(Held)
		require.Equal(t, c.reports, p.Written(c.owner, to, c.lost, c.ok), name)
		require.Equal(t, c.reports, p.lost, name)
		require.Equal(t, c.saved, p.saved, name)
	}
	p := condition{mine: true, owned: true}.partition(Held)
	p.Written(testToken, &Checkpoint{Floor: 2}, false, true)
	require.EqualValues(t, 5, p.saved, "what is known to be saved only rises")
}

func TestPartitionFinish(t *testing.T) {
	for name, finish := range map[string]func(*Partition, uint64, int) Effects{"finished": (*Partition).Finish, "committed": (*Partition).Committed} {
		p := condition{mine: true, owned: true, events: true}.partition(Held)
		p.suspect = true
		require.Equal(t, Effects{Freed: Usage{1, 10 + 256}}, finish(p, 6, 1))
		require.EqualValues(t, 6, p.done)
		require.Equal(t, name == "committed", p.saved == 6)
		require.Equal(t, Checkpoint{Owner: testToken, Floor: 6}, p.Checkpoint(), "the next event has no past")
		require.Len(t, p.events, 1)
		finish(p, 7, 1)
		require.Nil(t, p.events)
	}
}

func TestPartitionStanding(t *testing.T) {
	p := condition{owned: true}.partition(Held)
	for name, c := range map[string]struct {
		stored Checkpoint
		want   Standing
	}{
		"before":              {Checkpoint{Owner: testToken, Floor: 5}, Before},
		"after":               {Checkpoint{Owner: testToken, Floor: 8}, After},
		"behind":              {Checkpoint{Owner: testToken, Floor: 4}, Elsewhere},
		"between":             {Checkpoint{Owner: testToken, Floor: 6}, Elsewhere},
		"ahead":               {Checkpoint{Owner: testToken, Floor: 9}, Elsewhere},
		"of another, before":  {Checkpoint{Owner: otherToken, Floor: 5}, Elsewhere},
		"of another, after":   {Checkpoint{Owner: otherToken, Floor: 8}, Elsewhere},
		"of nobody any more":  {Checkpoint{Floor: 8}, Elsewhere},
		"of nobody, as begun": {Checkpoint{Floor: 5}, Elsewhere},
	} {
		require.Equal(t, c.want, p.Standing(&c.stored, 6, 8), name)
	}
}

// A sighting counts from its first time while it is repeated often enough.
func TestPartitionSighted(t *testing.T) {
	p := &Partition{head: 9}
	cp := &Checkpoint{Owner: otherToken, Floor: 3}
	since, met := p.Sighted(cp, testNow, time.Minute)
	require.Equal(t, testNow, since)
	require.Equal(t, testNow, met)
	p.Occupied(cp, testNow, testNow)
	later := testNow.Add(time.Second)
	since, met = p.Sighted(cp, later, time.Minute)
	require.Equal(t, testNow, since)
	require.Equal(t, testNow, met)
	later = testNow.Add(time.Minute)
	since, met = p.Sighted(cp, later, time.Minute)
	require.Equal(t, later, since, "it may have got on meanwhile, and come back")
	require.Equal(t, testNow, met)
	for _, other := range []*Checkpoint{{Owner: otherToken, Floor: 4}, {Owner: testToken, Floor: 3}} {
		since, met = p.Sighted(other, later, time.Hour)
		require.Equal(t, later, since)
		require.Equal(t, later, met)
	}
}
