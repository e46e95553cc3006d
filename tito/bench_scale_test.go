package tito_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tito-db/tito-go/tito"
)

// benchScaleRows is the environment variable that sets the larger size of
// BenchmarkScale.
const benchScaleRows = "TITO_BENCH_ROWS"

// BenchmarkScale compares a table of 10^4 rows with a larger one: 2*10^4, which
// is quick to fill and says little, unless TITO_BENCH_ROWS says otherwise:
//
//	TITO_BENCH_ROWS=1000000 go test -run '^$' -bench Scale ./tito
//
// x-insert is the median of the larger one's time to insert a record by the
// smaller one's, x-page the same for a page of 50 by an index.
func BenchmarkScale(b *testing.B) {
	const small = 10_000
	large := 2 * small
	if v := os.Getenv(benchScaleRows); v != "" {
		n, err := strconv.Atoi(v)
		benchMust(b, err)
		large = n
	}
	for _, e := range benchEngines() {
		b.Run(fmt.Sprintf("%s/rows=%d", e.name, large), func(b *testing.B) {
			ctx := context.Background()
			big := openBench(b, e)
			big.fill(b, large)
			e.settle(b, big.Store())
			var little *benchDB
			// The roles are spread over the ids, so that a page of the
			// larger table reads rows that lie further apart.
			q := benchUsers.Where(benchByRole.Eq("role-1", "status-1"))
			insert := func(db *benchDB, at int) time.Duration {
				recs := benchUsersAt(at, benchBatch)
				return benchTime(func() {
					db.update(b, func(tx *tito.Tx) error {
						_, err := benchUsers.CreateMany(ctx, tx, recs, nil)
						return err
					})
				})
			}
			page := func(db *benchDB) time.Duration {
				return benchTime(func() {
					for range 10 {
						_, err := q.Page(ctx, db)
						benchMust(b, err)
					}
				})
			}
			var inserts, pages, xInsert, xPage []float64
			rounds := 0
			for b.Loop() {
				if rounds%5 == 0 { // a fresh one, before it grows much
					little = openBench(b, e)
					little.fill(b, small)
				}
				s, l := insert(little, small+rounds%5*benchBatch), insert(big, large+rounds*benchBatch)
				inserts, xInsert = append(inserts, float64(l)), append(xInsert, float64(l)/float64(s))
				s, l = page(little), page(big)
				pages, xPage = append(pages, float64(l)), append(xPage, float64(l)/float64(s))
				rounds++
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(benchMedian(xInsert), "x-insert")
			b.ReportMetric(benchMedian(xPage), "x-page")
			b.ReportMetric(benchMedian(inserts)/benchBatch/1000, "insert-us/rec")
			b.ReportMetric(benchMedian(pages)/10/1000, "us/page")
		})
	}
}
