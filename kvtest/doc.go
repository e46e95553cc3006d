// Package kvtest proves that a driver of package kv keeps kv's contract, and
// measures a driver beside its engine. Drivers' tests import it. Package kvfault,
// beneath it, counts calls and injects faults for the tests of any program.
//
// # Conformance
//
// [Run] runs every case against a driver, each on a fresh store, and skips only
// those that need a [Caps] entry that the [Harness] does not declare:
//
//	func TestConformance(t *testing.T) {
//		kvtest.Run(t, kvtest.Harness{
//			Open: func(t testing.TB, o *kv.Options) *kv.Store { ... },
//			Caps: kvtest.Caps{NoSync: true},
//		})
//	}
//
// Under `go test -v` it ends with a matrix of the capabilities and the cases
// that used them. Each driver call passes a guard, which fails the case if kv
// itself breaks the rules of kv.DriverTxn: a snapshot or cursor that is not
// released, released twice, or used afterwards.
//
// Besides cases written by hand there are random programs, which are compared
// with a reference and shrunk when they fail (-rapid.seed and -rapid.checks
// steer them), and histories of concurrent clients, which are recorded and
// proved to be possible (Harness.Seed steers them). [Soak] runs these for as
// long as wanted. [Differential] compares two drivers.
//
// # Faults and crashes
//
// The suite makes each of a program's driver calls fail, wait, or happen without
// an acknowledgement in turn. It ends stores' lives by Harness.Reopen and
// Harness.Crash while clients commit, and compares what is left with what was
// acknowledged. [Kill] does that to whole processes, and [Disturb] does it while
// a store's servers are in trouble.
//
// # Speed
//
// [Benchmark] runs fixed shapes of work, each beside the raw engine doing the
// same, and reports the ratio.
//
// # Reading the source
//
// harness.go is the entrance. recorder.go is what a case runs against; it lets the
// suite's own tests run the suite on broken drivers, to see that it catches them.
// fixture.go is what cases share. The cases are in functional_*.go, iterators_*.go,
// isolation_*.go, programs.go, histories.go, crashes.go, faults.go and
// endurance.go; suite.go lists them. trail.go is the workload whose traces
// crashes.go and kill.go look for. program*.go are the random programs and the
// reference, internal/history is the checker of histories.
package kvtest
