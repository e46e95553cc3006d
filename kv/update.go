package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Update runs fn in a read-write transaction and commits it. If that conflicts,
// fn runs again in a new transaction, after a pause, until it commits, ctx
// ends or Options.MaxAttempts is reached; so fn must have no effects but on
// its transaction (see Txn.OnCommit) and must not keep it. An error from fn
// rolls back and is returned as it is, unless it wraps ErrConflict. After
// ErrCommitUnknown fn is not run again.
func (s *Store) Update(ctx context.Context, fn func(tx *Txn) error) error {
	return s.Run(ctx, nil, fn)
}

// View runs fn once, in a read-only transaction: one snapshot for all its reads.
func (s *Store) View(ctx context.Context, fn func(tx *Txn) error) error {
	return s.Run(ctx, &TxnOptions{ReadOnly: true}, fn)
}

// Run is Update, or with o.ReadOnly View, with options of its own.
func (s *Store) Run(ctx context.Context, o *TxnOptions, fn func(tx *Txn) error) error {
	attempts := s.opts.MaxAttempts
	if o != nil && o.MaxAttempts > 0 {
		attempts = o.MaxAttempts
	}
	for attempt := 1; ; attempt++ {
		err := s.runOnce(ctx, o, fn)
		retry := errors.Is(err, ErrConflict) && !errors.Is(err, ErrCommitUnknown) && (o == nil || !o.ReadOnly)
		if !retry {
			return err
		}
		if attempt == attempts {
			return fmt.Errorf("kv: gave up after %d attempts: %w", attempt, err)
		}
		if e := s.backoff(ctx, attempt); e != nil {
			return fmt.Errorf("%w, after attempt %d: %w", e, attempt, err)
		}
	}
}

func (s *Store) runOnce(ctx context.Context, o *TxnOptions, fn func(tx *Txn) error) error {
	tx, err := s.Begin(ctx, o)
	if err != nil {
		return err
	}
	tx.managed = true
	defer tx.rollback() // after an error or a panic; nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commit(ctx)
}

// backoff pauses for a random part of a bound that doubles with each attempt
// ("full jitter"), which spreads contenders better than a fixed pause does.
func (s *Store) backoff(ctx context.Context, attempt int) error {
	bound := s.opts.MaxBackoff
	if shift := attempt - 1; shift < 63 && s.opts.MinBackoff <= bound>>shift {
		bound = s.opts.MinBackoff << shift
	}
	timer := time.NewTimer(rand.N(bound))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctxError(ctx)
}
