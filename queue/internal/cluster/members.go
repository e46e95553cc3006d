package cluster

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// members keeps this process's row, and watches those of others. Each process has a
// row with what its workers read and a number that it raises; the process is alive
// for as long as others see the row change, measured by their own clocks. Among
// those alive that read a group, or a topic, rendezvous hashing picks one for each
// partition, or shard.
type members struct {
	store  *access.Store
	opts   *Options
	before <-chan struct{} // closed when those that ran before have removed the row; nil if there are none
	stop   context.CancelFunc
	exited chan struct{}
	hurry  chan struct{} // holds one signal: the next beat is due

	mu     sync.Mutex
	users  int
	beats  uint64       // how often this process has shown itself
	seen   uint64       // the beat that read what is known of the peers
	peers  map[ID]*peer // with this process
	looked time.Time    // when the rows were read last: the peers are as they were then
	live   []livePeer   // the peers that were alive then
}

// peer is a process as this one sees it.
type peer struct {
	row   []byte
	seen  time.Time // when row was first seen as it is
	reads []Subject
}

func newMembers(store *access.Store, o *Options, before <-chan struct{}) *members {
	return &members{
		store: store, opts: o, before: before,
		exited: make(chan struct{}), hurry: make(chan struct{}, 1), peers: map[ID]*peer{},
	}
}

// first shows this process to others. If it has just left, that is to be over
// before, or the row that shows it would be removed again.
func (m *members) first(ctx context.Context) error {
	if m.before != nil {
		select {
		case <-m.before:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return m.beat(ctx)
}

// run keeps this process's row alive and looks at those of others.
func (m *members) run(ctx context.Context) {
	defer close(m.exited)
	if m.before != nil {
		<-m.before
	}
	every := m.opts.TTL / 3
	for {
		timer := time.NewTimer(access.Jitter(every))
		select {
		case <-timer.C:
		case <-m.hurry:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			break
		}
		if err := m.beat(ctx); err != nil && ctx.Err() == nil {
			m.store.Log.Warn("queue: sign of life failed", "error", err)
		}
	}
	// Others need not wait for the row to grow old. A failure only makes them.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
	defer cancel()
	if err := m.store.Update(ending, func(tx *kv.Txn) error { return tx.Delete(Key(m.opts.Prefix, m.opts.ID)) }); err != nil {
		m.store.Log.Warn("queue: leaving failed", "error", err)
	}
}

// soon makes the next beat come at once.
func (m *members) soon() {
	select {
	case m.hurry <- struct{}{}:
	default: // it is due
	}
}

// beat writes this process's row, and reads all.
func (m *members) beat(ctx context.Context) error {
	rows := map[ID][]byte{}
	var began, ended time.Time // of reading
	var own []byte
	var n uint64
	err := m.store.Update(ctx, func(tx *kv.Txn) error {
		clear(rows)
		began = time.Now()
		prefix := KeyPrefix(m.opts.Prefix)
		for pair, err := range tx.Scan(ctx, layout.PrefixRange(prefix), nil) {
			if err != nil {
				return err
			}
			id, _ := bytes.CutPrefix(pair.Key, prefix)
			if len(id) != len(ID{}) {
				return fmt.Errorf("%w: a member's key", access.ErrCorrupt)
			}
			rows[ID(id)] = bytes.Clone(pair.Value)
		}
		ended = time.Now()
		n, own = m.row()
		rows[m.opts.ID] = own
		if err := tx.Set(Key(m.opts.Prefix, m.opts.ID), own); err != nil {
			return err
		}
		for id, row := range rows {
			if m.forgotten(id, row, began) {
				delete(rows, id)
				// The row may live again: this reads and deletes it in one
				// transaction, which conflicts with its owner's next sign of life.
				if err := tx.Delete(Key(m.opts.Prefix, id)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.see(n, rows, began, ended)
}

// row makes this process's row of its next beat.
func (m *members) row() (beat uint64, row []byte) {
	reads := m.opts.Reads()
	m.mu.Lock()
	m.beats++
	beat = m.beats
	m.mu.Unlock()
	return beat, AppendMember(nil, beat, reads)
}

// see notes which rows have changed, and has workers look at their partitions if
// that changes who is alive, or what they read. The rows were read for a beat,
// between began and ended. Beats write one row, so their order is that of their
// snapshots.
func (m *members) see(beat uint64, rows map[ID][]byte, began, ended time.Time) error {
	m.mu.Lock()
	if beat < m.seen { // a worker that joins has looked meanwhile
		m.mu.Unlock()
		return nil
	}
	for id, row := range rows {
		p := m.peers[id]
		if p != nil && bytes.Equal(p.row, row) {
			continue
		}
		reads, err := ParseMember(row)
		if err != nil {
			m.mu.Unlock()
			return fmt.Errorf("%w: a member's row", err)
		}
		m.peers[id] = &peer{row: row, seen: ended, reads: reads}
	}
	for id := range m.peers {
		if rows[id] == nil {
			delete(m.peers, id)
		}
	}
	before := m.looked
	m.seen, m.looked = beat, began
	live := m.alive()
	// A process that has shown no sign of life for so long may have lost partitions.
	missed := !before.IsZero() && time.Since(before) >= m.opts.TTL
	changed := missed || !slices.EqualFunc(m.live, live, func(a, b livePeer) bool {
		return a.id == b.id && slices.Equal(a.reads, b.reads)
	})
	m.live = live
	m.mu.Unlock()
	if !changed {
		return nil
	}
	m.opts.Changed()
	return nil
}

type livePeer struct {
	id    ID
	reads []Subject
}

// alive lists who is, by id. m.mu is held.
func (m *members) alive() []livePeer {
	var live []livePeer
	for id, p := range m.peers {
		if m.living(id, p) {
			live = append(live, livePeer{id, p.reads})
		}
	}
	slices.SortFunc(live, func(a, b livePeer) int { return bytes.Compare(a.id[:], b.id[:]) })
	return live
}

// living tells whether a process was alive when this one looked last. That a
// process has not looked for long, because it was paused, or the store did not
// answer, says nothing of the others. m.mu is held.
func (m *members) living(id ID, p *peer) bool {
	return id == m.opts.ID || m.looked.Sub(p.seen) < m.opts.TTL
}

// forgotten tells whether a row, as read after began, has not changed for so long
// that it can go.
func (m *members) forgotten(id ID, row []byte, began time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && id != m.opts.ID && bytes.Equal(p.row, row) && began.Sub(p.seen) > 10*m.opts.TTL
}

// health is Cluster.Health.
func (m *members) health(id ID, met time.Time) Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p := m.peers[id]; {
	case p != nil && m.living(id, p):
		return Alive
	case p == nil && !m.looked.After(met):
		m.soon()
		return Unknown
	}
	return Dead
}
