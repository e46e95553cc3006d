package kvtest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/tito-db/tito-go/kv"
)

// journaled is a driver that outlives its stores, and can crash: it then loses
// the commits that nobody had made durable.
type journaled struct {
	kv.Driver

	// survivors returns which of the commits, in their order, a crash leaves;
	// nil leaves those that are durable.
	survivors func(commits []journalEntry, durable kv.Version) []journalEntry

	mu       sync.Mutex
	commits  []journalEntry
	durable  kv.Version // all commits at or below it are
	crashing bool       // nothing gets durable any more
}

type journalEntry struct {
	version kv.Version
	writes  []kv.Write
}

func (d *journaled) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.commits {
		d.harden(c.version)
	}
	return nil
}

// harden makes v durable, and all before it. d.mu is held.
func (d *journaled) harden(v kv.Version) {
	if !d.crashing {
		d.durable = max(d.durable, v)
	}
}

// powerOff begins a crash: the machine does what it does, to no effect.
func (d *journaled) powerOff() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashing = true
}

func (d *journaled) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	t, err := d.Driver.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	h := &hooks{DriverTxn: t}
	h.commit = func(ctx context.Context, c *kv.Commit) (kv.Version, error) {
		v, err := t.Commit(ctx, c)
		if err == nil {
			d.note(v, c)
		}
		return v, err
	}
	return h, nil
}

func (d *journaled) note(v kv.Version, c *kv.Commit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commits = append(d.commits, journalEntry{v, c.Writes})
	if !c.NoSync {
		d.harden(v)
	}
}

func (d *journaled) WaitDurable(_ context.Context, v kv.Version) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.harden(v)
	return nil
}

// crash takes back, with one more commit, what the commits that were not
// durable had written. No store uses the driver.
func (d *journaled) crash(ctx context.Context) error {
	t, err := d.Driver.Begin(ctx, kv.BeginOptions{})
	if err != nil {
		return err
	}
	defer t.Release()
	undo := &kv.Commit{}
	cursor, err := t.Cursor(ctx, kv.Range{}, kv.CursorOptions{KeysOnly: true})
	if err != nil {
		return err
	}
	kept := d.kept()
	for cursor.Next(ctx) {
		key := string(cursor.Key())
		undo.Writes = append(undo.Writes, kv.Write{Key: []byte(key), Value: kept[key]}) // nil deletes it
		delete(kept, key)
	}
	cursor.Close()
	for key, value := range kept {
		undo.Writes = append(undo.Writes, kv.Write{Key: []byte(key), Value: value})
	}
	defer func() { d.crashing = false }()
	if len(undo.Writes) == 0 {
		return nil
	}
	slices.SortFunc(undo.Writes, func(a, b kv.Write) int { return bytes.Compare(a.Key, b.Key) })
	v, err := t.Commit(ctx, undo)
	if err == nil {
		d.commits = []journalEntry{{v, undo.Writes}}
		d.durable = v
	}
	return err
}

// kept returns what is durable.
func (d *journaled) kept() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	// They were noted in the order of their answers.
	slices.SortFunc(d.commits, func(a, b journalEntry) int { return cmp.Compare(a.version, b.version) })
	left := d.commits
	if d.survivors != nil {
		left = d.survivors(left, d.durable)
	} else if i := slices.IndexFunc(left, func(c journalEntry) bool { return c.version > d.durable }); i >= 0 {
		left = left[:i]
	}
	state := map[string][]byte{}
	for _, c := range left {
		for _, w := range c.writes {
			if w.Value == nil {
				delete(state, string(w.Key))
			} else {
				state[string(w.Key)] = w.Value
			}
		}
	}
	return state
}
