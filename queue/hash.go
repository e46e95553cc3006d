package queue

import (
	"math/bits"
)

// shards is how many parts a topic has whose inboxes are emptied separately.
// It is part of the storage format: an event's shard is the top 4 bits of its
// hash.
const shards = 16

// hashKey maps a message's key to the 64 bits that choose its shard and
// partition: FNV-1a, 64 bit, over the key's bytes, then the finalizer of
// MurmurHash3 (fmix64), since the top bits count and FNV-1a hardly mixes the
// last bytes into those. It is a storage format, pinned by test vectors: a
// change would tear the order of a key's events.
//
// Sources: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm",
// draft-eastlake-fnv; A. Appleby, MurmurHash3.
func hashKey(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return mix(h)
}

// mix is fmix64 of MurmurHash3: every bit of x changes every bit of the result
// with probability one half.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// shardOf returns the shard of a hash.
func shardOf(hash uint64) int { return int(hash >> 60) }

// partitionOf returns the partition of a hash in a topic of so many
// partitions: hash * partitions / 2^64. Since partitions is a multiple of
// shards, a shard owns a range of partitions.
func partitionOf(hash uint64, partitions int) int {
	hi, _ := bits.Mul64(hash, uint64(partitions))
	return int(hi)
}
