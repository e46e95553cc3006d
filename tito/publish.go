package tito

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// publisher is the effect that publishes the events of one call: Change gathers
// them, and Write publishes all or, if the queue refuses one, none.
type publisher[T any, ID comparable] struct{ writing[T, ID] }

// newPublisher returns the publisher of a call, nil if it publishes nothing.
func (w *writing[T, ID]) newPublisher() *publisher[T, ID] {
	if len(w.t.schema.Events) == 0 || w.opts != nil && w.opts.NoEvents {
		return nil
	}
	w.messages, w.payloads = w.messages[:0], w.payloads[:0]
	return &publisher[T, ID]{*w}
}

// Want implements record.Effect: an event needs nothing but the row.
func (p *publisher[T, ID]) Want(_ *record.Mutation, keys [][]byte) [][]byte { return keys }

// Change implements record.Effect.
func (p *publisher[T, ID]) Change(_ context.Context, m *record.Mutation, _ [][]byte) error {
	rec, _ := m.Record.(*T) // nil for a delete
	old, err := p.old(m)
	if err != nil {
		return err
	}
	var key string
	for i := range p.t.schema.Events {
		e := &p.t.schema.Events[i]
		if e.When != nil && !e.When(old, rec) {
			continue
		}
		if key == "" {
			if key, err = p.key(m, old, rec); err != nil {
				return p.t.keyError(m.PK(), err)
			}
		}
		if err := p.event(e, key, m); err != nil {
			return p.t.keyError(m.PK(), err)
		}
	}
	return nil
}

// old decodes the record that was there, if a function of the schema will be
// given it.
func (p *publisher[T, ID]) old(m *record.Mutation) (*T, error) {
	wanted := m.Delete && p.t.schema.PartitionKey != nil
	for i := range p.t.schema.Events {
		wanted = wanted || p.t.schema.Events[i].When != nil
	}
	if !wanted || m.Old == nil {
		return nil, nil
	}
	return p.t.decode(m.PK(), m.Old)
}

// key returns the partition key of the row's events.
func (p *publisher[T, ID]) key(m *record.Mutation, old, rec *T) (string, error) {
	if p.t.schema.PartitionKey == nil {
		key, err := idText(m.PK())
		return key[:min(len(key), queue.MaxKeySize)], err
	}
	if rec == nil {
		rec = old
	}
	key := p.t.schema.PartitionKey(rec)
	if len(key) > queue.MaxKeySize {
		return "", fmt.Errorf("%w: partition key of more than %d bytes", queue.ErrMessage, queue.MaxKeySize)
	}
	return key, nil
}

// event adds the message for one topic.
func (p *publisher[T, ID]) event(e *Event[T], key string, m *record.Mutation) error {
	v := eventValue{operation: operationOf(m.Old, m.Value), table: p.t.name, pk: m.PK()}
	var err error
	if e.Before {
		if v.before, err = imageOf(m.Old); err != nil {
			return err
		}
	}
	if e.After {
		if v.after, err = imageOf(m.Value); err != nil {
			return err
		}
	}
	start := len(p.payloads)
	p.payloads = appendEvent(p.payloads, &v)
	payload := p.payloads[start:len(p.payloads):len(p.payloads)]
	if len(payload) > queue.MaxPayloadSize {
		return fmt.Errorf("%w: event for topic %q with its images", queue.ErrPayloadTooLarge, e.Topic)
	}
	var metadata map[string]string
	if p.opts != nil {
		metadata = p.opts.Metadata
	}
	p.messages = append(p.messages, queue.Message{Topic: e.Topic, Key: key, Headers: metadata, Payload: payload})
	return nil
}

// Write implements record.Effect.
func (p *publisher[T, ID]) Write(ctx context.Context, tx *kv.Txn) error {
	if len(p.messages) == 0 {
		return nil
	}
	if err := p.tx.db.queue.Publish(ctx, tx, p.messages...); err != nil {
		return fmt.Errorf("table %q: %w", p.t.name, err)
	}
	return nil
}
