package kvtest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Cases of this group run programs at random against the reference. A failure
// is shrunk and printed with the flag that repeats it: -rapid.seed; -rapid.checks
// says how many programs there are.

func programCases() []testCase {
	return []testCase{
		{name: "random programs", run: func(f *fixture) { f.programs(false) }},
		{name: "random programs across reopening", run: func(f *fixture) { f.programs(true) }, needs: needReopen},
	}
}

// quietPrograms is how many programs are tried on a broken driver: what rapid does.
const quietPrograms = 100

// programs compares the store with the reference, on many programs.
func (f *fixture) programs(reopens bool) {
	from := programs(reopens)
	if r, ok := f.TB.(*recorder); ok && r.quiet { // nobody would read what was shrunk
		for seed := range quietPrograms {
			f.ok(f.runProgram(from.Example(seed)))
		}
		return
	}
	rapid.Check(f, func(t *rapid.T) {
		if err := f.runProgram(from.Draw(t, "program")); err != nil {
			t.Fatal(err)
		}
	})
}

// runProgram returns where the store departs from the reference.
func (f *fixture) runProgram(p program) error {
	store, model := newStoreRun(f), newModelRun()
	model.servers = f.store.Info().Shared
	defer store.close()
	for n, s := range p {
		got := store.do(n, s)
		if want := model.do(n, s, got); got != want {
			return fmt.Errorf("step %d, %s: the store says %.200q, it should say %.200q", n, s, got, want)
		}
	}
	return nil
}

// Differential runs random programs on two drivers and fails t where one
// answers otherwise than the other.
func Differential(t *testing.T, a, b Harness) {
	t.Helper()
	r := &recorder{TB: t, name: t.Name(), ctx: t.Context()}
	r.run(nil, func() {
		fa, fb := newFixture(r, a), newFixture(r, b)
		from := programs(a.Reopen != nil && b.Reopen != nil)
		rapid.Check(r, func(t *rapid.T) {
			if err := differ(fa, fb, from.Draw(t, "program")); err != nil {
				t.Fatal(err)
			}
		})
	})
	if r.Failed() {
		t.FailNow()
	}
}

// differ returns where two stores depart from one another.
func differ(fa, fb *fixture, p program) error {
	a, b, model := newStoreRun(fa), newStoreRun(fb), newModelRun()
	model.servers = fa.store.Info().Shared || fb.store.Info().Shared
	defer a.close()
	defer b.close()
	for n, s := range p {
		inA, inB := a.do(n, s), b.do(n, s)
		model.do(n, s, inA)
		if inA == inB {
			continue
		}
		if model.either {
			return nil // both may be right, and from here on they differ
		}
		return fmt.Errorf("step %d, %s: %s says %.200q, %s says %.200q", n, s, fa.store.Info().Name, inA, fb.store.Info().Name, inB)
	}
	return nil
}
