// Package keyhash is the hash by which others place keys: eventlog messages in
// shards and partitions, cluster the work of a group on processes. docs/format.md specifies it.
package keyhash

// Of maps a message's key to the 64 bits that choose its shard and partition:
// FNV-1a, 64 bit, over the key's bytes, then Mix, because the top bits count and
// FNV-1a hardly mixes the last bytes into those. The result is part of the storage
// format, and test vectors pin it: a change would tear the order of a key's events.
//
// Sources: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm",
// draft-eastlake-fnv; A. Appleby, MurmurHash3.
func Of(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return Mix(h)
}

// Mix is the finalizer fmix64 of MurmurHash3: every bit of x changes every bit of
// the result with probability one half.
func Mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
