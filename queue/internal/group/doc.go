// Package group is how one worker takes part in a group that reads a topic.
//
// A Partition is what the worker knows about one partition of the group: a state
// machine without a mutex, timers or I/O. Around it there are a Scheduler, which
// holds the mutex, the lists of partitions with work and the budget of events in
// memory; a Fetcher, which claims partitions and reads their events; and a
// Checkpointer, which writes how far the group has come. Rows is what is stored.
//
// Each has the file of its name. claim.go decides when a partition is taken over from
// another process, checkpoint.go counts the deaths of processes at it. origin.go is
// where a group begins, dead.go a dead letter as it is stored.
//
// Handlers are the caller's: it takes jobs from the Scheduler and tells the
// Scheduler and the Checkpointer how they went. docs/format.md specifies the rows.
package group
