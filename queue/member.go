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
	before <-chan struct{} // closed when those that ran before have removed the row; nil if there are none
	stop   context.CancelFunc
	exited chan struct{}
	hurry  chan struct{} // holds one signal: the next beat is due

	mu     sync.Mutex
	users  int
	beats  uint64             // of this process
	seen   uint64             // of those, the one that read what is known of the peers
	peers  map[memberID]*peer // with this process
	looked time.Time          // when the rows were read last: the peers are as they were then
	live   []livePeer         // those that were alive then
}

// peer is a process as this one sees it.
type peer struct {
	row   []byte
	seen  time.Time // when row was first seen as it is
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
		m = &members{q: q, before: q.left, exited: make(chan struct{}), hurry: make(chan struct{}, 1), peers: map[memberID]*peer{}}
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
	if err := m.first(ctx); err != nil {
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
		q.members, q.left = nil, m.exited
		m.stop()
	}
	q.mu.Unlock()
	if last {
		<-m.exited
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
	every := m.q.opts.MemberTTL / 3
	for {
		timer := time.NewTimer(jitter(every))
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

// soon makes the next beat come at once.
func (m *members) soon() {
	select {
	case m.hurry <- struct{}{}:
	default: // it is due
	}
}

// beat writes this process's row, and reads all.
func (m *members) beat(ctx context.Context) error {
	rows := map[memberID][]byte{}
	var began, ended time.Time // of reading
	var own []byte
	var n uint64
	err := m.q.store.Update(ctx, func(tx *kv.Txn) error {
		clear(rows)
		began = time.Now()
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
		ended = time.Now()
		n, own = m.row()
		rows[m.q.id] = own
		if err := tx.Set(m.q.keys.member(m.q.id), own); err != nil {
			return err
		}
		for id, row := range rows {
			if m.forgotten(id, row, began) {
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
	return m.see(n, rows, began, ended)
}

// row makes this process's row of its next beat.
func (m *members) row() (beat uint64, row []byte) {
	m.q.mu.Lock()
	var reads []subject
	for _, w := range m.q.claimed {
		s := subject{topic: w.s.Topic, group: w.s.Group}
		if !w.shares() {
			s.group = "" // sequences the topic, and shares no partitions
		}
		if !slices.Contains(reads, s) {
			reads = append(reads, s)
		}
	}
	m.q.mu.Unlock()
	m.mu.Lock()
	m.beats++
	beat = m.beats
	m.mu.Unlock()
	return beat, appendMember(nil, beat, reads)
}

func appendMember(dst []byte, beats uint64, reads []subject) []byte {
	dst = binary.AppendUvarint(append(dst, memberFormat), beats)
	dst = binary.AppendUvarint(dst, uint64(len(reads)))
	for _, s := range reads {
		dst = appendString(appendString(dst, s.topic), s.group)
	}
	return dst
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
// that changes who is alive, or what they read. The rows were read for a beat,
// between began and ended. Beats write one row, so their order is that of their
// snapshots.
func (m *members) see(beat uint64, rows map[memberID][]byte, began, ended time.Time) error {
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
		reads, err := parseMember(row)
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
	// Who has shown no sign of life for so long may have lost partitions.
	missed := !before.IsZero() && time.Since(before) >= m.q.opts.MemberTTL
	changed := missed || !slices.EqualFunc(m.live, live, func(a, b livePeer) bool {
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
func (m *members) living(id memberID, p *peer) bool {
	return id == m.q.id || m.looked.Sub(p.seen) < m.q.opts.MemberTTL
}

// forgotten tells whether a row, as read after began, has not changed for so long
// that it can go.
func (m *members) forgotten(id memberID, row []byte, began time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	return p != nil && id != m.q.id && bytes.Equal(p.row, row) && began.Sub(p.seen) > 10*m.q.opts.MemberTTL
}

// chosen tells whether this process is the one that hashing picks for n among
// those alive that want it.
func (m *members) chosen(key []byte, wants func(subject) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := rendezvous(m.q.id, key)
	for id, p := range m.peers {
		if id == m.q.id || !m.living(id, p) || !slices.ContainsFunc(p.reads, wants) {
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

// health is what this process knows of another.
type health uint8

const (
	healthDead    health = iota
	healthAlive          // as of the last look
	healthUnknown        // it may have joined since the last look
)

// health tells how a process is that was met, as the owner of something, at a
// time. One that has no row when this process looks after that has left, or is
// dead for long.
func (q *Queue) health(id memberID, met time.Time) health {
	m := q.sharing()
	if m == nil {
		return healthDead
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p := m.peers[id]; {
	case p != nil && m.living(id, p):
		return healthAlive
	case p == nil && !m.looked.After(met):
		m.soon()
		return healthUnknown
	}
	return healthDead
}

func (q *Queue) sharing() *members {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.members
}
