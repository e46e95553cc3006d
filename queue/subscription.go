package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// Defaults of Subscription.
const (
	DefaultConcurrency  = 8
	DefaultBatchSize    = 100
	DefaultMaxAttempts  = 5
	DefaultMinBackoff   = time.Second
	DefaultMaxBackoff   = 5 * time.Minute
	DefaultTimeout      = time.Minute
	DefaultDrainTimeout = 30 * time.Second
)

// Bounds of Subscription.
const (
	maxConcurrency = 1 << 12
	maxBatchSize   = 10_000
	maxMaxAttempts = 1 << 30
)

// Start says where a group begins that does not exist yet.
type Start uint8

const (
	// FromOldest begins with the oldest event in the log, so that a new group
	// gets everything. The default.
	FromOldest Start = iota

	// FromNewest begins with what is published after the group was made. What
	// was published shortly before may be among it.
	FromNewest
)

// Subscription says what a worker does: which topic it reads, as which group,
// and with which handler. Exactly one of the four handlers is set.
//
// Events of one partition are handed out one after the other, in order; those of
// different partitions at the same time. A handler that returns nil is done with
// the event. One that returns an error or panics gets the event again, after a
// pause in which the partition waits; see MaxAttempts.
type Subscription struct {
	// Topic to read. It need not exist yet.
	Topic string

	// Group is who reads: each group gets every event, and the workers of one
	// group share them. A group is made when its first worker runs.
	Group string

	// Start says where a group begins that does not exist yet.
	Start Start

	// Handler is called with each event. Delivery is at least once: after a
	// crash, or when the partition goes to another process, the last events may
	// come again, so the handler's effects have to bear repetition.
	Handler func(ctx context.Context, ev *Event) error

	// TxHandler is called with each event and a transaction. What it writes and
	// the group's progress commit together, so its effects on the store happen
	// exactly once. On a conflict it runs again in a new transaction, as by
	// kv.Store.Update, so the handler must have no effects but on tx. An error that wraps
	// kv.ErrUnavailable, on a store that processes share, is taken for the store's:
	// the event comes again, and the attempt does not count. An attempt whose
	// transaction has become too old, although the handler took less than half of
	// Timeout, does not count either.
	TxHandler func(ctx context.Context, tx *kv.Txn, ev *Event) error

	// BatchHandler is Handler for up to BatchSize events at once, of any
	// partitions, with the events of each partition in order. If it fails, its events
	// come again singly, and only that counts as an attempt.
	BatchHandler func(ctx context.Context, events []*Event) error

	// TxBatchHandler is TxHandler for up to BatchSize events at once; see
	// BatchHandler. One transaction for many events is what makes it fast. On a
	// conflict, or if they write too much together, the batch is halved.
	TxBatchHandler func(ctx context.Context, tx *kv.Txn, events []*Event) error

	// BatchSize bounds the events of a batch, at most 10000. Default 100.
	BatchSize int

	// Concurrency is how many handlers run at the same time. Default 8.
	Concurrency int

	// MaxInFlight bounds the events that the worker holds in memory. Whatever
	// MaxInFlight is, the worker reads nothing while its events take 64 MiB. It reads
	// 256 events at a time, so very large events can take more. Default: enough to
	// keep all handlers busy.
	MaxInFlight int

	// MaxAttempts is how often an event may fail before it becomes a dead letter
	// and its partition goes on. Default 5.
	MaxAttempts int

	// Block keeps a partition waiting for an event that fails, beyond
	// MaxAttempts, instead of making it a dead letter.
	Block bool

	// MinBackoff and MaxBackoff bound the pause before an event comes again: the
	// pause doubles with each attempt, and a random half of it varies. Defaults 1 s
	// and 5 min.
	MinBackoff, MaxBackoff time.Duration

	// Timeout ends the context of a handler, with ErrTimeout as its cause, and
	// makes the attempt a failure whatever the handler returns then. Go cannot stop a
	// handler, so the partition waits until it returns. For a transactional handler
	// Timeout is also its transaction's lifetime, and must be below the store's.
	// Default 1 min, but for a transactional handler at most two thirds of the store's
	// lifetime.
	Timeout time.Duration

	// DrainTimeout is how long handlers may go on when Run's context has ended,
	// before their context ends too, with ErrDraining as its cause. Default 30 s.
	DrainTimeout time.Duration

	// Durability of what transactional handlers commit. Default: the store's.
	Durability kv.Durability

	// Partitions restricts the worker to a fixed range of partitions. Without
	// it, and without Leader, the processes that run workers of the group share
	// all partitions, and one that stops or dies is replaced by the others.
	Partitions *PartitionRange

	// Leader, if set, is asked often, and the worker starts nothing while it
	// returns false. It is for programs that elect one process themselves. Two
	// leaders at the same time do no harm. It must not block.
	Leader func() bool
}

// PartitionRange is a half-open range of partitions.
type PartitionRange struct {
	From, To int
}

// transactional tells whether the handler gets a transaction.
func (s *Subscription) transactional() bool { return s.TxHandler != nil || s.TxBatchHandler != nil }

// batches tells whether the handler takes several events.
func (s *Subscription) batches() bool { return s.BatchHandler != nil || s.TxBatchHandler != nil }

// fixed tells whether the program says itself which process works on what.
func (s *Subscription) fixed() bool { return s.Partitions != nil || s.Leader != nil }

// withDefaults returns a copy of s with every zero field set, or an error that
// wraps ErrOptions.
func (s Subscription) withDefaults(info kv.Info) (Subscription, error) {
	if err := layout.CheckName("topic", s.Topic); err != nil {
		return s, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if err := layout.CheckName("group", s.Group); err != nil {
		return s, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	handlers := 0
	for _, set := range []bool{s.Handler != nil, s.TxHandler != nil, s.BatchHandler != nil, s.TxBatchHandler != nil} {
		if set {
			handlers++
		}
	}
	timeout := DefaultTimeout
	if s.transactional() {
		timeout = min(timeout, info.TxnLifetime*2/3)
	}
	orDefault(&s.Timeout, timeout)
	orDefault(&s.BatchSize, DefaultBatchSize)
	orDefault(&s.Concurrency, DefaultConcurrency)
	orDefault(&s.MaxAttempts, DefaultMaxAttempts)
	orDefault(&s.MinBackoff, DefaultMinBackoff)
	orDefault(&s.MaxBackoff, max(DefaultMaxBackoff, s.MinBackoff))
	orDefault(&s.DrainTimeout, DefaultDrainTimeout)
	if s.MaxInFlight == 0 && s.Concurrency > 0 && s.BatchSize > 0 {
		s.MaxInFlight = max(1024, 4*s.Concurrency)
		if s.batches() {
			s.MaxInFlight = max(s.MaxInFlight, 2*s.Concurrency*s.BatchSize)
		}
	}
	bad := func(what string) (Subscription, error) { return s, fmt.Errorf("%w: %s", ErrOptions, what) }
	switch {
	case handlers != 1:
		return bad(fmt.Sprintf("%d handlers instead of one", handlers))
	case s.Start > FromNewest:
		return bad("unknown Start")
	case s.BatchSize < 1 || s.BatchSize > maxBatchSize:
		return bad(fmt.Sprintf("BatchSize is not between 1 and %d", maxBatchSize))
	case s.Concurrency < 1 || s.Concurrency > maxConcurrency:
		return bad(fmt.Sprintf("Concurrency is not between 1 and %d", maxConcurrency))
	case s.MaxInFlight < 1:
		return bad("MaxInFlight is negative")
	case s.MaxAttempts < 1 || s.MaxAttempts > maxMaxAttempts:
		return bad(fmt.Sprintf("MaxAttempts is not between 1 and %d", maxMaxAttempts))
	case s.MinBackoff < 0 || s.MaxBackoff < s.MinBackoff:
		return bad("MinBackoff is negative or above MaxBackoff")
	case s.Timeout < 0 || s.DrainTimeout < 0:
		return bad("Timeout or DrainTimeout is negative")
	case s.transactional() && s.Timeout >= info.TxnLifetime:
		return bad(fmt.Sprintf("Timeout %v is not below the store's transaction lifetime of %v", s.Timeout, info.TxnLifetime))
	case s.Durability > kv.NoSync:
		return bad("unknown Durability")
	case s.Durability == kv.NoSync && !info.NoSync:
		return bad("the store has no NoSync")
	case s.Partitions != nil && (s.Partitions.From < 0 || s.Partitions.To <= s.Partitions.From):
		return bad("Partitions is empty or begins below 0")
	}
	for _, d := range []*time.Duration{&s.MinBackoff, &s.MaxBackoff, &s.Timeout, &s.DrainTimeout} {
		*d = min(*d, access.Forever)
	}
	if s.Partitions != nil {
		r := *s.Partitions
		s.Partitions = &r
	}
	return s, nil
}
