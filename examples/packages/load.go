package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// loadOptions of a load. The zero value loads all, silently.
type loadOptions struct {
	limit  int  // of packages; 0 is none
	events bool // publish one for each package
}

// load stores the packages that it reads from in, and calls report after each
// transaction with what has been stored. A package that is there already is
// replaced.
//
// Reading goes on in a goroutine of its own while the batch before is written.
// Where the store can do without, no commit waits for the disk; the load waits
// once, at its end, and that also after an error, so that its figures tell
// what is there to stay.
func load(ctx context.Context, db *tito.DB, in io.Reader, o loadOptions, report func(figures)) (figures, error) {
	l := &loader{db: db, write: tito.WriteOptions{NoEvents: !o.events}, packages: map[string]origin{}, maintainers: map[string]int{}}
	err := l.load(ctx, in, o.limit, report)
	if e := db.Store().WaitDurable(context.WithoutCancel(ctx), l.last); e != nil {
		err = errors.Join(err, e)
	}
	return l.figures(), err
}

// durability is what many small transactions take: no sync where the store can
// do without.
func durability(s *kv.Store) kv.Durability {
	if s.Info().NoSync {
		return kv.NoSync
	}
	return kv.Sync
}

// figures tells what a load has stored: of a name that occurs several times
// the last stanza, and only what that one refers to.
type figures struct {
	packages     int
	maintainers  int // distinct Maintainer fields
	dependencies int // distinct pairs of a package and the name of one that it depends on
}

type loader struct {
	db    *tito.DB
	write tito.WriteOptions
	last  kv.Version // of the latest commit

	packages     map[string]origin // by name
	maintainers  map[string]int    // number of packages
	dependencies int
}

// origin is what a stored package adds to the figures.
type origin struct {
	maintainer   string
	dependencies int
}

func (l *loader) load(ctx context.Context, in io.Reader, limit int, report func(figures)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan batch, 1)
	var parseErr error // to be read once batches is closed
	// Nothing waits for this goroutine if ctx ends: it may be in a read from a
	// terminal that never returns. Otherwise it ends before the loop does.
	go func() {
		defer close(batches)
		parseErr = parse(in, limit, func(b batch) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case b, more := <-batches:
			if !more {
				return parseErr
			}
			if err := l.store(ctx, b); err != nil {
				return err
			}
			report(l.figures())
		}
	}
}

// store writes b in one transaction if that can be. A batch too large for one
// it halves. If a package cannot be stored, those before it still are.
func (l *loader) store(ctx context.Context, b batch) error {
	err := l.storeAll(ctx, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if len(b) > 1 && errors.Is(err, kv.ErrTxnTooLarge) {
		if err := l.store(ctx, b[:len(b)/2]); err != nil {
			return err
		}
		return l.store(ctx, b[len(b)/2:])
	}
	if i := b.refused(err); i > 0 {
		if err := l.store(ctx, b[:i]); err != nil {
			return err
		}
		b = b[i:]
	}
	return fmt.Errorf("storing from line %d on: %w", b[0].line, err)
}

// refused returns which package err is about, or 0.
func (b batch) refused(err error) int {
	row, ok := errors.AsType[*tito.RowError](err)
	if !ok || row.Table != packages.Name() {
		return 0
	}
	return max(0, slices.IndexFunc(b, func(rec record) bool { return rec.pkg.Name == row.ID }))
}

// storeAll stores b and the maintainers that it is the first to name.
func (l *loader) storeAll(ctx context.Context, b batch) error {
	var (
		ps    = make([]*Package, len(b))
		ms    []*Maintainer
		named = map[string]bool{} // by b
	)
	for i, rec := range b {
		ps[i] = rec.pkg
		id := rec.pkg.MaintainerID
		if id != "" && l.maintainers[id] == 0 && !named[id] {
			named[id] = true
			ms = append(ms, newMaintainer(id))
		}
	}
	var committed *kv.Txn
	err := l.db.Run(ctx, &kv.TxnOptions{Durability: durability(l.db.Store())}, func(tx *tito.Tx) error {
		committed = tx.KV()
		if _, err := maintainers.PutMany(ctx, tx, ms, nil); err != nil {
			return err
		}
		_, err := packages.PutMany(ctx, tx, ps, &l.write)
		return err
	})
	if err != nil {
		return err
	}
	l.last = committed.CommitVersion()
	for _, p := range ps {
		l.count(p)
	}
	return nil
}

// count notes that p has been stored, perhaps in place of an earlier one.
func (l *loader) count(p *Package) {
	if old, ok := l.packages[p.Name]; ok {
		l.dependencies -= old.dependencies
		if l.maintainers[old.maintainer]--; l.maintainers[old.maintainer] == 0 {
			delete(l.maintainers, old.maintainer)
		}
	}
	l.packages[p.Name] = origin{p.MaintainerID, len(p.Depends)}
	l.dependencies += len(p.Depends)
	l.maintainers[p.MaintainerID]++
}

func (l *loader) figures() figures {
	f := figures{len(l.packages), len(l.maintainers), l.dependencies}
	if l.maintainers[""] > 0 { // packages without the field
		f.maintainers--
	}
	return f
}
