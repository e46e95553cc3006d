package group

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/cluster"
)

// claim makes this worker the owner of the partitions of which it has no token. A
// partition whose owner is alive is left to that owner while it gets on, and for as
// long as it should take to notice that the partition is no longer its own, and a
// handler to return. If the owner gives the partition back before, so much the better.
//
// Nothing depends on that: whoever takes a partition writes a new token, and what its
// former owner still has in hand fails, because it demands its own.
func (f *Fetcher) claim(ctx context.Context, taken []fetching) error {
	var unowned []*fetching
	for i := range taken {
		if t := &taken[i]; t.token == (Token{}) {
			unowned = append(unowned, t)
		}
	}
	for some := range slices.Chunk(unowned, max(1, f.c.Store.TxnRoom()/changeSize)) {
		if err := f.claimSome(ctx, some); err != nil {
			return fmt.Errorf("queue: claiming partitions: %w", err)
		}
	}
	return nil
}

// claiming is what a transaction finds of one partition.
type claiming struct {
	state ownerState
	since time.Time // the partition stands as it does since then, as far as known
}

// claimSome claims partitions in one transaction.
func (f *Fetcher) claimSome(ctx context.Context, unowned []*fetching) error {
	partitions := make([]int, len(unowned))
	for i, t := range unowned {
		partitions[i] = t.number
	}
	now := time.Now()
	tokens := make([]Token, len(unowned)) // the same if the transaction is repeated
	for i := range tokens {
		tokens[i] = NewToken(f.c.Process)
	}
	var cps []Checkpoint
	found := make([]claiming, len(unowned))
	err := f.c.Store.UpdateKnown(ctx, "claims", func(tx *kv.Txn) (err error) {
		if cps, err = f.rows.Read(ctx, tx, partitions); err != nil {
			return err
		}
		for i, t := range unowned {
			cp := &cps[i]
			if cp.Owner == tokens[i] {
				continue // an earlier run committed after all
			}
			found[i] = f.ownerState(t.Partition, cp, now)
			if found[i].state == ownerBusy {
				continue
			}
			cp.take(tokens[i], found[i].state == ownerCrashed)
			if err := f.rows.Put(tx, partitions[i], cp); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range unowned {
		var wait time.Duration
		if found[i].state == ownerBusy {
			if t.Occupied(&cps[i], found[i].since, now) {
				wait = s.pollWait()
			}
		} else {
			wait = t.Claimed(&cps[i], now, f.c.window())
		}
		if wait > 0 {
			t.waits = true
			s.settleAfter(t.Partition, wait)
		}
	}
	return nil
}

// ownerState is what a worker makes of the owner of a partition.
type ownerState uint8

const (
	ownerGone    ownerState = iota // nobody works on the partition
	ownerCrashed                   // the owner has died with it
	ownerBusy                      // the partition is left to the owner
	ownerStuck                     // the owner is alive, but does not get on
)

// ownerState judges the owner that a checkpoint names. Nobody works on what a former
// worker of this process has not given back.
func (f *Fetcher) ownerState(p *Partition, cp *Checkpoint, now time.Time) claiming {
	if cp.Owner == (Token{}) || cp.Owner.Process() == f.c.Process {
		return claiming{ownerGone, now}
	}
	since, met := p.Sighted(cp, now, f.c.MemberTTL+2*f.c.Store.MaxPoll)
	switch f.c.Health(cp.Owner.Process(), met) {
	case cluster.Dead:
		return claiming{ownerCrashed, since}
	case cluster.Alive:
		if now.Sub(since) >= f.c.MemberTTL+f.c.Timeout {
			return claiming{ownerStuck, since}
		}
	}
	return claiming{ownerBusy, since}
}
