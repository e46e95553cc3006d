// Package eventlog is the log of a queue's topics: how messages get into it, what
// is stored of them, and how far it goes.
//
// A transaction that publishes puts its messages into the topic's inbox (Inbox). A
// Sequencer moves them from there to the log and gives each the next position of
// its partition; a Pump runs a Sequencer while there are workers. The heads of a
// topic's shards say how far its partitions go. Remember is what Message.Unique
// does.
//
// The package knows nothing of groups or of processes. docs/format.md specifies
// the rows.
package eventlog
