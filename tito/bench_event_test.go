package tito_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tito-db/tito-go/tito"
)

// BenchmarkCreateEvents is what publishing adds to CreateMany of 1000 records:
// nothing declared, an event for each, one with the record's image.
func BenchmarkCreateEvents(b *testing.B) {
	for _, e := range benchEngines() {
		for _, c := range []struct {
			name   string
			events []tito.Event[benchUser]
		}{
			{"none", nil},
			{"event", []tito.Event[benchUser]{{Topic: "user"}}},
			{"image", []tito.Event[benchUser]{{Topic: "user", After: true}}},
		} {
			b.Run(fmt.Sprintf("%s/%s", e.name, c.name), func(b *testing.B) {
				ctx := context.Background()
				table := tito.Define(tito.Schema[benchUser, string]{
					Table: benchUserT, ID: tito.StringID(func(u *benchUser) *string { return &u.ID }),
					Indexes: tito.Indexes(benchByEmail, benchByRole, benchBySize), Events: c.events,
				})
				t, err := tito.Open(ctx, e.open(b), nil, table)
				benchMust(b, err)
				db := &benchDB{DB: t}
				b.ReportAllocs()
				round := 0
				for b.Loop() {
					b.StopTimer()
					recs := benchUsersAt(round*benchBatch, benchBatch)
					round++
					b.StartTimer()
					db.update(b, func(tx *tito.Tx) error {
						_, err := table.CreateMany(ctx, tx, recs, nil)
						return err
					})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchBatch), "ns/record")
			})
		}
	}
}
