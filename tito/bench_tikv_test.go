package tito_test

import "testing"

// BenchmarkTiKV does each operation in a transaction of its own, in turns with a
// program by hand. b.N is the number of rounds. Where there are no servers the
// figures are of the model of a cluster, and say nothing.
func BenchmarkTiKV(b *testing.B) {
	for _, op := range tikvOps() {
		b.Run(op.name, func(b *testing.B) {
			p := newTiKVContest(b, servers.Cluster(b), op)
			duel{
				units:   1,
				prepare: func(int) { p.prepare() },
				raw:     p.byHand,
				tito:    func() { p.byTito(p.db) },
			}.run(b)
		})
	}
}
