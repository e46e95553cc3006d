package tito

import (
	"context"
	"fmt"

	"github.com/tito-db/tito-go/queue"
)

// publisher gathers the events of one call that writes rows of a table, and
// publishes them before anything is written.
type publisher[T any, ID comparable] struct {
	t        *Table[T, ID]
	tx       *Tx
	metadata map[string]string
	messages []queue.Message
	payloads []byte // of messages, one after the other
}

// newPublisher returns the publisher of a call, nil if it publishes nothing.
func (t *Table[T, ID]) newPublisher(tx *Tx, o *WriteOptions) *publisher[T, ID] {
	if len(t.schema.Events) == 0 || o != nil && o.NoEvents {
		return nil
	}
	p := &publisher[T, ID]{t: t, tx: tx, messages: tx.w.messages[:0], payloads: tx.w.payloads[:0]}
	if o != nil {
		p.metadata = o.Metadata
	}
	return p
}

// add notes what is done to one row. before is its value, nil for none, and
// after the new one, nil for none, which holds rec.
func (p *publisher[T, ID]) add(pk, before, after []byte, rec *T) error {
	old, err := p.old(pk, before, rec == nil)
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
			if key, err = p.key(pk, old, rec); err != nil {
				return p.t.keyError(pk, err)
			}
		}
		if err := p.event(e, key, pk, before, after); err != nil {
			return p.t.keyError(pk, err)
		}
	}
	return nil
}

// old decodes the record that was there, if a function of the schema will be
// given it.
func (p *publisher[T, ID]) old(pk, value []byte, deleted bool) (*T, error) {
	wanted := deleted && p.t.schema.PartitionKey != nil
	for i := range p.t.schema.Events {
		wanted = wanted || p.t.schema.Events[i].When != nil
	}
	if !wanted || value == nil {
		return nil, nil
	}
	return p.t.decode(pk, value)
}

// key returns the partition key of the row's events.
func (p *publisher[T, ID]) key(pk []byte, old, rec *T) (string, error) {
	if p.t.schema.PartitionKey == nil {
		key, err := idText(pk)
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

func (p *publisher[T, ID]) event(e *Event[T], key string, pk, before, after []byte) error {
	op := operationOf(before, after)
	if !e.Before {
		before = nil
	}
	if !e.After {
		after = nil
	}
	start := len(p.payloads)
	var err error
	if p.payloads, err = appendEvent(p.payloads, op, p.t.name, pk, before, after); err != nil {
		return err
	}
	payload := p.payloads[start:len(p.payloads):len(p.payloads)]
	if len(payload) > queue.MaxPayloadSize {
		return fmt.Errorf("%w: event for topic %q with its images", queue.ErrPayloadTooLarge, e.Topic)
	}
	p.messages = append(p.messages, queue.Message{Topic: e.Topic, Key: key, Headers: p.metadata, Payload: payload})
	return nil
}

// publish publishes all events or, if one is refused, none.
func (p *publisher[T, ID]) publish(ctx context.Context) error {
	p.tx.w.messages, p.tx.w.payloads = p.messages, p.payloads // for the next call
	if len(p.messages) == 0 {
		return nil
	}
	if err := p.tx.db.queue.Publish(ctx, p.tx.kv, p.messages...); err != nil {
		return fmt.Errorf("table %q: %w", p.t.name, err)
	}
	return nil
}
