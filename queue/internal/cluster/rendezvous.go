package cluster

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// rendezvous is the weight of a member for a key: the highest wins ("highest random
// weight", Thaler and Ravishankar 1998), so that a member that comes or goes moves
// only its own share. All processes of a queue have to agree on it.
func rendezvous(id ID, key []byte) uint64 {
	return keyhash.Mix(keyhash.Of(string(key)) ^ keyhash.Mix(binary.BigEndian.Uint64(id[:])))
}

// OwnsPartition reports whether this process works on a partition for a group.
func (c *Cluster) OwnsPartition(topic, group string, partition int) bool {
	m := c.running()
	if m == nil {
		return true
	}
	key := appendNumber(keyenc.AppendString(keyenc.AppendString(nil, topic), group), partition)
	return m.chosen(key, func(s Subject) bool { return s.Topic == topic && s.Group == group })
}

// OwnedShards returns which of a topic's shards this process sequences, a bit for
// each.
func (c *Cluster) OwnedShards(topic string, shards int) uint32 {
	m := c.running()
	if m == nil {
		return 1<<shards - 1
	}
	var owned uint32
	for shard := range shards {
		if m.chosen(appendNumber(keyenc.AppendString(nil, topic), shard), func(s Subject) bool { return s.Topic == topic }) {
			owned |= 1 << shard
		}
	}
	return owned
}

func appendNumber(dst []byte, n int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

// chosen tells whether this process is the one that hashing picks for key among
// those alive that want it.
func (m *members) chosen(key []byte, wants func(Subject) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := rendezvous(m.opts.ID, key)
	for id, p := range m.peers {
		if id == m.opts.ID || !m.living(id, p) || !slices.ContainsFunc(p.reads, wants) {
			continue
		}
		if r := rendezvous(id, key); r > own || r == own && bytes.Compare(id[:], m.opts.ID[:]) > 0 {
			return false
		}
	}
	return true
}
