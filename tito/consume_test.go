package tito_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// step is what a program of some version knows of the table "steps".
type step struct {
	ID   string
	Note string
}

func stepTable(version uint32, codec tito.Codec) *tito.Table[step, string] {
	return tito.Define(tito.Schema[step, string]{
		Table: "steps", ID: tito.StringID(func(s *step) *string { return &s.ID }), Version: version, Codec: codec,
		Events:       []tito.Event[step]{{Topic: "step", Before: true, After: true}},
		PartitionKey: func(*step) string { return "one" }, // all in one partition, in order
	})
}

// numbered is what another program takes a step for.
type numbered struct {
	ID   string
	Note int
}

// otherCodec is JSON under another id.
type otherCodec struct{ tito.Codec }

func (otherCodec) ID() uint8 { return 90 }

// program is a version of a program that reads and writes steps.
type program struct {
	*tito.DB
	steps *tito.Table[step, string]
	log   *strings.Builder
}

func startProgram(t *testing.T, store *kv.Store, version uint32, codec tito.Codec) *program {
	p := &program{steps: stepTable(version, codec), log: &strings.Builder{}}
	var err error
	o := &tito.Options{Queue: &queue.Options{Logger: slog.New(slog.NewTextHandler(p.log, nil))}}
	p.DB, err = tito.Open(t.Context(), store, o, p.steps, clerks)
	require.NoError(t, err)
	return p
}

func (p *program) put(t *testing.T, id, note string) {
	update(t, p.DB, func(ctx context.Context, tx *tito.Tx) {
		_, err := p.steps.Put(ctx, tx, &step{ID: id, Note: note}, nil)
		require.NoError(t, err)
	})
}

// consume runs a worker of the group for d, and returns the notes that it saw.
func (p *program) consume(t *testing.T, d time.Duration, fail func(c *tito.Change[step, string]) error) (seen []string) {
	var mu sync.Mutex
	w, err := p.steps.Consume(p.DB, queue.Subscription{Topic: "step", Group: "g", MaxAttempts: 2}, func(_ context.Context, tx *tito.Tx, c *tito.Change[step, string]) error {
		if fail != nil {
			if err := fail(c); err != nil {
				return err
			}
		}
		tx.KV().OnCommit(func() {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, c.ID+"="+c.After.Note)
		})
		return nil
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, w.Run(ctx))
	mu.Lock()
	defer mu.Unlock()
	return seen
}

// dead returns the reasons of the group's dead letters, and how often they were tried.
func (p *program) dead(t *testing.T) (all []string) {
	require.NoError(t, p.View(t.Context(), func(tx *tito.Tx) error {
		for letter, err := range p.Queue().Group("step", "g").DeadLetters(t.Context(), tx.KV()) {
			require.NoError(t, err)
			all = append(all, fmt.Sprintf("%d %s", letter.Event.Attempt, letter.Reason))
		}
		return nil
	}))
	return all
}

// Events that the program cannot read yet wait, however often they are looked at, and
// those behind them too; the next version of the program goes on with them.
func TestConsumeWaitsForOtherPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		version uint32
		codec   tito.Codec
		reason  string
		raw     string // instead of an event of the newer program
	}{
		"schema": {version: 1, reason: tito.ErrNewerSchema.Error()},
		"codec":  {codec: otherCodec{tito.JSON()}, reason: tito.ErrUnknownCodec.Error()},
		"format": {raw: "t\x02of the future", reason: tito.ErrNewerFormat.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memoryStore(t, nil)
				older, newer := startProgram(t, store, 0, nil), startProgram(t, store, c.version, c.codec)
				older.put(t, "a", "1")
				if c.raw == "" {
					newer.put(t, "b", "2")
				} else {
					update(t, newer.DB, func(ctx context.Context, tx *tito.Tx) {
						require.NoError(t, newer.Queue().Publish(ctx, tx.KV(), queue.Message{Topic: "step", Key: "one", Payload: []byte(c.raw)}))
					})
				}
				older.put(t, "c", "3")
				require.Equal(t, []string{"a=1"}, older.consume(t, time.Hour, nil))
				require.Empty(t, older.dead(t))
				require.Contains(t, older.log.String(), c.reason)
				require.NotContains(t, older.log.String(), "attempts=1")
				if c.raw == "" {
					require.Equal(t, []string{"b=2", "c=3"}, newer.consume(t, time.Minute, nil))
				}
				require.Empty(t, newer.dead(t))
			})
		})
	}
}

// A handler that has met a row of a newer program waits too, unless it says what is to
// become of the event.
func TestConsumeWaitsForRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startProgram(t, memoryStore(t, nil), 0, nil)
		p.put(t, "a", "1")
		began := time.Now()
		blocked := func(until time.Duration, err error) func(*tito.Change[step, string]) error {
			return func(*tito.Change[step, string]) error {
				if time.Since(began) < until {
					return fmt.Errorf("reading a row: %w", err)
				}
				return nil
			}
		}
		require.Equal(t, []string{"a=1"}, p.consume(t, time.Hour, blocked(30*time.Minute, tito.ErrNewerSchema)))
		require.Empty(t, p.dead(t))
		p.put(t, "a", "2")
		require.Empty(t, p.consume(t, time.Minute, blocked(24*time.Hour, queue.Cancel(tito.ErrNewerSchema))))
		p.put(t, "a", "3")
		require.Empty(t, p.consume(t, time.Hour, blocked(24*time.Hour, tito.ErrNotFound)))
		require.Equal(t, []string{
			"1 reading a row: " + tito.ErrNewerSchema.Error(),
			"2 reading a row: " + tito.ErrNotFound.Error(),
		}, p.dead(t))
	})
}

// Damage becomes a dead letter at once; what lies behind it goes on.
func TestConsumeGivesUpDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startProgram(t, memoryStore(t, nil), 0, nil)
		numbers := tito.Define(tito.Schema[numbered, string]{
			Table: "steps", ID: tito.StringID(func(n *numbered) *string { return &n.ID }),
			Events:       []tito.Event[numbered]{{Topic: "step", After: true}},
			PartitionKey: func(*numbered) string { return "one" },
		})
		other, err := tito.Open(t.Context(), p.Store(), nil, numbers)
		require.NoError(t, err)
		update(t, other, func(ctx context.Context, tx *tito.Tx) {
			require.NoError(t, other.Queue().Publish(ctx, tx.KV(), queue.Message{Topic: "step", Key: "one", Payload: []byte("t\x01cut")}))
			_, err := numbers.Create(ctx, tx, &numbered{"n", 1}, nil)
			require.NoError(t, err)
		})
		p.put(t, "a", "1")
		began := time.Now()
		require.Equal(t, []string{"a=1"}, p.consume(t, time.Second, nil))
		require.Equal(t, time.Second, time.Since(began))
		dead := p.dead(t)
		require.Len(t, dead, 2)
		require.Contains(t, dead[0], "1 event: "+tito.ErrCorrupt.Error())
		require.Contains(t, dead[1], "1 event: after: ")
		require.Contains(t, dead[1], tito.ErrDecode.Error())
	})
}

// Events of others in the topic are done without a word.
func TestConsumePassesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memoryStore(t, nil)
		p := startProgram(t, store, 0, nil)
		update(t, p.DB, func(ctx context.Context, tx *tito.Tx) {
			strangers := tito.Define(tito.Schema[plan, string]{Table: "strangers", ID: planID, Events: []tito.Event[plan]{{Topic: "step"}}})
			db, err := tito.Open(ctx, store, nil, strangers)
			require.NoError(t, err)
			_, err = strangers.Create(ctx, db.Tx(tx.KV()), &plan{ID: "x"}, nil)
			require.NoError(t, err)
			for _, payload := range []string{"", "mail"} {
				require.NoError(t, p.Queue().Publish(ctx, tx.KV(), queue.Message{Topic: "step", Payload: []byte(payload)}))
			}
		})
		p.put(t, "a", "1")
		require.Equal(t, []string{"a=1"}, p.consume(t, time.Second, nil))
		require.Empty(t, p.dead(t))
		require.NotContains(t, p.log.String(), "again")
		require.NoError(t, p.View(t.Context(), func(tx *tito.Tx) error {
			s, err := p.Queue().Group("step", "g").Stats(t.Context(), tx.KV())
			require.Zero(t, s.Lag())
			require.Equal(t, uint64(4), s.Done)
			return err
		}))
	})
}

// What a handler writes commits with the group's progress: once for each event, also
// if handlers fail after they have written.
func TestConsumeOnce(t *testing.T) {
	replicas := tito.Define(tito.Schema[replica, string]{Table: "replicas", ID: tito.StringID(func(r *replica) *string { return &r.ID })})
	stores(t, func(t *testing.T, open openStore) {
		db, err := tito.Open(t.Context(), open(t, nil), nil, tickets, clerks, replicas)
		require.NoError(t, err)
		const rows = 20
		for i := range rows {
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				_, err := tickets.Put(ctx, tx, &ticket{ID: fmt.Sprint(i), Code: fmt.Sprint(i)}, nil)
				require.NoError(t, err)
			})
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var mu sync.Mutex
		failed, done := map[string]bool{}, 0
		s := queue.Subscription{Topic: "ticket.images", Group: "copy", MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
		worker, err := tickets.Consume(db, s, func(ctx context.Context, tx *tito.Tx, c *tito.Change[ticket, string]) error {
			if _, err := replicas.Create(ctx, tx, &replica{ID: c.ID, State: c.After.Code}, nil); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if !failed[c.ID] {
				failed[c.ID] = true
				return errors.New("after it wrote")
			}
			tx.KV().OnCommit(func() {
				mu.Lock()
				defer mu.Unlock()
				if done++; done == rows {
					stop()
				}
			})
			return nil
		})
		require.NoError(t, err)
		require.NoError(t, worker.Run(ctx))
		n, err := replicas.Count(t.Context(), db)
		require.NoError(t, err)
		require.Equal(t, rows, n)
	})
}

func TestConsumeRefuses(t *testing.T) {
	db := openTickets(t, memoryStore, nil)
	handler := func(context.Context, *tito.Tx, *tito.Change[ticket, string]) error { return nil }
	s := queue.Subscription{Topic: "ticket", Group: "g"}
	_, err := tickets.Consume(db, s, nil)
	require.ErrorIs(t, err, tito.ErrOptions)
	for _, own := range []queue.Subscription{
		{Handler: func(context.Context, *queue.Event) error { return nil }},
		{TxHandler: func(context.Context, *kv.Txn, *queue.Event) error { return nil }},
		{BatchHandler: func(context.Context, []*queue.Event) error { return nil }},
		{TxBatchHandler: func(context.Context, *kv.Txn, []*queue.Event) error { return nil }},
	} {
		own.Topic, own.Group = "ticket", "g"
		_, err = tickets.Consume(db, own, handler)
		require.ErrorIs(t, err, tito.ErrOptions)
	}
	_, err = tickets.Consume(db, queue.Subscription{Group: "g"}, handler)
	require.ErrorIs(t, err, queue.ErrOptions)
	_, err = stepTable(0, nil).Consume(db, s, func(context.Context, *tito.Tx, *tito.Change[step, string]) error { return nil })
	require.ErrorIs(t, err, tito.ErrNotRegistered)
	broken := tito.Define(tito.Schema[ticket, string]{Table: "broken"})
	_, err = broken.Consume(db, s, handler)
	require.ErrorIs(t, err, tito.ErrSchema)
}
