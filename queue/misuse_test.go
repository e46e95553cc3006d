package queue_test

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

func TestOpenRefuses(t *testing.T) {
	store := queue.MemoryStore(t, nil)
	for name, o := range map[string]*queue.Options{
		"prefix":           {Prefix: make([]byte, 257)},
		"partitions":       {Partitions: 17},
		"negative":         {Partitions: -16},
		"many":             {Partitions: 16400},
		"ttl":              {MemberTTL: -1},
		"poll":             {MinPoll: -1},
		"poll upside down": {MinPoll: 2 * time.Second, MaxPoll: time.Second},
	} {
		_, err := queue.Open(store, o)
		require.ErrorIs(t, err, queue.ErrOptions, name)
	}
	_, err := queue.Open(nil, nil)
	require.ErrorIs(t, err, queue.ErrOptions)
	_, err = queue.Open(store, &queue.Options{MinPoll: time.Minute})
	require.NoError(t, err, "MaxPoll follows MinPoll")
}

func TestSubscribeRefuses(t *testing.T) {
	store := queue.MemoryStore(t, nil)
	q, err := queue.Open(store, nil)
	require.NoError(t, err)
	plain := func(context.Context, *queue.Event) error { return nil }
	tx := func(context.Context, *kv.Txn, *queue.Event) error { return nil }
	good := queue.Subscription{Topic: "topic", Group: "group", Handler: plain}
	_, err = q.Subscribe(good)
	require.NoError(t, err)
	for name, change := range map[string]func(s *queue.Subscription){
		"no topic":            func(s *queue.Subscription) { s.Topic = "" },
		"no group":            func(s *queue.Subscription) { s.Group = "" },
		"long topic":          func(s *queue.Subscription) { s.Topic = strings.Repeat("x", 201) },
		"topic not UTF-8":     func(s *queue.Subscription) { s.Topic = "\xff" },
		"group with newline":  func(s *queue.Subscription) { s.Group = "a\nb" },
		"no handler":          func(s *queue.Subscription) { s.Handler = nil },
		"two handlers":        func(s *queue.Subscription) { s.TxHandler = tx },
		"start":               func(s *queue.Subscription) { s.Start = queue.FromNewest + 1 },
		"batch size":          func(s *queue.Subscription) { s.BatchSize = -1 },
		"large batch size":    func(s *queue.Subscription) { s.BatchSize = 10_001 },
		"concurrency":         func(s *queue.Subscription) { s.Concurrency = -1 },
		"much concurrency":    func(s *queue.Subscription) { s.Concurrency = 4097 },
		"in flight":           func(s *queue.Subscription) { s.MaxInFlight = -1 },
		"attempts":            func(s *queue.Subscription) { s.MaxAttempts = -1 },
		"backoff":             func(s *queue.Subscription) { s.MinBackoff = -1 },
		"backoff upside down": func(s *queue.Subscription) { s.MinBackoff, s.MaxBackoff = 2, 1 },
		"timeout":             func(s *queue.Subscription) { s.Timeout = -1 },
		"drain timeout":       func(s *queue.Subscription) { s.DrainTimeout = -1 },
		"timeout of transactions": func(s *queue.Subscription) {
			s.Handler, s.TxHandler, s.Timeout = nil, tx, store.Info().TxnLifetime
		},
		"durability":     func(s *queue.Subscription) { s.Durability = kv.NoSync + 1 },
		"empty range":    func(s *queue.Subscription) { s.Partitions = &queue.PartitionRange{From: 1, To: 1} },
		"negative range": func(s *queue.Subscription) { s.Partitions = &queue.PartitionRange{From: -1, To: 1} },
	} {
		s := good
		change(&s)
		_, err := q.Subscribe(s)
		require.ErrorIs(t, err, queue.ErrOptions, name)
	}
}

// unsynced is a driver without NoSync.
type unsynced struct{ kv.Driver }

func (d unsynced) Info() kv.Info {
	info := d.Driver.Info()
	info.NoSync = false
	return info
}

func TestSubscribeRefusesNoSync(t *testing.T) {
	store := queue.MemoryStore(t, &kv.Options{Wrap: func(d kv.Driver) kv.Driver { return unsynced{d} }})
	q, err := queue.Open(store, nil)
	require.NoError(t, err)
	_, err = q.Subscribe(queue.Subscription{Topic: "topic", Group: "group", Durability: kv.NoSync,
		TxHandler: func(context.Context, *kv.Txn, *queue.Event) error { return nil }})
	require.ErrorIs(t, err, queue.ErrOptions)
}

func TestPublishRefuses(t *testing.T) {
	ctx := t.Context()
	store := queue.MemoryStore(t, nil)
	q, err := queue.Open(store, nil)
	require.NoError(t, err)
	good := queue.Message{Topic: "topic", Payload: []byte("x")}
	for name, c := range map[string]struct {
		message queue.Message
		want    error
	}{
		"no topic":        {queue.Message{}, queue.ErrMessage},
		"topic not UTF-8": {queue.Message{Topic: "\xff"}, queue.ErrMessage},
		"long topic":      {queue.Message{Topic: strings.Repeat("x", 201)}, queue.ErrMessage},
		"tab":             {queue.Message{Topic: "a\tb"}, queue.ErrMessage},
		"long key":        {queue.Message{Topic: "topic", Key: strings.Repeat("x", queue.MaxKeySize+1)}, queue.ErrMessage},
		"large headers":   {queue.Message{Topic: "topic", Headers: map[string]string{"a": strings.Repeat("x", queue.MaxHeaderSize)}}, queue.ErrMessage},
		"large payload":   {queue.Message{Topic: "topic", Payload: make([]byte, queue.MaxPayloadSize+1)}, queue.ErrPayloadTooLarge},
	} {
		require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
			require.ErrorIs(t, q.Publish(ctx, tx, good, c.message), c.want, name)
			require.Zero(t, tx.Size(), "something was written")
			return nil
		}))
	}
	require.ErrorIs(t, store.View(ctx, func(tx *kv.Txn) error { return q.Publish(ctx, tx, good) }), kv.ErrReadOnly)
	ended, end := context.WithCancel(ctx)
	end()
	require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
		require.ErrorIs(t, q.Publish(ended, tx, good), context.Canceled)
		require.Zero(t, tx.Size())
		return nil
	}))
	require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error { return q.Publish(ctx, tx) }))
	tx, err := store.Begin(ctx, nil)
	require.NoError(t, err)
	tx.Rollback()
	require.ErrorIs(t, q.Publish(ctx, tx, good), kv.ErrTxnDone)

	small := queue.MemoryStore(t, &kv.Options{MaxTxnSize: 64 << 10})
	q, err = queue.Open(small, nil)
	require.NoError(t, err)
	require.NoError(t, small.Update(ctx, func(tx *kv.Txn) error {
		require.ErrorIs(t, q.Publish(ctx, tx, queue.Message{Topic: "topic", Payload: make([]byte, 60<<10)}), queue.ErrPayloadTooLarge)
		return q.Publish(ctx, tx, good)
	}))
}

// Whatever a message may be, its handler gets it as it was published, and so does
// who reads dead letters.
func TestMessagesArrive(t *testing.T) {
	var binaryKey []byte
	for i := range 256 {
		binaryKey = append(binaryKey, byte(i))
	}
	headers := map[string]string{"": "", "trace": "\x00\xff", "long": strings.Repeat("h", queue.MaxHeaderSize-13)}
	messages := map[string]queue.Message{
		"nothing":   {},
		"empty":     {Payload: []byte{}},
		"zero":      {Payload: []byte{0}},
		"binary":    {Key: string(binaryKey), Payload: binaryKey},
		"zero key":  {Key: "\x00"},
		"long key":  {Key: strings.Repeat("\xff", queue.MaxKeySize)},
		"headers":   {Key: "k", Headers: headers, Payload: []byte("p")},
		"everybody": {Key: strings.Repeat("k", queue.MaxKeySize), Headers: headers, Payload: bytes.Repeat([]byte("p"), queue.MaxPayloadSize)},
	}
	for _, kind := range handlerKinds {
		for name, m := range messages {
			t.Run(kind+"/"+name, func(t *testing.T) {
				inBubble(t, nil, func(b *bubble) {
					m.Topic = strings.Repeat("ü", 100)
					var got []*queue.Event
					s := each(kind, func(_ context.Context, ev *queue.Event) error {
						got = append(got, ev)
						return queue.Cancel(errHandler)
					})
					s.Topic, s.Group, s.Concurrency = m.Topic, strings.Repeat("g", 200), 1
					w, err := b.q.Subscribe(s)
					require.NoError(b, err)
					ctx, cancel := context.WithCancel(b.Context())
					ran := make(chan error, 1)
					publish(b, b.store, b.q, m)
					go func() { ran <- w.Run(ctx) }()
					synctest.Wait()
					cancel()
					require.NoError(b, <-ran)
					require.Len(b, got, 1)
					require.NoError(b, b.store.View(b.Context(), func(tx *kv.Txn) error {
						for letter, err := range b.q.Group(m.Topic, s.Group).DeadLetters(b.Context(), tx) {
							require.NoError(b, err)
							got = append(got, letter.Event)
						}
						return nil
					}))
					require.Len(b, got, 2)
					for _, ev := range got {
						require.Equal(b, m.Topic, ev.Topic)
						require.Equal(b, m.Key, ev.Key)
						require.True(b, maps.Equal(m.Headers, ev.Headers))
						require.True(b, bytes.Equal(m.Payload, ev.Payload))
						require.EqualValues(b, 1, ev.Seq)
						require.Equal(b, 1, ev.Attempt)
						require.False(b, ev.Published().After(time.Now()))
					}
				})
			})
		}
	}
}
