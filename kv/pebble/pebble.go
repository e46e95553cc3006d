package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/redact"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/occ"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

// Open opens the store in directory dir, and makes both if need be. Errors
// wrap kv.ErrLocked if the store is open already, in this process or another;
// kv.ErrCorrupt if the directory holds damaged files or somebody else's;
// kv.ErrNewerFormat if a newer version of this package made the store;
// kv.ErrOptions if o is out of range or contradicts the store; and
// kv.ErrUnavailable together with the operating system's error otherwise.
//
// The store's As knows *pebble.DB, for metrics and the like. Writing through
// it, or leaving an iterator or snapshot of it open at Close, breaks the store.
func Open(dir string, o *Options) (*kv.Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := open(dir, &opts)
	if err != nil {
		return nil, fmt.Errorf("kv: open pebble store: %w", err)
	}
	return kv.NewStore(d, &opts.Options)
}

func open(dir string, o *Options) (*driver, error) {
	e := o.engine()
	if e.FS == vfs.Default {
		// One spelling a directory: a process locks out itself by name.
		var err error
		if dir, err = resolve(dir); err != nil {
			return nil, classify(err)
		}
	}
	if err := checkFiles(e.FS, dir); err != nil {
		return nil, err
	}
	f := newFuse(o.Logger)
	e.FS = fuseFS{e.FS, f, dir}
	e.Logger = logger{f}
	e.EventListener = listener(f)
	db, err := pebble.Open(dir, e)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pebble.ErrDBNotPristine) {
		err = fmt.Errorf("%w: a file is missing: %w", kv.ErrCorrupt, err)
	}
	if err != nil {
		return nil, openError(f, err)
	}
	s, err := loadSettings(db, o.TxnLifetime)
	if err == nil {
		err = f.err()
	}
	if err != nil {
		close(f.closing)
		return nil, openError(f, errors.Join(err, db.Close()))
	}
	return newDriver(db, f, s, o), nil
}

// resolve returns the one absolute name of dir. The last elements of dir need not
// exist.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	parent := filepath.Dir(dir)
	if !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return real, err
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(dir)), nil
}

// checkFiles refuses a store that has lost the file that names its manifest:
// Pebble would take it for a new one and delete the tables.
func checkFiles(on vfs.FS, dir string) error {
	names, err := on.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is about to be made
	}
	if err != nil {
		return classify(err)
	}
	tables, marked := false, false
	for _, name := range names {
		tables = tables || strings.HasSuffix(name, ".sst")
		marked = marked || strings.HasPrefix(name, "marker.manifest.")
	}
	if tables && !marked {
		return fmt.Errorf("%w: a file is missing: the manifest's marker", kv.ErrCorrupt)
	}
	return nil
}

func openError(f *fuse, err error) error {
	if cause := f.err(); cause != nil {
		return cause // err is a consequence
	}
	return classify(err)
}

// classify makes an error of the engine one of kv's.
func classify(err error) error {
	for _, known := range []error{kv.ErrCorrupt, kv.ErrNewerFormat, kv.ErrLocked, kv.ErrOptions, kv.ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	if pebble.IsCorruptionError(err) {
		return &corruption{err}
	}
	return fmt.Errorf("%w: %w", kv.ErrUnavailable, err)
}

// corruption is kv.ErrCorrupt with the engine's error, whose text may contain
// keys and is shown without them.
type corruption struct{ cause error }

func (c *corruption) Error() string {
	return fmt.Sprintf("%v: %s", kv.ErrCorrupt, redact.Sprint(c.cause).Redact().StripMarkers())
}

func (c *corruption) Unwrap() []error { return []error{kv.ErrCorrupt, c.cause} }

// driver is an open store.
type driver struct {
	db        *pebble.DB
	fuse      *fuse
	ctl       *occ.Controller
	info      kv.Info
	opened    kv.Version // the newest version that may have been handed out before
	snapshots snapshots
	durable   durable

	closing sync.RWMutex // held for reading by Checkpoint, which kv knows nothing of
	closed  bool
}

func newDriver(db *pebble.DB, f *fuse, s settings.Settings, o *Options) *driver {
	d := &driver{db: db, fuse: f, opened: s.Reserved, info: kv.Info{
		Name:        "pebble",
		Limits:      kv.DefaultLimits(),
		TxnLifetime: s.Lifetime,
		NoSync:      true,
	}}
	d.info.Limits.MaxTxnSize = min(max(o.MaxTxnSize, kv.DefaultMaxTxnSize), maxTxnSize)
	d.ctl = occ.New(occ.Options{Last: s.Reserved, Reserve: d.reserve})
	d.snapshots.publish(db, s.Reserved)
	d.durable.advance(s.Reserved) // opening has flushed all that the log held
	return d
}

// maxTxnSize keeps batches, which have some bytes more for each key, well
// below the 4 GiB that Pebble takes.
const maxTxnSize = 1 << 30

// reserve keeps v as the highest version that may be handed out.
func (d *driver) reserve(v kv.Version) error {
	if err := d.fuse.err(); err != nil {
		return err
	}
	return d.engineError(setNumber(d.db, settings.Reserved, uint64(v), pebble.Sync))
}

func (d *driver) Begin(_ context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	if err := d.fuse.err(); err != nil {
		return nil, err
	}
	t := &txn{d: d}
	if !o.ReadOnly {
		t.ticket = d.ctl.Begin()
	}
	t.snapshot = d.snapshots.acquire()
	if t.ticket != nil {
		t.ticket.Pin(t.snapshot.version)
	}
	return t, nil
}

// engineError is err, of anything but a commit, as callers get it. Past a
// failure the engine's memory is ahead of its files, some of which do not
// exist: nothing that it says then counts.
func (d *driver) engineError(err error) error {
	if failed := d.fuse.err(); failed != nil {
		return failed
	}
	if err != nil {
		return classify(err)
	}
	return nil
}

func (d *driver) Watermark(context.Context) (kv.Version, error) {
	return d.ctl.Watermark(), d.fuse.err()
}

func (d *driver) Info() kv.Info { return d.info }

func (d *driver) As(target any) bool {
	switch p := target.(type) {
	case **pebble.DB:
		*p = d.db
	case **driver:
		*p = d
	default:
		return false
	}
	return true
}

// Close makes all commits durable. It gives back the versions that were
// reserved and not used, so that versions do not run ahead of the clock.
func (d *driver) Close() error {
	d.closing.Lock()
	defer d.closing.Unlock()
	d.closed = true
	var err error
	if last := d.ctl.Published(); last != d.opened {
		err = d.reserve(last)
	}
	d.snapshots.close()
	close(d.fuse.closing)
	if e := d.db.Close(); err == nil && e != nil {
		err = classify(e)
	}
	if failed := d.fuse.err(); failed != nil {
		err = failed // closing the files may have failed too
	}
	return err
}
