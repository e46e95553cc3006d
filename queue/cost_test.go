package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// idleTopics is how many topics an idle process reads.
const idleTopics = 10

// idle returns what members that have nothing to do ask of the store in a minute.
func idle(t *testing.T, members, partitions int) (calls kvfault.Counts) {
	inCluster(t, partitions, func(c *cluster) {
		for i := range members {
			p := c.proc(fmt.Sprint(i))
			for topic := range idleTopics {
				p.work(txBatch, queue.Subscription{Topic: fmt.Sprint("topic", topic), Group: "g"})
			}
		}
		for topic := range idleTopics {
			c.publish(fmt.Sprint("topic", topic))
		}
		c.wait(2 * time.Minute) // members know each other, and the inboxes' hints have been checked
		p := c.procs[0]
		calls = p.calls.Measure(func() { c.wait(time.Minute) })
	})
	return calls
}

// TestIdleCost counts what a process asks of the store that has nothing to do,
// for each topic and second: it does not grow with the partitions.
func TestIdleCost(t *testing.T) {
	for members := 1; members <= 3; members++ {
		few, many := idle(t, members, 16), idle(t, members, 1024)
		t.Logf("%d members, 1024 partitions, a minute: %v", members, many)
		for _, c := range []kvfault.Counts{few, many} {
			polls := 60 * 4 / 3 * idleTopics // at most, with jitter
			beats := 60 / int(ttl/3/time.Second) * 4 / 3
			require.LessOrEqual(t, c.Watermarks, polls)
			require.LessOrEqual(t, c.BatchGets, 2*polls) // of heads, to sequence and to see what others have sequenced
			require.LessOrEqual(t, c.BatchKeys, 32*polls)
			require.LessOrEqual(t, c.Seeks, 16*polls)
			require.LessOrEqual(t, c.Commits, beats)
			require.LessOrEqual(t, c.Entries, beats*members)
			require.LessOrEqual(t, c.Gets, 0)
		}
		if members == 1 { // of several, each has a share of the shards that varies
			require.InEpsilon(t, few.RoundTrips(), many.RoundTrips(), 0.1)
		}
	}
}

// TestStartCost bounds what a worker asks of the store before its first event,
// of one partition or of many.
func TestStartCost(t *testing.T) {
	for _, partitions := range []int{16, 1024} {
		inCluster(t, partitions, func(c *cluster) {
			for i := range 2 {
				p := c.proc(fmt.Sprint(i))
				calls := p.calls.Measure(func() {
					p.work(txBatch, queue.Subscription{Topic: "a", Group: "g"})
					c.wait(time.Millisecond) // the first poll is part of it
				})
				t.Logf("%d partitions: %v", partitions, calls)
				require.LessOrEqual(c, calls.Begins+calls.ViewBegins, 6)
				require.LessOrEqual(c, calls.Gets, 3)
				require.LessOrEqual(c, calls.BatchGets, 4)
				require.LessOrEqual(c, calls.Cursors, 3) // members, checkpoints, the inbox
				require.LessOrEqual(c, calls.Seeks, 16)
				require.LessOrEqual(c, calls.Commits, 3) // topic, group, member
			}
		})
	}
}

// TestAllHandlersAreBusy: a backlog in each of 64 partitions keeps 64 handlers
// busy; none waits because others hold the events.
func TestAllHandlersAreBusy(t *testing.T) {
	for _, kind := range []kind{plain, tx} {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 64, func(c *cluster) {
				for range 150 {
					c.publish("a")
				}
				release := c.record.hold("1")
				c.proc("1").work(kind, queue.Subscription{Topic: "a", Group: "g", Concurrency: 64})
				c.wait(5 * time.Second)
				require.Equal(c, 64, c.record.held("1"))
				release()
				c.wait(time.Minute)
				require.Zero(c, c.stats("a", "g").Lag())
			})
		})
	}
}
