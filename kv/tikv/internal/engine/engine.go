package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"

	"github.com/tito-db/tito-go/kv"
)

// Options of a driver. The zero value means the defaults.
type Options struct {
	Prefix      []byte        // before each key of the store
	TxnLifetime time.Duration // zero takes the store's
	MaxTxnSize  int           // zero is kv's default
	Timeout     time.Duration // how long reads and Begin wait for a cluster that does not answer
	Logger      *slog.Logger  // nil logs nothing
	Closed      func()        // called when the client has been closed; may be nil
}

// Validate returns an error that wraps kv.ErrOptions if o is out of range.
func (o *Options) Validate() error {
	if o.TxnLifetime > MaxTxnLifetime {
		return fmt.Errorf("%w: TxnLifetime is above %v", kv.ErrOptions, MaxTxnLifetime)
	}
	_, err := newKeyspace(o.Prefix)
	return err
}

// Name is the driver's, in kv.Info.
const Name = "tikv"

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 20 * time.Second

// Driver is an open store.
type Driver struct {
	store *tikv.KVStore
	space keyspace
	info  kv.Info
	opts  Options

	// background counts what commits have left to do when they return: the
	// client's own count cannot be waited for while the client is open.
	background sync.WaitGroup

	mu      sync.Mutex
	closing chan struct{} // closed when Close begins
	closed  bool          // Close has begun
}

// Open opens the store at o.Prefix, and makes it if need be. The driver owns
// client, which it closes, at once if it fails.
func Open(ctx context.Context, client *tikv.KVStore, o Options) (*Driver, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Driver{store: client, opts: o, closing: make(chan struct{})}
	if err := d.open(ctx); err != nil {
		_ = d.Close() // the error tells what became of the store's settings, the only write so far
		return nil, err
	}
	return d, nil
}

func (d *Driver) open(ctx context.Context) (err error) {
	if err := d.opts.Validate(); err != nil {
		return err
	}
	if d.space, err = newKeyspace(d.opts.Prefix); err != nil {
		return err
	}
	s, err := d.loadTerms(ctx)
	if err != nil {
		return err
	}
	d.info = kv.Info{Name: Name, Limits: kv.DefaultLimits(), TxnLifetime: s.lifetime, Shared: true}
	d.info.Limits.MaxTxnSize = max(d.opts.MaxTxnSize, kv.DefaultMaxTxnSize)
	d.warnOfGarbage(s.now)
	return nil
}

// Begin takes a timestamp from PD. The snapshot that it names needs nothing
// else.
func (d *Driver) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	ts, err := d.timestamp(ctx)
	if err != nil {
		return nil, err
	}
	return d.newTxn(ts, o.ReadOnly)
}

// timestamp returns a new timestamp: it is above every one that was given out
// before.
func (d *Driver) timestamp(ctx context.Context) (uint64, error) {
	ts, err := d.store.GetTimestampWithRetry(d.backoffer(ctx), oracle.GlobalTxnScope)
	if err != nil {
		return 0, CallError(ctx, err)
	}
	return ts, nil
}

// bounded returns a context that ends with ctx, and after Options.Timeout.
func (d *Driver) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return Bounded(ctx, d.opts.Timeout)
}

// Bounded returns a context that ends with ctx, and after timeout. CallError
// tells which of the two it was.
func Bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errTimeout)
}

// backoffer returns what the client's loops wait by. The context ends them.
func (d *Driver) backoffer(ctx context.Context) *tikv.Backoffer {
	return tikv.NewBackofferWithVars(ctx, maxBackoff, nil)
}

// maxBackoff is how long the client may pause in one call, in milliseconds. It
// is above any Timeout that makes sense.
const maxBackoff = int(time.Hour / time.Millisecond)

// Watermark returns how far back a transaction may have begun that still commits. It
// holds for readers at a later timestamp. A transaction past its lifetime may still
// hold locks, and be about to commit them; a reader that meets these locks either
// sees the commit or, since the locks have expired, makes the commit impossible.
func (d *Driver) Watermark(ctx context.Context) (kv.Version, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	ts, err := d.timestamp(ctx)
	if err != nil {
		return 0, err
	}
	back := kv.Version(oracle.ComposeTS((d.info.TxnLifetime + watermarkSlack).Milliseconds(), 0))
	return max(kv.Version(ts), back) - back, nil
}

// watermarkSlack is how much later than its lifetime a transaction can still
// commit: by safeWindow its commit timestamp may be above the one that the
// client estimates, and for lockTTL its locks outlive its last heartbeat.
const (
	safeWindow     = 2 * time.Second
	lockTTL        = 20 * time.Second
	watermarkSlack = safeWindow + lockTTL
)

// WaitDurable has nothing to wait for: what TiKV shows is on the disks of a
// majority of its servers.
func (d *Driver) WaitDurable(context.Context, kv.Version) error { return nil }

// Logger returns Options.Logger, or one that logs nothing.
func (d *Driver) Logger() *slog.Logger { return d.opts.Logger }

// Info describes the store.
func (d *Driver) Info() kv.Info { return d.info }

// As knows *tikv.KVStore, the client, and *Driver.
func (d *Driver) As(target any) bool {
	switch p := target.(type) {
	case **tikv.KVStore:
		*p = d.store
	case **Driver:
		*p = d
	default:
		return false
	}
	return true
}

// Close waits until commits have released their locks, so that no other process has
// to wait until the locks expire. It does not wait for long, because other processes
// can release expired locks.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	close(d.closing)
	released := make(chan struct{})
	go func() {
		defer close(released)
		d.background.Wait()
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-released:
	case <-timer.C:
		d.opts.Logger.Warn("kv: tikv: closing a store whose commits have left locks behind")
	}
	err := d.store.Close() // ends what still goes on
	<-released
	if d.opts.Closed != nil {
		d.opts.Closed()
	}
	if err != nil {
		return fmt.Errorf("%w: close: %s", kv.ErrUnavailable, reason(err))
	}
	return nil
}

// During calls fn with a context that ends when Close begins, and keeps the
// client open until it returns. It is for work that kv's Store knows nothing of.
func (d *Driver) During(ctx context.Context, fn func(ctx context.Context) error) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return kv.ErrClosed
	}
	d.background.Add(1)
	d.mu.Unlock()
	defer d.background.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-d.closing:
			cancel(kv.ErrClosed)
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel(nil)
	return fn(ctx)
}

// closeTimeout bounds how long Close waits for locks to be released.
const closeTimeout = 5 * time.Second
