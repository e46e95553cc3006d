package tito_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

const goldenEventsPath = "testdata/events.golden"

// goldenEvents is what some writes publish at a clock that stands still: of
// each event topic, key and payload in hexadecimal, with printable bytes beside it.
func goldenEvents(t *testing.T) (text string) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		plans := tito.Define(tito.Schema[plan, string]{Table: "plans", ID: planID, Version: 300,
			Events: []tito.Event[plan]{{Topic: "plan", After: true}}})
		keyeds := tito.Define(tito.Schema[keyed[point], point]{Table: "points",
			ID:     tito.CustomID(func(k *keyed[point]) *point { return &k.ID }, parsePoint),
			Events: []tito.Event[keyed[point]]{{Topic: "point", Before: true}}})
		store := memoryStore(t, nil)
		db, err := tito.Open(ctx, store, &tito.Options{Prefix: []byte("app/")}, tickets, clerks, plans, keyeds)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.Create(ctx, tx, &ticket{ID: "b", Code: "c", State: "new"}, nil)
			require.NoError(t, err)
			_, err = plans.Create(ctx, tx, &plan{ID: "p"}, nil)
			require.NoError(t, err)
			_, err = keyeds.Create(ctx, tx, &keyed[point]{ID: point{1, 0x200}}, nil)
			require.NoError(t, err)
		})
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := tickets.Patch(ctx, tx, "b", func(r *ticket) error { r.State = "open"; return nil }, nil)
			require.NoError(t, err)
			require.NoError(t, keyeds.Delete(ctx, tx, point{1, 0x200}, nil))
		})
		var b strings.Builder
		for _, ev := range published(t, store, "app/") {
			fmt.Fprintf(&b, "%s | %q | % X | %s\n", ev.Topic, ev.Key, ev.Payload, printable(string(ev.Payload)))
		}
		text = b.String()
	})
	return text
}

// TestGoldenEvents pins every byte of events' payloads.
func TestGoldenEvents(t *testing.T) {
	got := goldenEvents(t)
	if *updateGolden {
		require.NoError(t, os.WriteFile(goldenEventsPath, []byte(got), 0o644))
	}
	want, err := os.ReadFile(goldenEventsPath)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// goldenPayloads returns the payloads of the file, not what is written now.
func goldenPayloads(t require.TestingT) (payloads [][]byte, hex string) {
	text, err := os.ReadFile(goldenEventsPath)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(line, " | ")
		var b []byte
		_, err := fmt.Sscanf(strings.ReplaceAll(parts[2], " ", ""), "%x", &b)
		require.NoError(t, err)
		payloads = append(payloads, b)
		hex += parts[2] + " "
	}
	return payloads, hex
}

func TestGoldenEventsAreRead(t *testing.T) {
	payloads, _ := goldenPayloads(t)
	var events []*queue.Event
	for _, p := range payloads {
		events = append(events, &queue.Event{Payload: p})
	}
	require.Equal(t, []string{
		"INSERT tickets b", "INSERT tickets b", "INSERT tickets b", "INSERT plans p", "INSERT points \x00\x01\x02\x00",
		"UPDATE tickets b", "UPDATE tickets b", "UPDATE tickets b", "DELETE points \x00\x01\x02\x00",
	}, lines(t, events))
	c, err := tickets.ParseEvent(events[6])
	require.NoError(t, err)
	require.Equal(t, "new", c.Before.State)
	require.Equal(t, "open", c.After.State)
	require.Equal(t, c.Before.Meta.Revision+1, c.After.Meta.Revision)
	e, err := tito.ParseEvent(events[3])
	require.NoError(t, err)
	require.Equal(t, uint32(300), e.After.Version)
}

// TestDocumentedEvents holds the examples in docs/format.md to the golden file.
func TestDocumentedEvents(t *testing.T) {
	_, golden := goldenPayloads(t)
	require.Equal(t, 1, documented(t, "<!-- golden: tito events -->", golden))
}

func payloadOf(t *testing.T, i int) []byte {
	payloads, _ := goldenPayloads(t)
	return bytes.Clone(payloads[i])
}

// An event that is not of the table, or damaged anywhere, is an error that says
// so, and never a panic or half a result.
func TestDamagedEvents(t *testing.T) {
	for _, ev := range []*queue.Event{nil, {}, {Payload: []byte("{}")}} {
		_, err := tito.ParseEvent(ev)
		require.ErrorIs(t, err, tito.ErrEvent)
		_, err = tickets.ParseEvent(ev)
		require.ErrorIs(t, err, tito.ErrEvent)
	}
	good := payloadOf(t, 6) // an update with both images
	for n := 1; n < len(good); n++ {
		_, err := tito.ParseEvent(&queue.Event{Payload: good[:n]})
		require.ErrorIs(t, err, tito.ErrCorrupt, "cut to %d bytes", n)
		_, err = tickets.ParseEvent(&queue.Event{Payload: good[:n]})
		require.ErrorIs(t, err, tito.ErrCorrupt, "cut to %d bytes", n)
	}
	_, err := tito.ParseEvent(&queue.Event{Payload: append(bytes.Clone(good), 0)})
	require.ErrorIs(t, err, tito.ErrCorrupt)
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			c, err := tickets.ParseEvent(&queue.Event{Payload: bad})
			if err == nil {
				continue // another time, revision or letter
			}
			require.Nil(t, c)
			require.True(t, errors.Is(err, tito.ErrCorrupt) || errors.Is(err, tito.ErrDecode) || errors.Is(err, tito.ErrNewerSchema) || errors.Is(err, tito.ErrEvent) || i == 1 && errors.Is(err, tito.ErrNewerFormat),
				"byte %d flipped by %x: %v", i, flip, err)
		}
	}
	set := func(i int, at int, b byte) error {
		p := payloadOf(t, i)
		p[at] = b
		_, err := tito.ParseEvent(&queue.Event{Payload: p})
		return err
	}
	require.ErrorIs(t, set(0, 1, 2), tito.ErrNewerFormat)
	require.ErrorIs(t, set(0, 1, 2), kv.ErrNewerFormat)
	require.ErrorContains(t, set(0, 1, 2), "event: tito: kv: newer format than this program knows: format 2, this program knows 1")
	require.ErrorIs(t, set(0, 1, 0), tito.ErrCorrupt)
	require.ErrorIs(t, set(0, 1, 0), kv.ErrCorrupt)
	for name, err := range map[string]error{
		"no operation":      set(0, 2, 0),
		"unknown operation": set(0, 2, 4),
		"INSERT of before":  set(6, 2, 1),
		"DELETE of after":   set(6, 2, 3),
		"unknown image":     set(0, len(payloadOf(t, 0))-1, 4),
	} {
		require.ErrorIs(t, err, tito.ErrCorrupt, name)
	}
}

// An image is read as a row would be: a newer layout is refused.
func TestEventOfNewerSchema(t *testing.T) {
	ev := &queue.Event{Payload: payloadOf(t, 3)}
	for version, want := range map[uint32]error{299: tito.ErrNewerSchema, 300: nil, 301: nil} {
		table := tito.Define(tito.Schema[plan, string]{Table: "plans", ID: planID, Version: version})
		_, err := table.ParseEvent(ev)
		require.ErrorIs(t, err, want)
	}
	other := tito.Define(tito.Schema[struct{ ID int64 }, int64]{Table: "plans", ID: tito.IntID(func(r *struct{ ID int64 }) *int64 { return &r.ID })})
	_, err := other.ParseEvent(ev)
	require.ErrorIs(t, err, tito.ErrCorrupt)
	require.ErrorContains(t, err, "primary key")
	_, err = tito.Define(tito.Schema[plan, string]{Table: "plans"}).ParseEvent(ev)
	require.ErrorIs(t, err, tito.ErrSchema)
}

// The image of a row that was written with another codec keeps that codec's id.
func TestEventImageKeepsItsCodec(t *testing.T) {
	schema := tito.Schema[plan, string]{Table: "plans", ID: planID, Events: []tito.Event[plan]{{Topic: "p", Before: true, After: true}}}
	before := tito.Define(schema)
	schema.Codec = shout{}
	after := tito.Define(schema)
	store := memoryStore(t, nil)
	for _, table := range []*tito.Table[plan, string]{before, after} {
		db, err := tito.Open(t.Context(), store, nil, table)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := table.Put(ctx, tx, &plan{ID: "p", A: "text"}, nil)
			require.NoError(t, err)
		})
	}
	ev := published(t, store, "")[1]
	e, err := tito.ParseEvent(ev)
	require.NoError(t, err)
	require.Equal(t, []uint8{1, 200}, []uint8{e.Before.Codec, e.After.Codec})
	c, err := after.ParseEvent(ev)
	require.NoError(t, err)
	require.Equal(t, c.Before, c.After)
	_, err = before.ParseEvent(ev)
	require.ErrorIs(t, err, tito.ErrDecode)
	require.ErrorContains(t, err, "event: after: ")
}

// shout is JSON behind an exclamation mark.
type shout struct{}

func (shout) ID() uint8 { return 200 }
func (shout) Append(dst []byte, rec any) ([]byte, error) {
	return tito.JSON().Append(append(dst, '!'), rec)
}
func (shout) Decode(data []byte, rec any) error { return tito.JSON().Decode(data[1:], rec) }

func FuzzEvent(f *testing.F) {
	payloads, _ := goldenPayloads(f)
	for _, p := range payloads {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		ev := &queue.Event{Payload: payload}
		e, err := tito.ParseEvent(ev)
		c, changeErr := tickets.ParseEvent(ev)
		if err != nil {
			require.Error(t, changeErr)
			require.True(t, errors.Is(err, tito.ErrCorrupt) || errors.Is(err, tito.ErrEvent))
			return
		}
		if changeErr == nil {
			require.Equal(t, e.Operation, c.Operation)
			require.Equal(t, e.ID, c.ID)
			require.Equal(t, e.Before != nil, c.Before != nil)
			require.Equal(t, e.After != nil, c.After != nil)
		}
	})
}
