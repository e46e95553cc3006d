package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

// settingsKey is the name of the one key that makes a store: its value is the
// number of the format and the lifetime of transactions in nanoseconds, each a
// big-endian uint64.
const settingsKey = "settings"

// formatNumber is the layout of a store's keys. A store with a higher one is not
// opened.
const formatNumber = 1

// MaxTxnLifetime is when the client gives up a transaction by itself.
const MaxTxnLifetime = transaction.MaxTxnTimeUse*time.Millisecond - safeWindow

// terms are the settings that all who open a store must agree on.
type terms struct {
	lifetime time.Duration
	now      uint64 // when they were read
}

// loadTerms reads the store's settings. It makes them if the store is new; if several
// processes do so at once, one succeeds and the others find what that one made. All of
// this takes Options.Timeout at most.
func (d *Driver) loadTerms(ctx context.Context) (terms, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	for {
		s, err := d.tryLoadTerms(ctx)
		switch {
		case ctx.Err() == nil && unmade(err):
			continue // somebody has made them, possibly this process, or the cluster was slow
		case unmade(err):
			return terms{}, CallError(ctx, nil) // the outcome of making them is nobody's business
		case err != nil:
			return terms{}, err
		}
		return s, settings.Agree(s.lifetime, d.opts.TxnLifetime)
	}
}

// unmade reports whether err comes from a commit that did not make the settings, or
// perhaps did not.
func unmade(err error) bool {
	return errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrCommitUnknown) || errors.Is(err, kv.ErrTxnTooOld)
}

func (d *Driver) tryLoadTerms(ctx context.Context) (terms, error) {
	ts, err := d.timestamp(ctx)
	if err != nil {
		return terms{}, err
	}
	d.info.TxnLifetime = kv.DefaultTxnLifetime // bounds this transaction; the store's lifetime is not known yet
	t, err := d.newTxn(ts, false)
	if err != nil {
		return terms{}, err
	}
	defer t.Release()
	key := d.space.ownKey(settingsKey)
	v, err := t.snapshot().Get(ctx, key)
	if err == nil {
		return parseTerms(v, ts)
	}
	if !tikverr.IsErrNotFound(err) {
		return terms{}, t.readError(ctx, err)
	}
	s := terms{lifetime: settings.New(d.opts.TxnLifetime).Lifetime, now: ts}
	if err := t.kv.Set(key, s.value()); err != nil {
		return terms{}, commitError(ctx, err, outcome{})
	}
	_, err = t.commit(ctx)
	return s, err
}

func (s terms) value() []byte {
	return settings.AppendNumber(settings.AppendNumber(nil, formatNumber), uint64(s.lifetime))
}

func parseTerms(v []byte, now uint64) (terms, error) {
	format, err := settings.ParseNumber(v[:min(8, len(v))])
	if err != nil {
		return terms{}, err
	}
	if err := settings.CheckFormat(format, formatNumber); err != nil {
		return terms{}, err
	}
	lifetime, err := settings.ParseNumber(v[8:])
	if err != nil {
		return terms{}, err
	}
	s := terms{lifetime: time.Duration(lifetime), now: now}
	if s.lifetime > MaxTxnLifetime {
		return terms{}, fmt.Errorf("%w: its lifetime of transactions is out of range", kv.ErrCorrupt)
	}
	return s, settings.CheckLifetime(s.lifetime)
}
