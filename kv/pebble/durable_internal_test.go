package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

// TestWaitDurableSeesCommitUnderWay: between a commit's becoming visible and
// its acknowledgement a reader can see it, and WaitDurable with the reader's
// version must wait for it.
func TestWaitDurableSeesCommitUnderWay(t *testing.T) {
	ctx := t.Context()
	mem := vfs.NewCrashableMem()
	open := func(fs vfs.FS) *driver {
		o, err := Tune(Options{}, func(e *pebble.Options) { e.FS = fs }).withDefaults()
		require.NoError(t, err)
		d, err := open("db", &o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	}
	d := open(mem)
	begun, err := d.Begin(ctx, kv.BeginOptions{})
	require.NoError(t, err)
	defer begun.Release()
	writer := begun.(*txn)
	c := &kv.Commit{Writes: []kv.Write{{Key: []byte("k"), Value: []byte("v")}}, NoSync: true}
	_, err = d.ctl.Commit(writer.ticket, c, func(v kv.Version) error {
		require.NoError(t, d.apply(writer.batch(c), true))
		d.snapshots.publish(d.db, v)
		reader, err := d.Begin(ctx, kv.BeginOptions{ReadOnly: true})
		require.NoError(t, err)
		defer reader.Release()
		require.Equal(t, v, reader.ReadVersion())
		return d.WaitDurable(ctx, v)
	})
	require.NoError(t, err)

	after, err := open(mem.CrashClone(vfs.CrashCloneCfg{})).Begin(ctx, kv.BeginOptions{ReadOnly: true})
	require.NoError(t, err)
	defer after.Release()
	got, err := after.Get(ctx, []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(got))
}
