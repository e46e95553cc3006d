package queue_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
)

var (
	chaosRuns = flag.Int("chaos", 8, "how many random stories TestChaos tells")
	seed      = flag.Uint64("seed", 0, "the seed of what is random; 0 draws one")
)

// TestChaos tells random stories: processes with workers of several groups and
// topics join, leave, die, are paused and go on, while events are published. In
// the end every event has one position, transactional handlers have had their
// effect once for each, nothing is stuck, and all is as calm as ever.
func TestChaos(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	for n := range *chaosRuns {
		seed := first + uint64(n)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			inCluster(t, 32, func(c *cluster) { newChaos(c, seed).run() })
		})
	}
}

// chaos is one story. Workers of one topic and group are of one kind.
type chaos struct {
	*cluster
	rng    *rand.Rand
	kinds  map[partitionID]kind
	alive  []*proc // not dead
	paused map[*proc]bool
	names  int
}

func newChaos(c *cluster, seed uint64) *chaos {
	x := &chaos{cluster: c, rng: rand.New(rand.NewPCG(seed, 0)), kinds: map[partitionID]kind{}, paused: map[*proc]bool{}}
	for _, topic := range []string{"a", "b"} {
		for _, group := range []string{"g", "h"} {
			x.kinds[partitionID{topic, group, 0}] = kinds[x.rng.IntN(len(kinds))]
		}
	}
	if x.rng.IntN(2) == 0 {
		slow := rand.New(rand.NewPCG(seed, 1))
		c.record.lasts = func() time.Duration {
			c.record.mu.Lock()
			defer c.record.mu.Unlock()
			if slow.IntN(20) > 0 {
				return 0
			}
			return time.Duration(slow.Int64N(int64(9 * time.Second)))
		}
	}
	return x
}

func (x *chaos) run() {
	for range 2 {
		x.join()
	}
	for range 60 {
		switch x.rng.IntN(10) {
		case 0, 1:
			x.join()
		case 2:
			x.leave()
		case 3:
			x.one(func(p *proc) {
				if len(x.alive) > 1 {
					p.die()
					x.drop(p)
				}
			})
		case 4, 5:
			x.one(func(p *proc) {
				if !x.paused[p] {
					p.freeze()
					x.paused[p] = true
				}
			})
		case 6:
			x.one(x.resume)
		case 7:
			x.one(func(p *proc) { // one of its workers ends
				if i := x.rng.IntN(len(p.runs) + 1); i < len(p.runs) && !x.paused[p] {
					x.endRun(p.runs[i])
					p.runs = append(p.runs[:i:i], p.runs[i+1:]...)
				}
			})
		}
		var keys []string
		for range x.rng.IntN(40) {
			keys = append(keys, x.keys[x.rng.IntN(x.partitions)])
		}
		x.publishTo([]string{"a", "b"}[x.rng.IntN(2)], keys...)
		x.wait(time.Duration(x.rng.Int64N(int64(ttl))))
	}
	x.end()
}

// end lets all go on, and what was done when the last died be taken over.
func (x *chaos) end() {
	for _, p := range x.alive {
		x.resume(p)
	}
	p := x.proc("last")
	for _, topic := range []string{"a", "b"} {
		for _, group := range []string{"g", "h"} {
			p.work(x.kinds[partitionID{topic, group, 0}], queue.Subscription{Topic: topic, Group: group})
		}
	}
	x.wait(takeover + settling + 2*time.Minute) // a slow handler's timeout, and a pause
	x.record.lasts = nil
	for partition, kind := range x.kinds {
		s := x.stats(partition.topic, partition.group)
		require.Zero(x, s.Lag(), "%+v", partition)
		require.Zero(x, s.Dead)
		for _, p := range x.procs {
			x.record.trust(p.name)
		}
		x.settled(partition.topic, partition.group)
		if kind == tx || kind == txBatch {
			require.Equal(x, int(s.Events)+x.partitions, x.effects(partition.group, partition.topic))
		}
	}
	require.Len(x, x.record.where, x.record.published)
}

func (x *chaos) join() {
	if len(x.alive) == 5 {
		return
	}
	x.names++
	p := x.proc(fmt.Sprint(x.names))
	for partition, kind := range x.kinds {
		if x.rng.IntN(3) > 0 || len(x.alive) == 0 {
			p.work(kind, queue.Subscription{Topic: partition.topic, Group: partition.group})
		}
	}
	x.alive = append(x.alive, p)
}

func (x *chaos) leave() {
	x.one(func(p *proc) {
		if x.paused[p] || len(x.alive) == 1 {
			return
		}
		for _, r := range p.runs {
			r.stop()
		}
		for _, r := range p.runs {
			x.endRun(r)
		}
		x.drop(p)
	})
}

// endRun stops a worker. One that was paused while it began may have given up.
func (x *chaos) endRun(r *run) {
	if err := r.end(); err != nil {
		require.ErrorIs(x, err, kv.ErrTxnTooOld)
	}
}

func (x *chaos) one(do func(p *proc)) {
	if len(x.alive) > 0 {
		do(x.alive[x.rng.IntN(len(x.alive))])
	}
}

func (x *chaos) resume(p *proc) {
	p.revive()
	delete(x.paused, p)
}

func (x *chaos) drop(p *proc) {
	for i, q := range x.alive {
		if q == p {
			x.alive = append(x.alive[:i:i], x.alive[i+1:]...)
		}
	}
	if x.paused[p] {
		delete(x.paused, p)
	}
}
