package queue

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// Defaults of Options.
const (
	DefaultPartitions = 1024
	DefaultMemberTTL  = 15 * time.Second
	DefaultMinPoll    = 20 * time.Millisecond
	DefaultMaxPoll    = time.Second
)

// maxPartitions keeps the rows that hold a number for each partition of a
// shard small.
const maxPartitions = 1 << 14

// Options of a Queue. The zero value means the defaults; nil works too.
type Options struct {
	// Prefix is put before every key, so that a store can be shared with
	// others: no other's keys may begin with it and a 'q'. At most 256 bytes;
	// default none. All processes of a queue have the same.
	Prefix []byte

	// Partitions of topics that do not exist yet: a multiple of 16, at most
	// 16384. A topic keeps the number that it was first used with. Default 1024.
	Partitions int

	// MemberTTL is how long a process may show no sign of life before others
	// take over its partitions. It matters only on stores that several
	// processes share. Default 15 s.
	MemberTTL time.Duration

	// MinPoll and MaxPoll bound how long it takes to find what other processes
	// have published: polls are MinPoll apart while there is something, and up
	// to MaxPoll when there is not. What this process publishes wakes its
	// workers at once. Defaults 20 ms and 1 s.
	MinPoll, MaxPoll time.Duration

	// Logger is told of retries, dead letters and lost partitions, and of calls of
	// the store that fail and are tried again: without it nobody learns why a
	// worker stands still. Default none.
	Logger *slog.Logger
}

// Queue publishes to the topics of a store and runs workers on them. A process has
// one for a store and Prefix: two that work for one group on an embedded store
// take each other for dead. It is
// safe for any number of goroutines, and holds nothing that has to be closed:
// what runs, runs in Worker.Run. The store remains the caller's.
type Queue struct {
	store *kv.Store
	opts  Options
	keys  keyspace
	log   *slog.Logger

	id    memberID      // of this Queue, drawn at random; also what it tells apart its messages with
	nonce uint64        // the same, as a number
	count atomic.Uint64 // messages published

	alone chan struct{} // has room for one: the suspect that is with a handler; see trial

	mu      sync.Mutex
	topics  map[string]*topic // those that workers of this Queue run on
	claimed []*Worker         // those that run
	members *members          // runs while a worker does, on shared stores; else nil
	left    <-chan struct{}   // closed when the members that ran before have ended; nil if there are none
}

// Open returns a queue in a store. It reads and writes nothing.
func Open(store *kv.Store, o *Options) (*Queue, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	orDefault(&opts.Partitions, DefaultPartitions)
	orDefault(&opts.MemberTTL, DefaultMemberTTL)
	orDefault(&opts.MinPoll, DefaultMinPoll)
	orDefault(&opts.MaxPoll, max(DefaultMaxPoll, opts.MinPoll))
	switch {
	case store == nil:
		return nil, fmt.Errorf("%w: no store", ErrOptions)
	case len(opts.Prefix) > maxPrefixSize:
		return nil, fmt.Errorf("%w: Prefix of more than %d bytes", ErrOptions, maxPrefixSize)
	case opts.Partitions < 0 || opts.Partitions%shards != 0 || opts.Partitions > maxPartitions:
		return nil, fmt.Errorf("%w: Partitions is not a multiple of %d up to %d", ErrOptions, shards, maxPartitions)
	case opts.MemberTTL < 0 || opts.MinPoll < 0 || opts.MaxPoll < opts.MinPoll:
		return nil, fmt.Errorf("%w: MemberTTL or MinPoll is negative, or MaxPoll below MinPoll", ErrOptions)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []*time.Duration{&opts.MemberTTL, &opts.MinPoll, &opts.MaxPoll} {
		*d = min(*d, forEver)
	}
	opts.Prefix = slices.Clone(opts.Prefix)
	q := &Queue{store: store, opts: opts, keys: keyspace{opts.Prefix}, log: opts.Logger, topics: map[string]*topic{}, alone: make(chan struct{}, 1)}
	if _, err := rand.Read(q.id[:]); err != nil {
		return nil, fmt.Errorf("queue: no randomness: %w", err)
	}
	q.nonce = binary.BigEndian.Uint64(q.id[:])
	return q, nil
}

func orDefault[V comparable](v *V, def V) {
	var zero V
	if *v == zero {
		*v = def
	}
}

// Publish puts messages into their topics as part of tx, which has to be a
// transaction of the queue's store: the events exist if and only if it commits.
// It reads nothing, adds no conflict to tx however hot a key is, and costs
// nothing beyond the commit (but see Message.Unique); each message takes one row, of its size and about
// 100 bytes. Messages that one transaction publishes through one Queue keep
// their order, key by key; see Message.Key for those of several transactions.
//
// If a message is refused, with ErrMessage or ErrPayloadTooLarge, none of the
// call is written. An error of the store, kv.ErrTxnTooLarge for one, leaves tx
// as kv says.
func (q *Queue) Publish(ctx context.Context, tx *kv.Txn, messages ...Message) error {
	if tx.Store() != q.store {
		return fmt.Errorf("%w: the transaction is another store's", ErrOptions)
	}
	limits := tx.Info().Limits
	for i := range messages {
		if err := messages[i].check(limits); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		if cause := context.Cause(ctx); !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		return fmt.Errorf("queue: publish: %w", err)
	}
	dropped, err := q.drop(ctx, tx, messages)
	if err != nil {
		return fmt.Errorf("queue: publish: %w", err)
	}
	var published wakes
	var key, row []byte
	for i := range messages {
		if len(dropped) > 0 && dropped[i] {
			continue
		}
		m := &messages[i]
		count := q.count.Add(1)
		hash := hashKey(m.Key)
		if m.Key == "" {
			hash = mix(q.nonce + count) // a different place for each
		}
		shard := shardOf(hash)
		pos := inboxPos{version: tx.ReadVersion(), nonce: q.nonce, count: count}
		key = pos.append(append(q.keys.inboxTopic(m.Topic), byte(shard)))
		row = m.appendRow(row[:0], hash)
		if err := tx.Set(key, row); err != nil {
			return fmt.Errorf("queue: publish: %w", err)
		}
		published.add(m.Topic, shard)
	}
	if published != nil {
		tx.OnCommit(func() { q.wake(published) })
	}
	return nil
}

// wakes says which shards of which topics have something new in their inbox.
// Most transactions publish to one topic.
type wakes []wake

type wake struct {
	topic  string
	shards uint32 // a bit for each
}

func (w *wakes) add(topic string, shard int) {
	for i := range *w {
		if (*w)[i].topic == topic {
			(*w)[i].shards |= 1 << shard
			return
		}
	}
	*w = append(*w, wake{topic, 1 << shard})
}

// wake tells the topics that run in this process what a commit has published.
func (q *Queue) wake(published wakes) {
	for _, w := range published {
		q.mu.Lock()
		t := q.topics[w.topic]
		q.mu.Unlock()
		if t != nil {
			t.published(w.shards)
		}
	}
}
