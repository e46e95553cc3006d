package tito_test

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// ticket is a model with events of every sort.
type ticket struct {
	ID    string
	Code  string // unique
	Owner string
	State string
	Note  string
	Lead  *clerk // hydrated from Owner; the codec would take it

	Meta tito.Meta `json:"-"`
}

type clerk struct{ ID, Name string }

const clerkT tito.Name[clerk, string] = "clerks"

var (
	ticketByCode = tito.Index("code", tito.String(func(t *ticket) string { return t.Code }), &tito.IndexOptions[ticket]{Unique: true})
	ticketLead   = tito.One("lead", clerkT, func(t *ticket) *string { return &t.Owner }, func(t *ticket, p *clerk) { t.Lead = p })

	ticketEvents = []tito.Event[ticket]{
		{Topic: "ticket"},
		{Topic: "ticket.images", Before: true, After: true},
		{Topic: "ticket.state", After: true, When: func(before, after *ticket) bool {
			return before == nil || after == nil || before.State != after.State
		}},
	}
	tickets = tito.Define(tito.Schema[ticket, string]{
		Table:     "tickets",
		ID:        tito.StringID(func(t *ticket) *string { return &t.ID }),
		Indexes:   tito.Indexes(ticketByCode),
		Relations: tito.Relations(ticketLead),
		Events:    ticketEvents,
		Meta:      func(t *ticket) *tito.Meta { return &t.Meta },
	})
	clerks = tito.Define(tito.Schema[clerk, string]{
		Table:  clerkT,
		ID:     tito.StringID(func(p *clerk) *string { return &p.ID }),
		Events: []tito.Event[clerk]{{Topic: "ticket"}},
	})
)

func openTickets(t testing.TB, open openStore, o *kv.Options) *tito.DB {
	t.Helper()
	db, err := tito.Open(t.Context(), open(t, o), nil, tickets, clerks)
	require.NoError(t, err)
	return db
}

// published returns what was published and not moved to the log yet, in order.
// It knows the queue's inbox from docs/format.md alone.
func published(t require.TestingT, store *kv.Store, prefix string) []*queue.Event {
	type row struct {
		order [3]uint64
		event *queue.Event
	}
	var rows []row
	for k, v := range dump(t, store, prefix) {
		rest, ok := strings.CutPrefix(k, "qi")
		if !ok {
			continue
		}
		topic, after, err := keyenc.DecodeString([]byte(rest))
		require.NoError(t, err)
		require.Len(t, after, 1+3*8)
		var r row
		for i := range r.order {
			r.order[i] = binary.BigEndian.Uint64(after[1+8*i:])
		}
		r.event = parseMessage(t, []byte(v))
		r.event.Topic, r.event.Version = topic, kv.Version(r.order[0])
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { // one Queue has one nonce
		return cmp.Or(cmp.Compare(a.order[0], b.order[0]), cmp.Compare(a.order[2], b.order[2]))
	})
	events := []*queue.Event{}
	for _, r := range rows {
		events = append(events, r.event)
	}
	return events
}

func parseMessage(t require.TestingT, b []byte) *queue.Event {
	sized := func() string {
		n, size := binary.Uvarint(b)
		s := string(b[size : size+int(n)])
		b = b[size+int(n):]
		return s
	}
	require.Equal(t, byte(1), b[8])
	b = b[9:] // hash, format
	ev := &queue.Event{Key: sized()}
	n, size := binary.Uvarint(b)
	b = b[size:]
	for range n {
		if ev.Headers == nil {
			ev.Headers = map[string]string{}
		}
		name := sized()
		ev.Headers[name] = sized()
	}
	ev.Payload = b
	return ev
}

// on returns the events of one topic.
func on(topic string, events []*queue.Event) []*queue.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev *queue.Event) bool { return ev.Topic != topic })
}

// lines says of each event what was done to what.
func lines(t require.TestingT, events []*queue.Event) []string {
	all := []string{}
	for _, ev := range events {
		e, err := tito.ParseEvent(ev)
		require.NoError(t, err)
		all = append(all, e.Operation.String()+" "+e.Table+" "+e.ID)
	}
	return all
}
