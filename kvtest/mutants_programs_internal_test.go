package kvtest

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProgramsKill: random programs find by themselves what the cases written
// by hand were made for.
func TestProgramsKill(t *testing.T) {
	all := mutants()
	for _, name := range []string{
		"no conflict check", "ignored Lock", "only the first Lock counts", "a Lock that only looks back", "a Lock that writes",
		"blind deletes of absent keys ignored", "writes that change nothing ignored", "half-applied commit", "deletes forgotten",
		"any commit is a conflict", "non-repeatable Get", "torn BatchGet", "torn scan", "stale read after commit", "missing values are empty",
		"reversed bounds", "direction ignored", "end included", "start excluded", "page size taken for a limit",
		"Seek past its key", "Seek forward only", "Seek ends at the end", "Seek out of the range",
		"versions repeat", "commit version below the snapshot", "watermark too high", "watermark that stands still",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(all, func(m mutant) bool { return m.name == name })
			require.GreaterOrEqual(t, at, 0, "no such mutant")
			message, killed := failure(t, all[at].harness(lasting()), "Programs/random programs")
			require.True(t, killed, "the mutant lives")
			t.Log(summary(message))
		})
	}
}

// forgetfulOverlay is a store that forgets, in one kind of call, what a
// transaction has done to its own view. A driver cannot be that broken: it does
// not know the write set. So it is played by the reference, which has to differ
// from the true one.
type forgetfulOverlay struct {
	*modelRun
	call   call
	forget func(t *modelTxn)
}

func (o *forgetfulOverlay) do(number int, s step) string {
	if t := o.open[s.slot]; t != nil && s.call == o.call {
		own := t.own
		t.own = maps.Clone(own)
		o.forget(t)
		answer := o.modelRun.do(number, s, "")
		t.own = own
		return answer
	}
	return o.modelRun.do(number, s, "")
}

// TestProgramsNoticeTheOverlay: each kind of read is tried on own writes and
// own deletes.
func TestProgramsNoticeTheOverlay(t *testing.T) {
	forgets := map[string]func(t *modelTxn){
		"deletes": func(t *modelTxn) { maps.DeleteFunc(t.own, func(_, v string) bool { return v == "" }) },
		"writes":  func(t *modelTxn) { maps.DeleteFunc(t.own, func(_, v string) bool { return v != "" }) },
	}
	for what, forget := range forgets {
		for _, c := range []call{callGet, callHas, callBatchGet, callScan, callOpenCursor, callRemoveRange} {
			if what == "deletes" && c == callRemoveRange {
				continue // deletes what is deleted
			}
			t.Run(what+" forgotten in "+c.String(), func(t *testing.T) {
				for seed := range quietPrograms {
					broken := &forgetfulOverlay{newModelRun(), c, forget}
					sound := newModelRun()
					for n, s := range programs(false).Example(seed) {
						if got := broken.do(n, s); got != sound.do(n, s, got) {
							t.Logf("killed by program %d, step %d: %s", seed, n, s)
							return
						}
					}
				}
				t.Fatal("the mutant lives")
			})
		}
	}
}
