package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"github.com/tito-db/tito-go/kv"
)

// settingsKey is the name of the one key that makes a store: its value is the
// number of the format and the lifetime of transactions in nanoseconds, each a
// big-endian uint64.
const settingsKey = "settings"

// formatNumber is the layout of a store's keys. A store with another one is
// not opened.
const formatNumber = 1

// MaxTxnLifetime is when the client gives up a transaction by itself.
const MaxTxnLifetime = transaction.MaxTxnTimeUse*time.Millisecond - safeWindow

// settings are what all who open a store must agree on.
type settings struct {
	lifetime time.Duration
	now      uint64 // when they were read
}

// loadSettings reads the store's settings. It makes them if the store is new;
// of several processes that do so at once one succeeds, and the others find
// its. All of it takes Options.Timeout at most.
func (d *Driver) loadSettings(ctx context.Context) (settings, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	for {
		s, err := d.tryLoadSettings(ctx)
		switch {
		case ctx.Err() == nil && unmade(err):
			continue // somebody has made them, possibly this process, or the cluster was slow
		case unmade(err):
			return settings{}, CallError(ctx, nil) // the outcome of making them is nobody's business
		case err != nil:
			return settings{}, err
		case d.opts.TxnLifetime != 0 && d.opts.TxnLifetime != s.lifetime:
			return settings{}, fmt.Errorf("%w: TxnLifetime is %v, but the store has %v", kv.ErrOptions, d.opts.TxnLifetime, s.lifetime)
		}
		return s, nil
	}
}

// unmade reports whether err is of a commit that did not make the settings, or
// may not have.
func unmade(err error) bool {
	return errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrCommitUnknown) || errors.Is(err, kv.ErrTxnTooOld)
}

func (d *Driver) tryLoadSettings(ctx context.Context) (settings, error) {
	ts, err := d.timestamp(ctx)
	if err != nil {
		return settings{}, err
	}
	d.info.TxnLifetime = kv.DefaultTxnLifetime // of this transaction; the store's is not known yet
	t, err := d.newTxn(ts, false)
	if err != nil {
		return settings{}, err
	}
	defer t.Release()
	key := d.space.ownKey(settingsKey)
	v, err := t.snapshot().Get(ctx, key)
	if err == nil {
		return parseSettings(v, ts)
	}
	if !tikverr.IsErrNotFound(err) {
		return settings{}, t.readError(ctx, err)
	}
	s := settings{lifetime: d.opts.TxnLifetime, now: ts}
	if s.lifetime == 0 {
		s.lifetime = kv.DefaultTxnLifetime
	}
	if err := t.kv.Set(key, s.value()); err != nil {
		return settings{}, commitError(ctx, err, outcome{})
	}
	_, err = t.commit(ctx)
	return s, err
}

func (s settings) value() []byte {
	v := binary.BigEndian.AppendUint64(nil, formatNumber)
	return binary.BigEndian.AppendUint64(v, uint64(s.lifetime))
}

func parseSettings(v []byte, now uint64) (settings, error) {
	if len(v) < 8 {
		return settings{}, fmt.Errorf("%w: its settings have %d bytes", kv.ErrCorrupt, len(v))
	}
	if format := binary.BigEndian.Uint64(v); format != formatNumber {
		return settings{}, fmt.Errorf("%w: its format is %d, this program reads %d", kv.ErrCorrupt, format, formatNumber)
	}
	if len(v) != 16 {
		return settings{}, fmt.Errorf("%w: its settings have %d bytes", kv.ErrCorrupt, len(v))
	}
	s := settings{lifetime: time.Duration(binary.BigEndian.Uint64(v[8:])), now: now}
	if s.lifetime <= 0 || s.lifetime > MaxTxnLifetime {
		return settings{}, fmt.Errorf("%w: its lifetime of transactions is out of range", kv.ErrCorrupt)
	}
	return s, nil
}
