// Package history decides whether what concurrent transactions recorded can
// have come from a store that keeps kv's isolation: snapshot isolation, Lock,
// the first committer wins, and real time.
//
// [Check] needs to know the version of every snapshot and commit, and then
// decides exactly, in time linear in the operations (but for sorting the
// transactions): it builds the committed states one after the other, and
// compares each read with the one state that it may have seen.
//
// [CheckAppends] knows no versions. It is for transactions that read and
// append to lists, from which it learns the order of the writes, and looks for
// cycles of dependencies that snapshot isolation forbids. The idea is that of
// Elle (Kingsbury, Alvaro: Elle, VLDB 2020) with the characterisation of
// snapshot isolation by Cerone and Gotsman (Analysing Snapshot Isolation, 2016).
//
// # Reading the source
//
// history.go is what a history is made of. check.go walks it by versions,
// conflict.go finds overlapping commits, reads.go compares reads, unknown.go
// places commits of unknown outcome, realtime.go holds versions against the
// order of events. appends.go and cycle.go are the check without versions.
package history
