package kvtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
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
	for _, c := range []struct {
		name     string
		disturb  func(ctx context.Context, s *kv.Store, faulty *kvfault.Faulty) error
		recovery time.Duration
		message  string
	}{
		{
			"a value that changes by itself",
			func(ctx context.Context, s *kv.Store, _ *kvfault.Faulty) error {
				return s.Update(ctx, func(tx *kv.Txn) error { return tx.Set(accountKey(0), val("1000000")) })
			},
			0, "the accounts add up to",
		},
		{
			"a lost commit",
			func(ctx context.Context, s *kv.Store, _ *kvfault.Faulty) error {
				return s.Update(ctx, func(tx *kv.Txn) error { return tx.DeleteRange(ctx, kv.Range{}) })
			},
			0, "a commit is lost",
		},
		{
			"no recovery",
			func(_ context.Context, _ *kv.Store, faulty *kvfault.Faulty) error {
				faulty.Inject(kvfault.Rule{Call: kv.CallBegin, Err: kv.ErrUnavailable, Every: true})
				return nil
			},
			100 * time.Millisecond, "after the disturbance, for 100ms",
		},
		{
			"an error that is none of trouble",
			func(_ context.Context, _ *kv.Store, faulty *kvfault.Faulty) error {
				faulty.Inject(kvfault.Rule{Call: kv.CallBatchGet, Err: kv.ErrCorrupt})
				return nil
			},
			0, kv.ErrCorrupt.Error(),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var faulty kvfault.Faulty
			s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
			require.NoError(t, err)
			r := &recorder{TB: t, name: t.Name(), quiet: true, ctx: t.Context()}
			r.run(nil, func() {
				Disturb(r, s, func(ctx context.Context) error { return c.disturb(ctx, s, &faulty) },
					&DisturbOptions{Rounds: 1, Recovery: c.recovery})
			})
			require.True(t, r.Failed(), "it was not caught")
			require.Contains(t, strings.Join(r.messages, "\n"), c.message)
			require.NoError(t, s.Close())
		})
	}
}
