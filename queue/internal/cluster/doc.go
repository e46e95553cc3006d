// Package cluster knows which processes work on a store that several share, and so
// which partitions and shards this one works on. It knows nothing of logs or of
// groups' progress: a subject is a pair of names, and a partition a number.
//
// members.go decides which processes live, rendezvous.go who has which partition,
// row.go is what a process stores of itself.
//
// Processes may disagree for a while, and one may work on after the others have
// given it up. Nothing depends on it: the owner in a checkpoint, and the heads that
// sequencers write, keep out who is late. docs/format.md specifies the rows.
package cluster
