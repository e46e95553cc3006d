package eventlog

import "math/bits"

// Shards is how many parts a topic has whose inboxes are emptied separately. It is
// part of the storage format: an event's shard is the top 4 bits of its hash.
const Shards = 16

// AllShards has a bit for each shard.
const AllShards = 1<<Shards - 1

// MaxPartitions of a topic keeps the rows small that hold a number for each
// partition of a shard.
const MaxPartitions = 1 << 14

// ShardOf returns the shard of a hash.
func ShardOf(hash uint64) int { return int(hash >> 60) }

// PartitionOf returns the partition of a hash in a topic of so many partitions:
// hash * partitions / 2^64. Since partitions is a multiple of Shards, a shard owns
// a range of partitions.
func PartitionOf(hash uint64, partitions int) int {
	hi, _ := bits.Mul64(hash, uint64(partitions))
	return int(hi)
}
