package kvtest

// Raw is declared with Benchmark.
type Raw struct{}
