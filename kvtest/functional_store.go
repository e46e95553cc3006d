package kvtest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func storeCases() []testCase {
	return []testCase{
		{name: "Info", run: info},
		{name: "As of an unknown type", run: asUnknown},
		{name: "versions", run: versions},
		{name: "versions and the wall clock", run: versionTime},
		{name: "the watermark", run: watermark},
		{name: "the watermark follows", run: watermarkFollows, needs: needPromptWatermark},
		{name: "the watermark and lifetimes", run: watermarkLifetime, needs: needPromptWatermark | needFakeTime},
		{name: "durability options", run: durabilityOptions},
		{name: "durability of Sync commits", run: syncCommits},
		{name: "durability of NoSync commits", run: noSyncCommits, needs: needNoSync},
		{name: "transaction options", run: txnOptions},
	}
}

func info(f *fixture) {
	i := f.store.Info()
	require.NotEmpty(f, i.Name)
	require.Positive(f, i.TxnLifetime)
	require.Equal(f, f.h.Caps.NoSync, i.NoSync, "the harness declares what the store says")
	require.Equal(f, f.h.Caps.Shared, i.Shared, "the harness declares what the store says")
	require.GreaterOrEqual(f, i.Limits.MaxKeySize, kv.DefaultMaxKeySize)
	require.Positive(f, i.Limits.MaxValueSize)
	require.Greater(f, i.Limits.MaxTxnSize, i.Limits.MaxValueSize)
	require.Equal(f, i, f.begin().Info())
}

func asUnknown(f *fixture) {
	type unknown struct{}
	var target *unknown
	require.False(f, f.store.As(&target))
	require.Nil(f, target)
}

func versions(f *fixture) {
	var last kv.Version
	for i := range 50 {
		tx := f.begin()
		read := tx.ReadVersion()
		require.GreaterOrEqual(f, read, last, "a begin sees what was acknowledged before")
		require.Zero(f, tx.CommitVersion())
		f.set(tx, "a", string(rune('a'+i%26)))
		v := f.commit(tx)
		require.Greater(f, v, read)
		require.Greater(f, v, last, "commit versions ascend")
		require.Equal(f, read, tx.ReadVersion(), "and the read version stays")
		require.GreaterOrEqual(f, f.view().ReadVersion(), v)
		last = v
	}
	before := f.view()
	tx := f.begin()
	f.set(tx, "a", "z")
	v := f.commit(tx)
	require.Less(f, before.ReadVersion(), v)
	require.NotEqual(f, "z", f.get(before, "a"), "a snapshot holds exactly the commits up to its version")
}

func versionTime(f *fixture) {
	const sane = time.Minute
	before := time.Now()
	v := f.put("a", "1")
	after := time.Now()
	require.True(f, v.Time().After(before.Add(-sane)), "version %v, before %v", v.Time(), before)
	require.True(f, v.Time().Before(after.Add(sane)), "version %v, after %v", v.Time(), after)
}

func (f *fixture) watermark() kv.Version {
	f.Helper()
	w, err := f.store.Watermark(f.ctx)
	f.ok(err)
	return w
}

// watermark holds for every driver: it never goes back, and no open or later
// read-write transaction reads below it.
func watermark(f *fixture) {
	last := f.watermark()
	var open []*kv.Txn
	for i := range 30 {
		tx := f.begin()
		require.GreaterOrEqual(f, tx.ReadVersion(), last)
		if open = append(open, tx); len(open) > 3 {
			open[i%3].Rollback()
			open = append(open[:i%3], open[i%3+1:]...)
		}
		f.put("a", "1")
		w := f.watermark()
		require.GreaterOrEqual(f, w, last, "the watermark never goes back")
		for _, tx := range open {
			require.LessOrEqual(f, w, tx.ReadVersion(), "an open transaction may commit still")
		}
		last = w
	}
	for _, tx := range open { // and they do
		f.set(tx, string(rune('b'+len(f.contents()))), "1")
		f.commit(tx)
	}
}

func watermarkFollows(f *fixture) {
	v := f.put("a", "1")
	require.GreaterOrEqual(f, f.watermark(), v)

	view := f.view()
	v = f.put("a", "2")
	require.GreaterOrEqual(f, f.watermark(), v, "views do not hold it back")
	require.Equal(f, "1", f.get(view, "a"))

	older, newer := f.begin(), f.begin()
	f.put("a", "3")
	newest := f.begin()
	v = f.put("a", "4")
	require.LessOrEqual(f, f.watermark(), older.ReadVersion())
	newer.Rollback()
	require.LessOrEqual(f, f.watermark(), older.ReadVersion(), "the oldest counts")
	older.Rollback()
	w := f.watermark()
	require.GreaterOrEqual(f, w, older.ReadVersion())
	require.LessOrEqual(f, w, newest.ReadVersion())
	newest.Rollback()
	require.GreaterOrEqual(f, f.watermark(), v)

	for _, end := range []func(tx *kv.Txn){
		func(tx *kv.Txn) { f.commit(tx) }, // without writes
		func(tx *kv.Txn) { f.set(tx, "b", "1"); f.commit(tx) },
		func(tx *kv.Txn) { f.set(tx, "a", "1"); f.conflict(tx) },
	} {
		tx := f.begin()
		v := f.put("a", "5")
		require.LessOrEqual(f, f.watermark(), tx.ReadVersion())
		end(tx)
		require.GreaterOrEqual(f, f.watermark(), v, "every end of a transaction releases it")
	}
}

func watermarkLifetime(f *fixture) {
	forgotten := f.begin()
	v := f.put("a", "1")
	require.LessOrEqual(f, f.watermark(), forgotten.ReadVersion())
	f.pass(f.store.Info().TxnLifetime)
	require.GreaterOrEqual(f, f.watermark(), v, "a forgotten transaction holds it back for its lifetime only")
}

func durabilityOptions(f *fixture) {
	_, err := f.store.Begin(f.ctx, &kv.TxnOptions{Durability: kv.NoSync + 1})
	f.fails(err, kv.ErrOptions)
	tx := f.begin()
	f.fails(tx.SetDurability(kv.NoSync+1), kv.ErrOptions)
	f.ok(tx.SetDurability(kv.Sync))
	f.ok(tx.SetDurability(kv.DurabilityDefault))
	f.set(tx, "a", "1")
	f.commit(tx)
	if !f.h.Caps.NoSync {
		_, err := f.store.Begin(f.ctx, &kv.TxnOptions{Durability: kv.NoSync})
		f.fails(err, kv.ErrOptions)
		f.fails(f.begin().SetDurability(kv.NoSync), kv.ErrOptions)
	}
	f.fails(f.view().SetDurability(kv.Sync), kv.ErrReadOnly)
}

func syncCommits(f *fixture) {
	f.ok(f.store.WaitDurable(f.ctx, 0))
	v := f.put("a", "1")
	f.ok(f.store.WaitDurable(f.ctx, v))
	f.ok(f.store.WaitDurable(f.ctx, v)) // again
	f.ok(f.store.WaitDurable(f.ctx, f.view().ReadVersion()))
}

func noSyncCommits(f *fixture) {
	commits := f.noSyncFlags(nil)
	commit := func(o *kv.TxnOptions, set kv.Durability) kv.Version {
		tx := f.beginWith(o)
		f.set(tx, "a", "1")
		if set != kv.DurabilityDefault {
			f.ok(tx.SetDurability(set))
		}
		v := f.commit(tx)
		f.ok(f.store.WaitDurable(f.ctx, v))
		return v
	}
	var last kv.Version
	for _, c := range []struct {
		o   *kv.TxnOptions
		set kv.Durability
	}{
		{nil, kv.DurabilityDefault},
		{&kv.TxnOptions{Durability: kv.NoSync}, kv.DurabilityDefault},
		{&kv.TxnOptions{Durability: kv.NoSync}, kv.Sync},
		{nil, kv.NoSync},
	} {
		v := commit(c.o, c.set)
		require.Greater(f, v, last)
		last = v
	}
	require.Equal(f, []bool{false, true, false, true}, *commits, "what the driver was asked for")

	commits = f.noSyncFlags(&kv.Options{Durability: kv.NoSync})
	commit(nil, kv.DurabilityDefault)
	commit(&kv.TxnOptions{Durability: kv.Sync}, kv.DurabilityDefault)
	require.Equal(f, []bool{true, false}, *commits, "the store's default, and a transaction's own choice")
}

// noSyncFlags opens a store whose commits note what durability they were asked for.
func (f *fixture) noSyncFlags(o *kv.Options) *[]bool {
	var opts kv.Options
	if o != nil {
		opts = *o
	}
	var flags []bool
	opts.Wrap = wrapTxns(func(_ kv.Driver, t kv.DriverTxn, _ kv.BeginOptions) kv.DriverTxn {
		return &durabilityTxn{t, &flags}
	})
	f.open(&opts)
	return &flags
}

func txnOptions(f *fixture) {
	for _, o := range []*kv.TxnOptions{{Lifetime: -1}, {MaxAttempts: -1}} {
		_, err := f.store.Begin(f.ctx, o)
		f.fails(err, kv.ErrOptions)
		f.fails(f.store.Run(f.ctx, o, func(*kv.Txn) error { return nil }), kv.ErrOptions)
	}
	tx := f.begin()
	for _, o := range []*kv.ScanOptions{{Limit: -1}, {PageSize: -1}} {
		_, err := tx.Cursor(f.ctx, kv.Range{}, o)
		f.fails(err, kv.ErrOptions)
	}
}
