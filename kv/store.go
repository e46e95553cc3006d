package kv

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Store is an ordered, transactional key-value store: one engine under the
// contract of this package. It is safe for any number of goroutines.
type Store struct {
	driver Driver
	info   Info
	opts   Options

	mu     sync.Mutex
	open   map[*Txn]struct{}
	reaper *time.Timer   // dooms transactions past their lifetime; nil until first needed
	reapAt time.Time     // when reaper fires; zero if it is not armed
	closed bool          // no new transactions
	idle   chan struct{} // made by Close, closed when the last transaction has ended
}

// NewStore puts the transaction engine over a driver. Drivers call it from
// their Open; programs call that. On error the driver is closed.
func NewStore(d Driver, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		_ = d.Close() // the options are at fault; nothing was written
		return nil, err
	}
	if opts.Wrap != nil {
		d = opts.Wrap(d)
	}
	s := &Store{driver: d, info: d.Info(), opts: opts, open: map[*Txn]struct{}{}}
	s.info.Limits.MaxTxnSize = min(s.info.Limits.MaxTxnSize, opts.MaxTxnSize)
	if opts.Durability == NoSync && !s.info.NoSync {
		_ = d.Close() // the options are at fault; nothing was written
		return nil, fmt.Errorf("%w: the %s driver has no NoSync", ErrOptions, s.info.Name)
	}
	return s, nil
}

// Info describes the store: its driver, its limits and the lifetime of its
// read-write transactions.
func (s *Store) Info() Info { return s.info }

// As sets target to the engine's native handle if its type is one that the
// driver documents, and reports whether it did. What is done through it is
// outside every guarantee of this package.
func (s *Store) As(target any) bool { return s.driver.As(target) }

// Watermark returns a version such that no read-write transaction with a lower
// ReadVersion can still commit. It trails the newest version by at most the
// age of the oldest open transaction, plus what the driver's document says.
func (s *Store) Watermark(ctx context.Context) (Version, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	return s.driver.Watermark(ctx)
}

// WaitDurable returns once every commit at or below v survives a crash.
// Commits become visible before they are durable; with Sync this waits for
// other transactions' commits that were read, with NoSync for one's own too.
func (s *Store) WaitDurable(ctx context.Context, v Version) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.driver.WaitDurable(ctx, v)
}

func (s *Store) usable(ctx context.Context) error {
	if err := ctxError(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Begin opens a transaction, to be ended by Commit or Rollback. Prefer Update
// and View, which end it and retry conflicts.
func (s *Store) Begin(ctx context.Context, o *TxnOptions) (*Txn, error) {
	var opts TxnOptions
	if o != nil {
		opts = *o
	}
	durability, err := s.durability(opts.Durability)
	if err != nil {
		return nil, err
	}
	if opts.Lifetime < 0 || opts.MaxAttempts < 0 {
		return nil, fmt.Errorf("%w: negative Lifetime or MaxAttempts", ErrOptions)
	}
	if err := ctxError(ctx); err != nil {
		return nil, err
	}
	// The transaction is registered before it has a snapshot, so that Close
	// waits for the driver's Begin too; its lifetime counts from here.
	t := &Txn{store: s, durability: durability, readOnly: opts.ReadOnly}
	t.deadline = time.Now().Add(s.lifetime(opts))
	t.mu.Lock()
	defer t.unlock()
	if err := s.register(t); err != nil {
		return nil, err
	}
	defer t.finishUnlessBegun()
	d, err := s.driver.Begin(ctx, BeginOptions{ReadOnly: opts.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("kv: begin: %w", err)
	}
	t.driver, t.readVersion = d, d.ReadVersion()
	return t, nil
}

func (s *Store) durability(d Durability) (Durability, error) {
	switch {
	case d > NoSync:
		return d, fmt.Errorf("%w: unknown Durability %d", ErrOptions, d)
	case d == NoSync && !s.info.NoSync:
		return d, fmt.Errorf("%w: the %s driver has no NoSync", ErrOptions, s.info.Name)
	case d == DurabilityDefault:
		return s.opts.Durability, nil
	}
	return d, nil
}

func (s *Store) lifetime(o TxnOptions) time.Duration {
	switch {
	case o.ReadOnly && o.Lifetime > 0:
		return o.Lifetime
	case o.ReadOnly:
		return s.opts.ViewLifetime
	case o.Lifetime > 0:
		return min(o.Lifetime, s.info.TxnLifetime)
	}
	return s.info.TxnLifetime
}

// register makes t known to Close and to the reaper.
func (s *Store) register(t *Txn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.open[t] = struct{}{}
	s.armReaper(t.deadline)
	return nil
}

// unregister forgets t, whose snapshot has been released.
func (s *Store) unregister(t *Txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
	if s.idle != nil && len(s.open) == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// armReaper makes sure that the reaper runs at deadline or before. One timer
// serves all transactions, and costs nothing while lifetimes are kept: it is
// moved only when it fires, not when a transaction ends. s.mu is held.
func (s *Store) armReaper(deadline time.Time) {
	if !s.reapAt.IsZero() && !deadline.Before(s.reapAt) {
		return
	}
	s.reapAt = deadline
	if s.reaper == nil {
		s.reaper = time.AfterFunc(time.Until(deadline), s.reap)
	} else {
		s.reaper.Reset(time.Until(deadline))
	}
}

// reap ends transactions that outlived their lifetime, so that one that was
// forgotten does not pin its snapshot for ever.
func (s *Store) reap() {
	now := time.Now()
	var expired []*Txn
	s.mu.Lock()
	s.reapAt = time.Time{}
	if !s.closed {
		var next time.Time
		for t := range s.open {
			if !t.deadline.After(now) {
				expired = append(expired, t)
			} else if next.IsZero() || t.deadline.Before(next) {
				next = t.deadline
			}
		}
		if !next.IsZero() {
			s.armReaper(next)
		}
	}
	s.mu.Unlock()
	for _, t := range expired {
		t.doom(t.tooOld())
	}
}

// Close waits for commits and reads that are under way, fails all other open
// transactions with ErrClosed, and releases the engine. Every later use of the
// store, its transactions and cursors is an error that wraps ErrClosed (or
// ErrTxnDone for transactions that had ended), never a panic. The second Close
// returns ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	if s.reaper != nil {
		s.reaper.Stop()
	}
	var idle chan struct{}
	open := make([]*Txn, 0, len(s.open))
	for t := range s.open {
		open = append(open, t)
	}
	if len(open) > 0 {
		idle = make(chan struct{})
		s.idle = idle
	}
	s.mu.Unlock()
	for _, t := range open {
		t.doom(ErrClosed)
	}
	if idle != nil {
		<-idle
	}
	return s.driver.Close()
}
