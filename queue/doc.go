// Package queue keeps events in the store of the data that they are about, so
// that a write and its event are one transaction, and an event's effects and the
// progress over it are another.
//
//	q, err := queue.Open(store, nil)
//	...
//	err = store.Update(ctx, func(tx *kv.Txn) error { // the order and its event exist together, or not at all
//		if err := tx.Set(orderKey, order); err != nil {
//			return err
//		}
//		return q.Publish(ctx, tx, queue.Message{Topic: "orders", Key: customer, Payload: order})
//	})
//	...
//	w, err := q.Subscribe(queue.Subscription{
//		Topic: "orders", Group: "billing",
//		TxHandler: func(ctx context.Context, tx *kv.Txn, ev *queue.Event) error {
//			return tx.Set(invoiceKey(ev), invoice(ev)) // happens once for each event, whatever crashes
//		},
//	})
//	...
//	err = w.Run(ctx) // until ctx ends
//
// # Topics, partitions, groups
//
// A topic is a log of events in partitions, 1024 unless [Options] say otherwise.
// [Message.Key] chooses the partition, and orders: events of one partition are
// handled one after the other, in the order of the transactions that published
// them; different partitions at the same time. Any number of groups read a topic,
// each for itself: a group's checkpoint in a partition says up to which event it
// is done.
//
// # Guarantees
//
//   - An event exists if and only if the transaction that published it committed.
//   - It has one position. Positions in a partition are 1, 2, 3 ... without gaps.
//   - If one transaction saw another's writes, or began after the other was
//     acknowledged, its events with the same key come later.
//   - Each group gets each event at least once, until its handler succeeds or the
//     event becomes a dead letter.
//   - What a transactional handler writes commits at most once for each event and
//     group, however many processes crash, pause or work at the same time.
//   - An event's handler does not start before that of the event before it in the
//     partition has succeeded, or that event has become a dead letter. The one
//     exception is a process that has lost the partition, because it was paused
//     or cut off, and does not know it yet: a plain handler may run there
//     alongside. Nothing that it does to the store through the queue counts.
//
// None of this depends on clocks, leases or on how many processes there are:
// progress is a write in the transaction that makes it, and of two that would
// make the same progress one conflicts. Leases only decide who tries.
//
// The effects of plain handlers ([Subscription.Handler], BatchHandler) are outside
// the store and can be repeated: give them the event's topic, partition and
// position, which never change, to recognize it.
//
// # Failure
//
// A handler's error or panic makes the event come again after a pause, while its
// partition waits, so order is kept; see [Snooze], [RetryAfter], [Cancel]. After
// MaxAttempts it is a [DeadLetter] and the partition goes on. An event that kills
// its process is found out when that has happened some times, by running those that
// may have done it one by one, and ends the same way after MaxAttempts more.
//
// # Processes
//
// On a store that several processes share (kv.Info.Shared), those that run
// workers of a group divide its partitions among themselves and take over from
// one that stops, at once, or dies, after Options.MemberTTL. Where one process has
// the store it has all partitions. [Subscription].Partitions and Leader are for
// programs that decide this themselves.
//
// # Invariants
//
// Tests whose names begin with TestInvariant prove each of these, most of them on
// every driver, with something else done before each driver call. TestSweep breaks
// each driver call of a topic's life, TestModel runs random programs, TestChaos runs
// processes that stall and die, and TestKill kills real ones; what all of them leave
// behind has to fit, too.
//
//  1. An event exists if and only if its transaction committed
//     (TestInvariant1ExistsIfCommitted).
//  2. Every event that exists gets one position, and the positions of a partition
//     are dense (TestInvariant2SlowPublisher, TestInvariant2SlowPublisherEmptyInbox,
//     TestInvariant2TwoSequencers, TestInvariant2LateCommit,
//     TestInvariant23Concurrent).
//  3. The positions of two events with one key are in the order of their
//     transactions, if those conflict or one began after the other was acknowledged
//     (TestInvariant3ConflictOrder, TestInvariant23Concurrent).
//  4. A group's floor says that every event up to it is done or dead, and the floor
//     only rises (TestInvariant4FloorOnlyRises).
//  5. A group gets each event at least once, until it is done or dead
//     (TestInvariant5AtLeastOnce).
//  6. What a transactional handler writes commits at most once for each event and
//     group, whatever late commits land and paused processes still do
//     (TestInvariant6ZombieTransaction, TestInvariant6LateCommit,
//     TestInvariant6LateCommitOfZombie).
//  7. The next event of a partition does not start in a group before the handler of
//     the one before has returned and that event is done or dead; a process that has
//     lost the partition is the one exception (TestInvariant7Order).
//  8. Who has lost a partition changes nothing of what is stored there
//     (TestInvariant8LostTokenChangesNothing, TestInvariant8TakeoverWhileWriting,
//     TestInvariant8PartitionSetBack, TestInvariant8LostTransaction).
//  9. An idle topic costs the same however many partitions it has, and a drain is as
//     fast at its end as at its start, also under a load that never lets the inbox
//     run empty (TestInvariant9Idle, TestInvariant9Drain, TestInvariant9SteadyLoad,
//     TestInvariant9HintAdvances).
//
// # Cost
//
// Publishing is one write in the caller's transaction; it reads nothing and adds
// no conflict. A worker moves events to the log, up to 2048 in a transaction, and
// a transactional batch handler costs one batch get for its events, one for the
// checkpoints and one commit. Idle topics cost a few reads a second.
//
// # Reading the source
//
// Data flows one way: this package, internal/group, internal/eventlog.
//
// message.go is what is published, queue.go publishes it. subscription.go is what
// a user says of a worker; worker.go starts and ends its parts, deliver.go hands
// events to handlers, outcome.go decides what becomes of one that failed: how long
// it waits, and when it is a dead letter. feed.go is what the workers on one topic
// share. topic.go and group.go are handles for operators, with stats.go.
//
// internal/eventlog is the log: its rows, the inbox, and the sequencer that gives
// events their positions. internal/group is how a worker takes part in a group: begin
// with its partition.go, the state machine of one partition, then scheduler.go,
// fetcher.go with claim.go, and checkpointer.go. internal/cluster divides the work
// among processes, and knows which of them live. Beneath them internal/access repeats
// calls of the store and waits, and internal/keyhash hashes keys.
package queue
