package kv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// described is a driver that says something else of itself.
type described struct {
	kv.Driver
	info   kv.Info
	closed int
}

func (d *described) Info() kv.Info { return d.info }

func (d *described) Close() error {
	d.closed++
	return nil
}

// memoryDriver returns the driver of a memory store, which stays open.
func memoryDriver(t testing.TB) (driver kv.Driver) {
	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		driver = d
		return d
	}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return driver
}

// TestOptionsRefused: a store that cannot have what its options ask for does
// not open, and its driver is closed.
func TestOptionsRefused(t *testing.T) {
	info := kv.Info{Name: "strict", Limits: kv.DefaultLimits(), TxnLifetime: time.Second}
	for name, o := range map[string]kv.Options{
		"TxnLifetime below 0":     {TxnLifetime: -1},
		"ViewLifetime below 0":    {ViewLifetime: -1},
		"MinBackoff below 0":      {MinBackoff: -1},
		"MaxBackoff below 0":      {MaxBackoff: -1},
		"MaxTxnSize below 0":      {MaxTxnSize: -1},
		"MaxAttempts below 0":     {MaxAttempts: -1},
		"backoff upside down":     {MinBackoff: 2, MaxBackoff: 1},
		"unknown durability":      {Durability: 9},
		"NoSync":                  {Durability: kv.NoSync},
		"TxnLifetime not its own": {TxnLifetime: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			d := &described{Driver: memoryDriver(t), info: info}
			_, err := kv.NewStore(d, &o)
			require.ErrorIs(t, err, kv.ErrOptions)
			require.Equal(t, 1, d.closed)
		})
	}
}

func TestOptionsTaken(t *testing.T) {
	info := kv.Info{Name: "small", Limits: kv.Limits{MaxKeySize: 3, MaxValueSize: 4, MaxTxnSize: 20}, TxnLifetime: time.Second}
	s, err := kv.NewStore(&described{Driver: memoryDriver(t), info: info}, &kv.Options{TxnLifetime: time.Second})
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, info, s.Info(), "the engine's limits are lower than the defaults")

	tx := begin(t, s, nil)
	require.ErrorIs(t, tx.Set([]byte("1234"), []byte("1")), kv.ErrKeyTooLarge)
	require.ErrorIs(t, tx.Set([]byte("123"), []byte("12345")), kv.ErrValueTooLarge)
	require.NoError(t, tx.Set([]byte("123"), []byte("1234")))
	require.ErrorIs(t, tx.SetDurability(kv.NoSync), kv.ErrOptions)
	require.ErrorIs(t, tx.SetDurability(9), kv.ErrOptions)

	for _, o := range []kv.TxnOptions{{Durability: kv.NoSync}, {Durability: 9}, {Lifetime: -1}, {MaxAttempts: -1}} {
		_, err := s.Begin(t.Context(), &o)
		require.ErrorIs(t, err, kv.ErrOptions)
	}
	s2, err := kv.NewStore(&described{Driver: memoryDriver(t), info: info}, &kv.Options{MaxTxnSize: 7})
	require.NoError(t, err)
	defer s2.Close()
	require.Equal(t, 7, s2.Info().Limits.MaxTxnSize)
}

// TestDurability: the store's choice, a transaction's at Begin, and its last
// word before Commit.
func TestDurability(t *testing.T) {
	for _, c := range []struct {
		store, begin, set kv.Durability
		noSync            bool
	}{
		{0, 0, 0, false},
		{kv.Sync, 0, 0, false},
		{kv.NoSync, 0, 0, true},
		{kv.NoSync, kv.Sync, 0, false},
		{kv.Sync, kv.NoSync, 0, true},
		{kv.Sync, kv.NoSync, kv.Sync, false},
		{kv.Sync, kv.Sync, kv.NoSync, true},
	} {
		s, p := openProbe(t, &kv.Options{Durability: c.store})
		tx := begin(t, s, &kv.TxnOptions{Durability: c.begin})
		if c.set != 0 {
			require.NoError(t, tx.SetDurability(c.set))
		}
		require.NoError(t, tx.Set([]byte("a"), []byte("1")))
		require.NoError(t, tx.Commit(t.Context()))
		require.Equal(t, c.noSync, p.commits[0].NoSync, "%+v", c)
	}
}

func TestVersionTime(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	v := kv.VersionAt(at)
	require.True(t, v.Time().Equal(at.Truncate(time.Millisecond)))
	require.True(t, (v + 1<<18 - 1).Time().Equal(v.Time()), "last of its millisecond")
	require.True(t, (v + 1<<18).Time().Equal(v.Time().Add(time.Millisecond)))
	require.Zero(t, kv.VersionAt(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)))
}
