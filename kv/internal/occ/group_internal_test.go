package occ

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
)

// TestGroupModel commits random groups of open transactions, and each of them
// gets the answer that the reference gives one after the other.
func TestGroupModel(t *testing.T) {
	errApply := errors.New("refused")
	rapid.Check(t, func(t *rapid.T) {
		ctl := New(Options{})
		var past history
		var open []*Ticket
		begin := func() {
			ticket := ctl.Begin()
			ticket.Pin(ctl.Published())
			open = append(open, ticket)
		}
		for range 4 {
			begin()
		}
		for range rapid.IntRange(1, 12).Draw(t, "groups") {
			for range rapid.IntRange(0, 3).Draw(t, "begins") {
				begin()
			}
			n := min(len(open), rapid.IntRange(1, 5).Draw(t, "size"))
			group := make([]*Request, n)
			for i := range group {
				at := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				group[i] = &Request{Ticket: open[at], Commit: request(t)}
				open = slices.Delete(open, at, at+1)
			}
			before, refuse := ctl.Published(), rapid.IntRange(0, 3).Draw(t, "refuse") == 0
			var applied []*Request
			ctl.CommitGroup(group, func(passed []*Request) error {
				require.Nil(t, applied, "called once")
				require.NotEmpty(t, passed)
				require.Equal(t, before, ctl.Published(), "not before it is applied")
				if applied = passed; refuse {
					return errApply
				}
				return nil
			})

			known := slices.Clone(past)
			var want []*Request
			last := before
			for _, r := range group {
				if known.conflicts(r.Ticket.read, r.Commit) {
					require.ErrorIs(t, r.Err, kv.ErrConflict)
					require.Zero(t, r.Version)
					continue
				}
				want = append(want, r)
				v := r.Version
				if refuse {
					require.ErrorIs(t, r.Err, errApply)
					require.Zero(t, v)
					v = last + 1 // above every snapshot, as the lost version was
				} else {
					require.NoError(t, r.Err)
					require.Greater(t, v, last)
				}
				last = v
				known = append(known, history{{v, r.Commit}}...)
			}
			require.Equal(t, want, applied)
			if refuse {
				require.Equal(t, before, ctl.Published())
			} else {
				past = known
				require.Equal(t, last, ctl.Published())
			}
			for _, r := range group {
				r.Ticket.Release()
			}
			begin()
			require.LessOrEqual(t, ctl.Watermark(), open[0].floor)
		}
		for _, ticket := range open {
			ticket.Release()
		}
		require.Equal(t, ctl.Published(), ctl.Watermark())
	})
}

// TestGroupRetiresItself: what a group committed is forgotten at once if nobody
// else is there, though its transactions have not been released.
func TestGroupRetiresItself(t *testing.T) {
	ctl := New(Options{})
	group := []*Request{
		{Ticket: ctl.Begin(), Commit: &kv.Commit{Writes: []kv.Write{{Key: []byte("a")}}}},
		{Ticket: ctl.Begin(), Commit: &kv.Commit{Locks: [][]byte{[]byte("b")}}},
	}
	ctl.CommitGroup(group, func([]*Request) error { return nil })
	require.Empty(t, ctl.memory.marks)
	require.Empty(t, ctl.group.marks)
	require.Equal(t, ctl.Published(), ctl.Watermark())
}

// TestGroupReservation: without versions nothing is applied, and the error says
// that nothing was written.
func TestGroupReservation(t *testing.T) {
	errReserve := errors.New("disk full")
	ctl := New(Options{Reserve: func(kv.Version) error { return errReserve }})
	group := []*Request{{Ticket: ctl.Begin(), Commit: &kv.Commit{}}, {Ticket: ctl.Begin(), Commit: &kv.Commit{}}}
	ctl.CommitGroup(group, func([]*Request) error { panic("applied") })
	for _, r := range group {
		require.ErrorIs(t, r.Err, kv.ErrUnavailable)
		require.ErrorIs(t, r.Err, errReserve)
	}
}
