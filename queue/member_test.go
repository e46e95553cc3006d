package queue_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/queue"
)

// TestMembersShare lets four processes share 1024 partitions.
func TestMembersShare(t *testing.T) {
	inCluster(t, 1024, func(c *cluster) {
		for i := range 4 {
			c.proc(fmt.Sprint(i)).work(plain, queue.Subscription{Topic: "a", Group: "g"})
		}
		c.wait(settling)
		n := shares(c.settled("a", "g"))
		require.Len(c, n, 4)
		for name, share := range n { // 256 by chance, with a standard deviation of 14
			require.InDelta(c, 256, share, 6*14, name)
		}
		require.Equal(c, 4, c.members())
	})
}

// TestMembersComeAndGo: who comes or goes moves its own share and no other, what
// it hands over comes once, and its tokens are given back.
func TestMembersComeAndGo(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 128, func(c *cluster) {
				s := queue.Subscription{Topic: "a", Group: "g"}
				c.proc("1").work(kind, s)
				c.proc("2").work(kind, s)
				c.wait(settling)
				before := c.settled("a", "g")

				third := c.proc("3")
				run := third.work(kind, s)
				for range int(settling / time.Second) { // under load
					c.publish("a")
					c.wait(time.Second)
				}
				require.Zero(c, c.record.repeats())
				with := c.settled("a", "g")
				came := moved(before, with)
				require.InDelta(c, 128/3, len(came), 35)
				for _, p := range came {
					require.Equal(c, "3", with[p])
				}

				require.NoError(c, run.end())
				for _, term := range c.terms(third, "a", "g") {
					require.False(c, term.ByQueue, "a token that was not given back")
					require.Zero(c, term.Crashes)
				}
				require.Equal(c, 2, c.members())
				for range int(settling / time.Second) {
					c.publish("a")
					c.wait(time.Second)
				}
				require.Zero(c, c.record.repeats())
				require.Equal(c, before, c.settled("a", "g"))
			})
		})
	}
}

// TestMemberDies: its partitions are taken over when the TTL has passed, and not
// before; what it had not finished comes again.
func TestMemberDies(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 64, func(c *cluster) {
				s := queue.Subscription{Topic: "a", Group: "g", Concurrency: 64, BatchSize: 4}
				first, second := c.proc("1"), c.proc("2")
				first.work(kind, s)
				second.work(kind, s)
				c.wait(settling)
				who := c.settled("a", "g")

				c.record.reset()
				release := c.record.hold("2")
				c.publish("a")
				c.wait(3 * time.Second)
				require.Positive(c, c.record.held("2"))
				second.die()
				release()
				c.wait(2 * ttl / 3) // its last sign of life is younger than this
				require.Equal(c, uint64(shares(who)["2"]), c.stats("a", "g").Lag())
				require.Zero(c, c.record.repeats())

				c.wait(takeover - 2*ttl/3)
				require.Zero(c, c.stats("a", "g").Lag())
				for _, term := range c.terms(second, "a", "g") {
					require.False(c, term.ByQueue)
					require.Zero(c, term.Attempts)
				}
				for id, by := range c.record.runsOf("a", "g") {
					require.Equal(c, "1", by[len(by)-1])
					require.Equal(c, who[id.partition] == "2", slices.Contains(by, "2"))
				}
				if kind == tx || kind == txBatch {
					require.Equal(c, 128, c.effects("g", "a"))
				}
				require.Equal(c, map[string]int{"1": 64}, shares(c.settled("a", "g")))

				require.Equal(c, 2, c.members())
				c.wait(11 * ttl)
				require.Equal(c, 1, c.members(), "the dead one's row is removed")
			})
		})
	}
}

// TestZombie pauses a process that holds partitions and events, lets others take
// over, and lets it go on: it changes nothing, and takes part again.
func TestZombie(t *testing.T) {
	for _, kind := range kinds {
		for _, pause := range []time.Duration{2 * ttl, 100 * ttl} { // its row is still there, and removed
			t.Run(fmt.Sprint(kind, pause), func(t *testing.T) {
				inCluster(t, 64, func(c *cluster) {
					s := queue.Subscription{Topic: "a", Group: "g", Concurrency: 64, BatchSize: 4}
					first, second := c.proc("1"), c.proc("2")
					first.work(kind, s)
					second.work(kind, s)
					c.wait(settling)
					who := c.settled("a", "g")

					release := c.record.hold("2")
					c.publish("a")
					c.publish("a")
					c.wait(time.Second)
					second.freeze()
					c.wait(pause)
					require.Zero(c, c.stats("a", "g").Lag())
					before := c.terms(first, "a", "g")
					release()
					second.revive()
					c.wait(time.Second)
					for p, term := range c.terms(first, "a", "g") {
						require.Equal(c, before[p], term, "partition %d", p)
					}
					c.wait(ttl + settling)
					c.record.trust("2")
					require.Equal(c, who, c.settled("a", "g"))
					if kind == tx || kind == txBatch {
						require.Equal(c, 4*64, c.effects("g", "a"))
					}
					require.Equal(c, 2, c.members())
				})
			})
		}
	}
}

// TestZombieUnderLoad is TestZombie with new events all the time, so that the
// zombie finds work at once.
func TestZombieUnderLoad(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 32, func(c *cluster) {
				s := queue.Subscription{Topic: "a", Group: "g", BatchSize: 8}
				for _, name := range []string{"1", "2", "3"} {
					c.proc(name).work(kind, s)
				}
				c.wait(settling)
				second := c.procs[1]
				rounds := 0
				load := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); rounds++ {
						c.publish("a")
						c.wait(time.Second)
					}
				}
				for range 2 {
					second.freeze()
					load(3 * ttl)
					second.revive()
					load(3 * ttl)
					c.record.trust("2")
					load(ttl)
				}
				c.settled("a", "g")
				if kind == tx || kind == txBatch {
					require.Equal(c, (rounds+1)*32, c.effects("g", "a"))
				}
				for _, term := range c.terms(second, "a", "g") {
					require.Zero(c, term.Crashes)
					require.Zero(c, term.Attempts)
				}
			})
		})
	}
}

// TestSleeperTakesNothing: a process that wakes up from a long pause does not
// hold the others for dead because it has not seen them for so long.
func TestSleeperTakesNothing(t *testing.T) {
	inCluster(t, 64, func(c *cluster) {
		s := queue.Subscription{Topic: "a", Group: "g"}
		first, second := c.proc("1"), c.proc("2")
		first.work(plain, s)
		second.work(plain, s)
		c.wait(settling)
		c.settled("a", "g")
		second.freeze()
		c.wait(takeover)
		c.publish("a") // all go to 1
		c.wait(3 * time.Second)
		before := c.terms(first, "a", "g")
		c.record.reset()
		release := c.record.hold("1")
		c.publish("a")
		c.wait(time.Second)
		second.revive()
		c.wait(2 * time.Second)
		for p, term := range c.terms(first, "a", "g") {
			require.True(c, term.ByQueue, "partition %d was taken from a living owner", p)
			require.Equal(c, before[p], term)
		}
		release()
	})
}

// TestMembersOfSeveralTopics: each (topic, group) is shared among those that
// read it, whatever else they do.
func TestMembersOfSeveralTopics(t *testing.T) {
	inCluster(t, 64, func(c *cluster) {
		ab, a, b := c.proc("ab"), c.proc("a"), c.proc("b")
		subscribe := func(topic, group string) queue.Subscription { return queue.Subscription{Topic: topic, Group: group} }
		ab.work(plain, subscribe("a", "g"))
		ab.work(txBatch, subscribe("b", "g"))
		ab.work(tx, subscribe("b", "h"))
		a.work(plain, subscribe("a", "g"))
		aH := a.work(batch, subscribe("a", "h"))
		b.work(txBatch, subscribe("b", "g"))
		c.wait(settling)
		names := func(topic, group string) []string {
			var all []string
			for name, n := range shares(c.settled(topic, group)) {
				require.Greater(c, n, 64/10) // of the two that share it
				all = append(all, name)
			}
			slices.Sort(all)
			return all
		}
		require.Equal(c, []string{"a", "ab"}, names("a", "g"))
		require.Equal(c, []string{"ab", "b"}, names("b", "g"))
		require.Equal(c, []string{"ab"}, names("b", "h"))
		require.Equal(c, []string{"a"}, names("a", "h"))

		// A worker that ends while another of its process goes on.
		ab.work(batch, subscribe("a", "h"))
		c.wait(settling)
		require.Equal(c, []string{"a", "ab"}, names("a", "h"))
		require.NoError(c, aH.end())
		c.wait(settling)
		require.Equal(c, []string{"ab"}, names("a", "h"))
		require.Equal(c, []string{"a", "ab"}, names("a", "g"))

		b.die()
		c.wait(takeover)
		require.Equal(c, []string{"ab"}, names("b", "g"))
		require.Equal(c, []string{"a", "ab"}, names("a", "g"))
	})
}

// TestRestartedWorker: a worker that begins when another of its process has just
// ended keeps its process known.
func TestRestartedWorker(t *testing.T) {
	inCluster(t, 64, func(c *cluster) {
		s := queue.Subscription{Topic: "a", Group: "g"}
		first := c.proc("1")
		c.proc("2").work(plain, s)
		run := first.work(plain, s)
		c.wait(settling)
		for range 5 {
			c.settled("a", "g")
			// The first call gives back partitions, the second removes the row.
			removal := first.faulty.Inject(kvfault.Rule{Call: kv.CallBegin, Skip: 1, Hold: true, Deaf: true})
			first.faults = append(first.faults, removal)
			run.stop()
			<-removal.Reached()
			other := first.work(plain, queue.Subscription{Topic: "a", Group: "h"})
			c.wait(time.Second)
			require.Empty(c, c.record.runsOf("a", "h"), "it waits, or its row would be removed")
			removal.Lift()
			require.NoError(c, run.end())
			c.wait(time.Second)
			require.Equal(c, 2, c.members())
			run = first.work(plain, s)
			c.wait(time.Second)
			require.NotEmpty(c, c.record.runsOf("a", "h"))
			require.NoError(c, other.end())
			require.Equal(c, 2, c.members())
			c.wait(settling)
		}
		c.wait(settling)
		require.Len(c, shares(c.settled("a", "g")), 2)
		require.Zero(c, c.record.repeats())
	})
}

// TestJoinerIsNotDead: what a process takes that has just joined is not taken
// from it by one that has not seen it yet.
func TestJoinerIsNotDead(t *testing.T) {
	for range 20 { // the others may look at just this moment
		inCluster(t, 32, func(c *cluster) {
			s := queue.Subscription{Topic: "a", Group: "g", Concurrency: 32}
			first, second := c.proc("1"), c.proc("2")
			first.work(plain, s)
			c.wait(settling)
			c.record.hold("1")
			c.record.hold("2")
			second.work(plain, s)
			c.wait(time.Millisecond)
			c.publish("a")
			c.wait(ttl)
			require.Zero(c, c.record.repeats())
			require.Equal(c, 32, c.record.held("1")+c.record.held("2"))
			for _, term := range c.terms(first, "a", "g") {
				require.Zero(c, term.Crashes)
			}
		})
	}
}

// TestOwnTokenIsNoStranger: a worker that ends without giving its partitions back
// does not keep the next one of its process waiting.
func TestOwnTokenIsNoStranger(t *testing.T) {
	inCluster(t, 16, func(c *cluster) {
		s := queue.Subscription{Topic: "a", Group: "g", DrainTimeout: time.Second}
		p := c.proc("1")
		p.work(plain, queue.Subscription{Topic: "other", Group: "g"}) // keeps the process alive
		run := p.work(plain, s)
		c.wait(settling)
		c.settled("a", "g")
		p.die()
		require.Error(c, run.end())
		p.revive()
		c.record.trust("1")
		p.work(plain, s)
		c.wait(time.Second)
		c.settled("a", "g")
		for _, term := range c.terms(p, "a", "g") {
			require.True(c, term.ByQueue)
			require.Zero(c, term.Crashes)
		}
	})
}

// TestSlowHandlerIsWaitedFor: a partition that another process should have is
// left to a living owner until its handler has returned.
func TestSlowHandlerIsWaitedFor(t *testing.T) {
	inCluster(t, 32, func(c *cluster) {
		s := queue.Subscription{Topic: "a", Group: "g", Concurrency: 32, Timeout: 10 * ttl}
		c.proc("1").work(plain, s)
		c.wait(settling)
		release := c.record.hold("1")
		c.publish("a")
		c.wait(time.Second)
		second := c.proc("2")
		second.work(plain, s)
		c.wait(9 * ttl)
		require.Zero(c, c.record.repeats())
		release()
		c.wait(3 * time.Second)
		require.Zero(c, c.stats("a", "g").Lag())
		require.Zero(c, c.record.repeats())
		require.Len(c, shares(c.settled("a", "g")), 2)
		for _, term := range c.terms(second, "a", "g") {
			require.Zero(c, term.Crashes)
		}
	})
}

// TestDrainingHandsOver: while a worker that was told to stop waits for a handler,
// others go on with the partitions that it has finished.
func TestDrainingHandsOver(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 64, func(c *cluster) {
				s := queue.Subscription{Topic: "a", Group: "g", BatchSize: 1, Timeout: 14 * time.Second, DrainTimeout: time.Hour}
				first := c.proc("1").work(kind, s)
				c.proc("2").work(kind, s)
				c.wait(settling)
				busy := -1
				for p, name := range c.settled("a", "g") {
					if name == "1" {
						busy = p
					}
				}
				release := c.record.hold("1")
				c.publishTo("a", c.keys[busy])
				c.wait(2 * time.Second)
				first.stop()
				c.wait(ttl/3 + 2*time.Second)
				c.record.reset()
				c.publish("a")
				c.wait(5 * time.Second)
				n := shares(c.ran("a", "g"))
				require.Equal(c, map[string]int{"2": 63}, n)
				release()
				require.NoError(c, first.end())
				c.wait(5 * time.Second)
				require.Zero(c, c.stats("a", "g").Lag())
				require.Zero(c, c.record.repeats())
				for _, term := range c.terms(first.p, "a", "g") {
					require.False(c, term.ByQueue)
					require.Zero(c, term.Crashes)
				}
			})
		})
	}
}

// TestTimeoutForEver: no timeout is one that an owner is left its partitions for.
func TestTimeoutForEver(t *testing.T) {
	inCluster(t, 32, func(c *cluster) {
		s := queue.Subscription{Topic: "a", Group: "g", Concurrency: 32, Timeout: math.MaxInt64, DrainTimeout: math.MaxInt64}
		first := c.proc("1").work(plain, s)
		c.wait(settling)
		release := c.record.hold("1")
		c.publish("a")
		c.wait(time.Second)
		second := c.proc("2")
		second.work(plain, s)
		c.wait(9 * ttl)
		require.Zero(c, c.record.repeats(), "it was taken from an owner that is at work")
		first.stop()
		c.wait(time.Minute)
		release()
		require.NoError(c, first.end())
		c.wait(takeover)
		require.Zero(c, c.stats("a", "g").Lag())
		require.Zero(c, c.record.repeats())
	})
}

// TestTTLForEver: processes that are never held for dead share partitions too.
func TestTTLForEver(t *testing.T) {
	inCluster(t, 32, func(c *cluster) {
		c.opts.MemberTTL = math.MaxInt64
		s := queue.Subscription{Topic: "a", Group: "g"}
		c.proc("1").work(plain, s)
		c.proc("2").work(plain, s)
		for _, p := range c.procs {
			for range 2 { // the second time nothing has changed
				c.wait(time.Second)
				p.q.Beat()
			}
		}
		c.wait(time.Second)
		require.Equal(c, 2, c.members())
		require.Len(c, shares(c.settled("a", "g")), 2)
	})
}

// TestLeader: who is not leading starts nothing, and two leaders do no harm.
func TestLeader(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			inCluster(t, 32, func(c *cluster) {
				var leads [2]atomic.Bool
				for i := range leads {
					c.proc(fmt.Sprint(i)).work(kind, queue.Subscription{Topic: "a", Group: "g", Leader: leads[i].Load})
				}
				c.wait(settling)
				c.publish("a")
				c.wait(5 * time.Second)
				require.Equal(c, uint64(32), c.stats("a", "g").Lag(), "nobody leads")
				leads[0].Store(true)
				c.wait(5 * time.Second)
				require.Equal(c, map[string]int{"0": 32}, shares(c.settled("a", "g")))
				leads[0].Store(false)
				c.wait(time.Second)
				leads[1].Store(true)
				c.wait(5 * time.Second)
				require.Equal(c, map[string]int{"1": 32}, shares(c.settled("a", "g")))

				leads[0].Store(true) // both
				for range 60 {
					c.publish("a")
					c.wait(time.Second)
				}
				c.wait(ttl)
				require.Zero(c, c.stats("a", "g").Lag())
				require.Zero(c, c.record.repeats())
				leads[1].Store(false)
				c.wait(5 * time.Second)
				require.Equal(c, map[string]int{"0": 32}, shares(c.settled("a", "g")))
				if kind == tx || kind == txBatch {
					require.Equal(c, int(c.stats("a", "g").Events), c.effects("g", "a"))
				}
			})
		})
	}
}

// TestFormerLeaderStartsNothing, even if the store does not answer it.
func TestFormerLeaderStartsNothing(t *testing.T) {
	inCluster(t, 16, func(c *cluster) {
		var leads atomic.Bool
		leads.Store(true)
		p := c.proc("1")
		p.work(plain, queue.Subscription{Topic: "a", Group: "g", Concurrency: 1, Leader: leads.Load})
		c.wait(settling)
		release := c.record.hold("1")
		for range 10 {
			c.publish("a")
		}
		c.wait(time.Second)
		p.freeze()
		leads.Store(false)
		c.wait(time.Second)
		n := len(c.record.runsOf("a", "g"))
		release()
		c.wait(time.Second)
		require.Len(c, c.record.runsOf("a", "g"), n)
	})
}

// TestStaticRanges: workers with fixed partitions work on these alone.
func TestStaticRanges(t *testing.T) {
	inCluster(t, 32, func(c *cluster) {
		for i := range 4 {
			r := &queue.Range{From: 8 * i, To: 8*i + 8}
			c.proc(fmt.Sprint(i)).work(tx, queue.Subscription{Topic: "a", Group: "g", Partitions: r})
		}
		c.wait(settling)
		for p, name := range c.settled("a", "g") {
			require.Equal(c, fmt.Sprint(p/8), name)
		}
		c.procs[0].die() // nobody takes over
		c.wait(takeover)
		c.publish("a")
		c.wait(takeover)
		require.Equal(c, uint64(8), c.stats("a", "g").Lag())
		again := c.proc("again")
		again.work(tx, queue.Subscription{Topic: "a", Group: "g", Partitions: &queue.Range{From: 0, To: 8}})
		c.wait(takeover) // whose row it is, and since when, it cannot know
		require.Zero(c, c.stats("a", "g").Lag())
		require.Equal(c, 64, c.effects("g", "a"))
	})
}

// TestStrangersRow: a row that no member has written fails the start, and says so.
func TestStrangersRow(t *testing.T) {
	inCluster(t, 16, func(c *cluster) {
		require.NoError(c, c.store.Update(c.Context(), func(tx *kv.Txn) error {
			return tx.Set([]byte("qm12345678"), []byte("?"))
		}))
		w, err := c.proc("1").q.Subscribe(queue.Subscription{Topic: "a", Group: "g",
			Handler: func(context.Context, *queue.Event) error { return nil }})
		require.NoError(c, err)
		require.ErrorIs(c, w.Run(c.Context()), queue.ErrCorrupt)
	})
}
