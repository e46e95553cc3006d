package tikv_test

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

func TestTmpSplits(t *testing.T) {
	c := servers.Cluster(t)
	for round := range 20 {
		p := c.Prefix(t)
		if err := c.Split(t.Context(), p, borders...); err != nil {
			t.Fatal(err)
		}
		s, err := c.OpenAt(t.Context(), p, &tikv.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		splitMeanwhile(t, c, p)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 20 {
					err := s.Update(t.Context(), func(tx *kv.Txn) error {
						k := []byte(fmt.Sprintf("hush.%d", i%3))
						if _, err := tx.Has(t.Context(), k); err != nil {
							return err
						}
						tx.Set(k, []byte(fmt.Sprint(w)))
						return tx.Set(fmt.Appendf(nil, "hush.%d.%d", w, i), []byte("x"))
					})
					if err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				}
			})
		}
		wg.Wait()
		s.Close()
	}
}
