// Package eventlog is the log of a queue's topics: how messages get into it, what
// is stored of them, and how far it goes.
//
// A transaction that publishes puts its messages into the topic's inbox (Inbox). A
// Sequencer moves them from there to the log and gives each the next position of
// its partition; a Pump runs a Sequencer while there are workers. The heads of a
// topic's shards say how far its partitions go. Remember is what Message.Unique
// does.
//
// shard.go decides which shard and partition a key goes to, inbox.go what a row of
// the inbox is, sequencer.go which position an event gets and how far the hint may
// advance, pump.go when a Sequencer runs. head.go is what is stored of a topic and its
// shards, row.go of an event, unique.go of Message.Unique; keys.go has the keys.
//
// The package knows nothing of groups or of processes. docs/format.md specifies
// the rows.
package eventlog
