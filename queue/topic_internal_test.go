package queue

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// slowChecks is a driver on which a check of the hints takes for ever.
type slowChecks struct {
	kv.Driver
	checks int
}

func (d *slowChecks) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := d.Driver.Begin(ctx, o)
	return &slowChecksTxn{t, d}, err
}

type slowChecksTxn struct {
	kv.DriverTxn
	d *slowChecks
}

func (t *slowChecksTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	if o.KeysOnly && bytes.HasPrefix(r.Start, []byte{layout.SpaceQueue, layout.KindInbox}) {
		t.d.checks++
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return t.DriverTxn.Cursor(ctx, r, o)
}

// Nobody waits for a check of the hints, which reads the tombstones of all that
// was published lately.
func TestHintCheckIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowChecks{}
		store := MemoryStore(t, &kv.Options{Wrap: func(driver kv.Driver) kv.Driver {
			d.Driver = driver
			return d
		}})
		q, err := Open(store, nil)
		require.NoError(t, err)
		handled := make(chan string, 1)
		w, err := q.Subscribe(Subscription{Topic: "topic", Group: "group", Handler: func(_ context.Context, ev *Event) error {
			handled <- string(ev.Payload)
			return nil
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		<-time.After(eventlog.FirstHintCheck + 2*time.Second)
		synctest.Wait()
		require.Equal(t, 1, d.checks)
		require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
			return q.Publish(ctx, tx, Message{Topic: "topic", Payload: []byte("new")})
		}))
		select {
		case payload := <-handled:
			require.Equal(t, "new", payload)
		case <-time.After(time.Second):
			require.Fail(t, "sequencing waits for the check")
		}
		cancel()
		require.NoError(t, <-ran)
	})
}
