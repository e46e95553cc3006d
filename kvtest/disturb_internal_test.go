package kvtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

func TestDisturb(t *testing.T) {
	s, err := memory.Open(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	n := 0
	Disturb(t, s, func(context.Context) error { n++; return nil }, &DisturbOptions{Rounds: 2})
	require.Equal(t, 2, n)
}

// TestDisturbCatches: what a store may not lose, and that it has to recover.
func TestDisturbCatches(t *testing.T) {
	var faulty *Faulty
	for name, disturb := range map[string]func(ctx context.Context, s *kv.Store) error{
		"a value that changes by itself": func(ctx context.Context, s *kv.Store) error {
			return s.Update(ctx, func(tx *kv.Txn) error { return tx.Set(accountKey(0), val("1000000")) })
		},
		"a lost commit": func(ctx context.Context, s *kv.Store) error {
			return s.Update(ctx, func(tx *kv.Txn) error {
				return tx.DeleteRange(ctx, kv.Range{})
			})
		},
		"no recovery": func(context.Context, *kv.Store) error {
			faulty.Inject(Rule{Call: CallBegin, Err: kv.ErrUnavailable, Every: true})
			return nil
		},
		"an error that is none of trouble": func(context.Context, *kv.Store) error {
			faulty.Inject(Rule{Call: CallGet, Err: kv.ErrCorrupt})
			faulty.Inject(Rule{Call: CallBatchGet, Err: kv.ErrCorrupt})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			faulty = &Faulty{}
			s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
			require.NoError(t, err)
			r := &recorder{TB: t, name: t.Name(), quiet: true, ctx: t.Context()}
			r.run(nil, func() {
				Disturb(r, s, func(ctx context.Context) error { return disturb(ctx, s) },
					&DisturbOptions{Rounds: 1, Recovery: 100 * time.Millisecond})
			})
			require.True(t, r.Failed(), "it was not caught")
			require.NoError(t, s.Close())
		})
	}
}
