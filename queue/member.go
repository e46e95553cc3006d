package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
)

const memberFormat = 1

// members knows which processes work on a store that several share, and so which
// partitions this one works on. Each keeps a row with what its workers read and a
// number that it raises; it is alive for as long as others see the row change,
// measured by their own clocks. Among those alive that read a group, or a topic,
// rendezvous hashing picks one for each partition, or shard.
//
// Processes may disagree for a while, and one may work on after the others have
// given it up. Nothing depends on it: tokens in the checkpoints, and the heads
// that sequencers write, keep out who is late.
type members struct {
	q      *Queue
	stop   context.CancelFunc
	exited chan struct{}
	beats  uint64 // of this process; only run and its start use it

	mu    sync.Mutex
	users int
	peers map[memberID]*peer // with this process
	live  []livePeer         // those that were alive when see looked last
}

// peer is a process as this one sees it.
type peer struct {
	row   []byte
	seen  time.Time // when row changed last
	reads []subject
}

// subject is what a process's worker reads.
type subject struct{ topic, group string }

// join makes w's process known, before it takes partitions, and keeps it so until
// the function that it returns is called. It does nothing on a store that no other
// process has open. Workers with fixed partitions do not share them with others,
// but sequence with them.
func (q *Queue) join(ctx context.Context, w *Worker) (leave func(), err error) {
	if !q.store.Info().Shared {
		return func() {}, nil
	}
	q.mu.Lock()
	m := q.members
	if m == nil {
		m = &members{q: q, exited: make(chan struct{}), peers: map[memberID]*peer{}}
		run, stop := context.WithCancel(context.Background())
		m.stop = stop
		q.members = m
		go m.run(run)
	}
	m.mu.Lock()
	m.users++
	m.mu.Unlock()
	q.mu.Unlock()
	leave = func() { q.leave(m) }
	if err := m.beat(ctx); err != nil {
		leave()
		return nil, fmt.Errorf("queue: joining: %w", err)
	}
	return leave, nil
}

func (q *Queue) leave(m *members) {
	q.mu.Lock()
	m.mu.Lock()
	m.users--
	last := m.users == 0
	m.mu.Unlock()
	if last {
		q.members = nil
		m.stop()
	}
	q.mu.Unlock()
	if last {
		<-m.exited
	}
}

// run keeps this process's row alive and looks at those of others.
func (m *members) run(ctx context.Context) {
	defer close(m.exited)
	every := m.q.opts.MemberTTL / 3
	for {
		pause(ctx, jitter(every))
		if ctx.Err() != nil {
			break
		}
		if err := m.beat(ctx); err != nil && ctx.Err() == nil {
			m.q.log.Warn("queue: sign of life failed", "error", err)
		}
	}
	// Others need not wait for the row to grow old. A failure only makes them.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
	defer cancel()
	if err := m.q.store.Update(ending, func(tx *kv.Txn) error { return tx.Delete(m.q.keys.member(m.q.id)) }); err != nil {
		m.q.log.Warn("queue: leaving failed", "error", err)
	}
}

// beat writes this process's row, and reads all.
func (m *members) beat(ctx context.Context) error {
	rows := map[memberID][]byte{}
	var stale []memberID
	err := m.q.store.Update(ctx, func(tx *kv.Txn) error {
		clear(rows)
		stale = stale[:0]
		prefix := m.q.keys.kind(kindMember)
		for pair, err := range tx.Scan(ctx, withPrefix(prefix), nil) {
			if err != nil {
				return err
			}
			id, _ := bytes.CutPrefix(pair.Key, prefix)
			if len(id) != len(memberID{}) {
				return fmt.Errorf("%w: a member's key", ErrCorrupt)
			}
			rows[memberID(id)] = bytes.Clone(pair.Value)
		}
		own := m.row()
		rows[m.q.id] = own
		if err := tx.Set(m.q.keys.member(m.q.id), own); err != nil {
			return err
		}
		for id, row := range rows {
			if m.forgotten(id, row) {
				stale = append(stale, id)
				delete(rows, id)
				// The row may live again: this reads and deletes it in one
				// transaction, which conflicts with its owner's next sign of life.
				if err := tx.Delete(m.q.keys.member(id)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.see(rows)
}

// row makes this process's row.
func (m *members) row() []byte {
	m.q.mu.Lock()
	var reads []subject
	for _, w := range m.q.claimed {
		s := subject{topic: w.s.Topic, group: w.s.Group}
		if w.s.fixed() {
			s.group = "" // sequences the topic, and shares no partitions
		}
		if !slices.Contains(reads, s) {
			reads = append(reads, s)
		}
	}
	m.q.mu.Unlock()
	m.mu.Lock()
	m.beats++
	row := binary.AppendUvarint([]byte{memberFormat}, m.beats)
	m.mu.Unlock()
	row = binary.AppendUvarint(row, uint64(len(reads)))
	for _, s := range reads {
		row = appendString(appendString(row, s.topic), s.group)
	}
	return row
}

func parseMember(row []byte) ([]subject, error) {
	r := reader{b: row}
	r.format(memberFormat)
	r.uvarint() // beats
	var reads []subject
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		reads = append(reads, subject{topic, r.string()})
	}
	return reads, r.end()
}

// see notes which rows have changed, and has workers look at their partitions if
// that changes who is alive, or what they read.
func (m *members) see(rows map[memberID][]byte) error {
	now := time.Now()
	m.mu.Lock()
	for id, row := range rows {
		p := m.peers[id]
		if p != nil && bytes.Equal(p.row, row) {
			continue
		}
		reads, err := parseMember(row)
		if err != nil {
			m.mu.Unlock()
			return fmt.Errorf("%w: a member's row", err)
		}
		m.peers[id] = &peer{row: row, seen: now, reads: reads}
	}
	for id := range m.peers {
		if rows[id] == nil {
			delete(m.peers, id)
		}
	}
	live := m.alive(now)
	changed := !slices.EqualFunc(m.live, live, func(a, b livePeer) bool {
		return a.id == b.id && slices.Equal(a.reads, b.reads)
	})
	m.live = live
	m.mu.Unlock()
	if !changed {
		return nil
	}
	m.q.mu.Lock()
	workers := slices.Clone(m.q.claimed)
	m.q.mu.Unlock()
	for _, w := range workers {
		w.reassigned()
	}
	return nil
}

type livePeer struct {
	id    memberID
	reads []subject
}

// alive lists who is, by id. m.mu is held.
func (m *members) alive(now time.Time) []livePeer {
	var live []livePeer
	for id, p := range m.peers {
		if m.living(id, p, now) {
			live = append(live, livePeer{id, p.reads})
		}
	}
	slices.SortFunc(live, func(a, b livePeer) int { return bytes.Compare(a.id[:], b.id[:]) })
	return live
}

func (m *members) living(id memberID, p *peer, now time.Time) bool {
	return id == m.q.id || now.Sub(p.seen) < m.q.opts.MemberTTL
}

// forgotten tells whether a row has not changed for so long that it can go.
func (m *members) forgotten(id memberID, row []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && id != m.q.id && bytes.Equal(p.row, row) && time.Since(p.seen) > 10*m.q.opts.MemberTTL
}

// chosen tells whether this process is the one that hashing picks for n among
// those alive that want it.
func (m *members) chosen(key []byte, wants func(subject) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	own := rendezvous(m.q.id, key)
	for id, p := range m.peers {
		if id == m.q.id || !m.living(id, p, now) || !slices.ContainsFunc(p.reads, wants) {
			continue
		}
		if r := rendezvous(id, key); r > own || r == own && bytes.Compare(id[:], m.q.id[:]) > 0 {
			return false
		}
	}
	return true
}

// rendezvous is the weight of a member for a key: the highest wins ("highest
// random weight", Thaler and Ravishankar 1998), so that a member that comes or
// goes moves only its own share.
func rendezvous(id memberID, key []byte) uint64 {
	return mix(hashKey(string(key)) ^ mix(binary.BigEndian.Uint64(id[:])))
}

// works tells whether this process works on a partition for a group.
func (q *Queue) works(topic, group string, partition int) bool {
	m := q.sharing()
	if m == nil {
		return true
	}
	key := appendPartition(keyenc.AppendString(keyenc.AppendString(nil, topic), group), partition)
	return m.chosen(key, func(s subject) bool { return s.topic == topic && s.group == group })
}

// sequences returns the shards of a topic that this process sequences, a bit for
// each.
func (q *Queue) sequences(topic string) uint32 {
	m := q.sharing()
	if m == nil {
		return allShards
	}
	var mine uint32
	for shard := range shards {
		if m.chosen(appendPartition(keyenc.AppendString(nil, topic), shard), func(s subject) bool { return s.topic == topic }) {
			mine |= 1 << shard
		}
	}
	return mine
}

// alive tells whether another process is, as far as this one knows.
func (q *Queue) alive(id memberID) bool {
	m := q.sharing()
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && m.living(id, p, time.Now())
}

func (q *Queue) sharing() *members {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.members
}
