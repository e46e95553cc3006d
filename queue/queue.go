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
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Defaults of Options.
const (
	DefaultPartitions = 1024
	DefaultMemberTTL  = 15 * time.Second
	DefaultMinPoll    = 20 * time.Millisecond
	DefaultMaxPoll    = time.Second
)

// Options of a Queue. The zero value means the defaults; nil works too.
type Options struct {
	// Prefix comes before every key, so that the queue can share a store with
	// others, whose keys may not begin with Prefix and a 'q'. It has at most 256
	// bytes; default none. All processes of a queue have the same Prefix.
	Prefix []byte

	// Partitions is how many partitions a topic gets that does not exist yet: a
	// multiple of 16, at most 16384. A topic keeps the number that it was first used
	// with. Default 1024.
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

	// Logger learns of retries, dead letters and lost partitions, and of calls of the
	// store that fail and that the queue tries again. Without a Logger nobody learns
	// why a worker stands still. Default none.
	Logger *slog.Logger
}

// Queue publishes to the topics of a store and runs workers on them. A process has
// one Queue for a store and Prefix: two Queues that work for one group on an embedded
// store take each other for dead. A Queue is safe for any number of goroutines. It
// needs no Close, because all that it runs ends with Worker.Run. The store remains
// the caller's.
type Queue struct {
	store   *access.Store
	opts    Options
	keys    eventlog.Keys
	log     *slog.Logger
	id      cluster.ID // random; the Queue's inbox rows and checkpoints carry it
	inbox   *eventlog.Inbox
	cluster *cluster.Cluster

	quarantine chan struct{} // has room for one: the suspect that is with a handler

	mu      sync.Mutex
	feeds   map[string]*feed // by topic, while workers of this Queue run on it
	claimed []*Worker        // the workers that run
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
	case layout.CheckPrefix(opts.Prefix) != nil:
		return nil, fmt.Errorf("%w: %w", ErrOptions, layout.CheckPrefix(opts.Prefix))
	case opts.Partitions < 0 || opts.Partitions%eventlog.Shards != 0 || opts.Partitions > eventlog.MaxPartitions:
		return nil, fmt.Errorf("%w: Partitions is not a multiple of %d up to %d", ErrOptions, eventlog.Shards, eventlog.MaxPartitions)
	case opts.MemberTTL < 0 || opts.MinPoll < 0 || opts.MaxPoll < opts.MinPoll:
		return nil, fmt.Errorf("%w: MemberTTL or MinPoll is negative, or MaxPoll below MinPoll", ErrOptions)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []*time.Duration{&opts.MemberTTL, &opts.MinPoll, &opts.MaxPoll} {
		*d = min(*d, access.Forever)
	}
	opts.Prefix = slices.Clone(opts.Prefix)
	q := &Queue{
		store: &access.Store{Store: store, Log: opts.Logger, MinPoll: opts.MinPoll, MaxPoll: opts.MaxPoll},
		opts:  opts, keys: eventlog.Keys{Prefix: opts.Prefix}, log: opts.Logger,
		feeds: map[string]*feed{}, quarantine: make(chan struct{}, 1),
	}
	if _, err := rand.Read(q.id[:]); err != nil {
		return nil, fmt.Errorf("queue: no randomness: %w", err)
	}
	q.inbox = eventlog.NewInbox(q.keys, binary.BigEndian.Uint64(q.id[:]))
	q.cluster = cluster.New(q.store, cluster.Options{
		Prefix: opts.Prefix, ID: q.id, TTL: opts.MemberTTL, Reads: q.reads, Changed: q.reassigned,
	})
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
// Publish reads nothing, adds no conflict to tx however hot a key is, and costs
// nothing beyond the commit (but see Message.Unique). Each message takes one row, of
// the message's size and about 100 bytes. Messages that one transaction publishes
// through one Queue keep their order, key by key; Message.Key says what holds for
// messages of several transactions.
//
// If Publish refuses a message, with ErrMessage or ErrPayloadTooLarge, it writes no
// message of the call. An error of the store, such as kv.ErrTxnTooLarge, leaves tx as
// kv says.
func (q *Queue) Publish(ctx context.Context, tx *kv.Txn, messages ...Message) error {
	if tx.Store() != q.store.Store {
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
	known, err := q.known(ctx, tx, messages)
	if err != nil {
		return fmt.Errorf("queue: publish: %w", err)
	}
	var published wakes
	var row []byte
	for i := range messages {
		if len(known) > 0 && known[i] {
			continue
		}
		m := &messages[i]
		var shard int
		if shard, row, err = q.inbox.Put(tx, m.row(), row); err != nil {
			return fmt.Errorf("queue: publish: %w", err)
		}
		published.add(m.Topic, shard)
	}
	if published != nil {
		tx.OnCommit(func() { q.wake(published) })
	}
	return nil
}

// known returns which of messages are not to be published, because one with the
// same topic and Unique was, and is remembered; nil if none has a Unique. It
// remembers the others.
func (q *Queue) known(ctx context.Context, tx *kv.Txn, messages []Message) ([]bool, error) {
	var uniques []eventlog.Unique
	var at []int
	for i := range messages {
		if m := &messages[i]; m.Unique != "" {
			keep := m.UniqueFor
			orDefault(&keep, DefaultUniqueFor)
			uniques, at = append(uniques, eventlog.Unique{Topic: m.Topic, Value: m.Unique, For: keep}), append(at, i)
		}
	}
	if uniques == nil {
		return nil, nil
	}
	found, err := eventlog.Remember(ctx, tx, q.keys, uniques)
	if err != nil {
		return nil, err
	}
	known := make([]bool, len(messages))
	for n, i := range at {
		known[i] = found[n]
	}
	return known, nil
}

// wakes says which shards of which topics have something new in their inbox.
// It is a list, because most transactions publish to one topic.
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
		f := q.feeds[w.topic]
		q.mu.Unlock()
		if f != nil {
			f.pump.Published(w.shards)
		}
	}
}

// reads returns what the workers of this Queue read.
func (q *Queue) reads() []cluster.Subject {
	q.mu.Lock()
	defer q.mu.Unlock()
	var reads []cluster.Subject
	for _, w := range q.claimed {
		s := cluster.Subject{Topic: w.s.Topic, Group: w.s.Group}
		if !w.shares() {
			s.Group = "" // sequences the topic, and shares no partitions
		}
		if !slices.Contains(reads, s) {
			reads = append(reads, s)
		}
	}
	return reads
}

// reassigned has all workers look anew which partitions are theirs.
func (q *Queue) reassigned() {
	q.mu.Lock()
	workers := slices.Clone(q.claimed)
	q.mu.Unlock()
	for _, w := range workers {
		w.sched.Reassign()
	}
}
