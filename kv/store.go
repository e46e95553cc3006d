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
	open   *Txn          // newest of the open transactions, linked by older and newer
	active int           // open transactions, and driver calls that belong to no transaction
	reaper *time.Timer   // dooms transactions past their lifetime; nil until first needed
	reapAt time.Time     // when reaper fires; zero if it is not armed
	closed bool          // nothing new may begin
	idle   chan struct{} // made by Close, closed when active reaches zero
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
	s := &Store{driver: d, info: d.Info(), opts: opts}
	s.info.Limits.MaxTxnSize = min(s.info.Limits.MaxTxnSize, opts.MaxTxnSize)
	switch {
	case opts.Durability == NoSync && !s.info.NoSync:
		err = fmt.Errorf("%w: the %s driver has no NoSync", ErrOptions, s.info.Name)
	case opts.TxnLifetime != 0 && opts.TxnLifetime != s.info.TxnLifetime:
		err = fmt.Errorf("%w: TxnLifetime is %v, but the store has %v", ErrOptions, opts.TxnLifetime, s.info.TxnLifetime)
	}
	if err != nil {
		_ = d.Close() // the options are at fault; nothing was written
		return nil, err
	}
	return s, nil
}

// Info describes the store: its driver, its limits and the lifetime of its
// read-write transactions.
func (s *Store) Info() Info { return s.info }

// As sets target to the engine's native handle if its type is one that the
// driver documents, and reports whether it did. What is done through it is
// outside every guarantee of this package. After Close it reports false.
func (s *Store) As(target any) bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	return s.driver.As(target)
}

// Watermark returns a version such that no read-write transaction with a lower
// ReadVersion can still commit. It trails the newest version by at most the
// age of the oldest open transaction, plus what the driver's document says.
func (s *Store) Watermark(ctx context.Context) (Version, error) {
	if err := ctxError(ctx); err != nil {
		return 0, err
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.driver.Watermark(ctx)
}

// WaitDurable returns once every commit at or below v survives a crash. Commits
// become visible before they are durable, so a transaction can read what a crash
// takes back. A caller with Sync waits here for other transactions' commits that
// it has read, and one with NoSync for its own commits as well.
func (s *Store) WaitDurable(ctx context.Context, v Version) error {
	if err := ctxError(ctx); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.driver.WaitDurable(ctx, v)
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

// enter begins a call of the driver, which Close waits for; leave ends it.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.active++
	return nil
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deactivate()
}

// deactivate tells Close when the driver is out of use. s.mu is held.
func (s *Store) deactivate() {
	s.active--
	if s.active == 0 && s.idle != nil {
		close(s.idle)
	}
}

// register makes t known to Close and to the reaper.
func (s *Store) register(t *Txn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.active++
	if t.older = s.open; t.older != nil {
		t.older.newer = t
	}
	s.open = t
	s.armReaper(t.deadline)
	return nil
}

// unregister forgets t, whose snapshot has been released.
func (s *Store) unregister(t *Txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.newer != nil {
		t.newer.older = t.older
	} else {
		s.open = t.older
	}
	if t.older != nil {
		t.older.newer = t.newer
	}
	t.older, t.newer = nil, nil
	s.deactivate()
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
		for t := s.open; t != nil; t = t.older {
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

// Close waits for calls that are under way in the engine, fails all other open
// transactions with ErrClosed, and releases the engine. When it has returned,
// every acknowledged commit is durable, also one with NoSync. Every later use of
// the store, its transactions and cursors is an error that wraps ErrClosed (or
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
	var open []*Txn
	for t := s.open; t != nil; t = t.older {
		open = append(open, t)
	}
	if s.active > 0 {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	for _, t := range open {
		t.doom(ErrClosed)
	}
	if idle != nil {
		<-idle
	}
	return s.driver.Close()
}
