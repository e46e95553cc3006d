package tikv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

// childEnv makes the test binary the process that TestPausedProcess pauses. Its
// value says where its store is.
const childEnv = "TITO_TIKV_TEST_CHILD"

const pausedWorkers = 4

// pausedChild is the process that is paused: it commits from several goroutines,
// and tells at which version each transaction read and committed.
func pausedChild() int {
	pd, prefix, _ := strings.Cut(os.Getenv(childEnv), " ")
	ctx := context.Background()
	s, err := tikv.Open(ctx, strings.Split(pd, ","), &tikv.Options{Prefix: prefix})
	if err != nil {
		fmt.Println("the process failed:", err)
		return 1
	}
	var workers sync.WaitGroup
	for w := range pausedWorkers {
		workers.Go(func() {
			for {
				read, committed, err := pausedStep(ctx, s, w)
				switch {
				case err == nil:
					fmt.Println("ok", uint64(read), uint64(committed)) // one write each
				case errors.Is(err, kv.ErrCommitUnknown):
					fmt.Println("unknown", uint64(read), 0)
				case errors.Is(err, kv.ErrTxnTooOld), errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrUnavailable):
					fmt.Println("refused", uint64(read), 0)
				default:
					fmt.Println("the process failed:", err)
					return
				}
			}
		})
	}
	workers.Wait()
	return 1
}

// pausedStep writes the version that it has read at.
func pausedStep(ctx context.Context, s *kv.Store, worker int) (read, committed kv.Version, err error) {
	tx, err := s.Begin(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback()
	for _, key := range []string{"first", "second"} {
		if err := tx.Set(fmt.Appendf(nil, "%s.%d", key, worker), fmt.Append(nil, uint64(tx.ReadVersion()))); err != nil {
			return 0, 0, err
		}
	}
	err = tx.Commit(ctx)
	return tx.ReadVersion(), tx.CommitVersion(), err
}
