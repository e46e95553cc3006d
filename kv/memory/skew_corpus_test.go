package memory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// number reads a key as a number, 0 if it is absent.
func number(ctx context.Context, tx *kv.Txn, key string) (int, error) {
	v, err := tx.Get(ctx, []byte(key))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

func setNumber(tx *kv.Txn, key string, n int) error {
	return tx.Set([]byte(key), strconv.AppendInt(nil, int64(n), 10))
}

// correct are programs that keep their promise under snapshot isolation, each
// the way programs do: by writing what they read, by locking it, or because
// any order of the transactions explains what they saw.
var correct = map[string]func(ctx context.Context, tx *kv.Txn, r *rand.Rand) error{ // immutable
	"counter": func(ctx context.Context, tx *kv.Txn, _ *rand.Rand) error {
		n, err := number(ctx, tx, "counter")
		return errors.Join(err, setNumber(tx, "counter", n+1))
	},
	"transfer": func(ctx context.Context, tx *kv.Txn, r *rand.Rand) error {
		from := r.IntN(4)
		a, b := fmt.Sprint("account", from), fmt.Sprint("account", (from+1+r.IntN(3))%4)
		x, err1 := number(ctx, tx, a)
		y, err2 := number(ctx, tx, b)
		return errors.Join(err1, err2, setNumber(tx, a, x-1), setNumber(tx, b, y+1))
	},
	"one of two stays, by Lock": func(ctx context.Context, tx *kv.Txn, r *rand.Rand) error {
		mine := r.IntN(2)
		other := []byte(fmt.Sprint("duty", 1-mine))
		if err := tx.Lock(ctx, other); err != nil {
			return err
		}
		n, err := number(ctx, tx, string(other))
		return errors.Join(err, setNumber(tx, fmt.Sprint("duty", mine), 1-n))
	},
	"insert under a fence": func(ctx context.Context, tx *kv.Txn, _ *rand.Rand) error {
		n := 0
		for _, err := range tx.Scan(ctx, kv.Range{Start: []byte("row"), End: []byte("rox")}, nil) {
			if err != nil {
				return err
			}
			n++
		}
		if n == 20 {
			return errors.Join(tx.DeleteRange(ctx, kv.Range{Start: []byte("row"), End: []byte("rox")}), setNumber(tx, "fence", n))
		}
		return errors.Join(setNumber(tx, fmt.Sprintf("row%02d", n), n), setNumber(tx, "fence", n))
	},
	"blind write": func(_ context.Context, tx *kv.Txn, r *rand.Rand) error {
		return setNumber(tx, fmt.Sprint("blind", r.IntN(3)), r.IntN(100))
	},
	"log of what a setting was": func(ctx context.Context, tx *kv.Txn, r *rand.Rand) error {
		n, err := number(ctx, tx, "setting") // others change it; the entry then comes before
		return errors.Join(err, setNumber(tx, fmt.Sprint("log", r.Uint64()), n))
	},
	"change the setting": func(_ context.Context, tx *kv.Txn, r *rand.Rand) error {
		return setNumber(tx, "setting", r.IntN(100))
	},
}

// TestCorrectProgramsAreNotReported runs the corpus side by side.
func TestCorrectProgramsAreNotReported(t *testing.T) {
	ctx := t.Context()
	s, skews := detecting(t)
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	errs := map[string]error{}
	for name, program := range correct {
		for worker := range 2 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(worker)))
				for range 200 {
					if err := s.Update(ctx, func(tx *kv.Txn) error { return program(ctx, tx, r) }); err != nil {
						mu.Lock()
						errs[name] = err
						mu.Unlock()
						return
					}
				}
			})
		}
	}
	wg.Wait()
	require.Empty(t, errs)
	require.NoError(t, s.Close())
	for _, w := range *skews {
		t.Error(w)
	}
}
