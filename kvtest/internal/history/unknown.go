package history

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// placeUnknown gives a commit version to each transaction of unknown outcome
// whose values somebody saw: those have happened, the others have not, as far
// as anybody can tell. The true version lies below the first snapshot that saw
// it and below those of the transactions that then changed the same keys; the
// highest that these bounds allow is as good as the true one, since all that is
// below it contradicts just as well what is found to contradict it.
func (c *checker) placeUnknown() error {
	seen := c.seenUnknown()
	if len(seen) == 0 {
		return nil
	}
	happened := make([]int, 0, len(seen))
	for i := range seen {
		happened = append(happened, i)
	}
	slices.SortFunc(happened, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.txns[a].Read, c.txns[b].Read), cmp.Compare(a, b))
	})
	changes := c.changesBeside(happened)
	for _, i := range happened {
		t, bound := &c.txns[i], seen[i]
		if bound.version <= t.Read {
			return &Anomaly{"read of the future", bound.txn, fmt.Sprintf("read at %d, and got a value of transaction %d, which read at %d before it committed",
				bound.version, i, t.Read)}
		}
		err := c.footprint(i, func(k int32, _ string, lockOnly bool) error {
			for _, next := range changes[k] {
				if next.txn == i || next.after <= t.Read || lockOnly && next.lockOnly {
					continue
				}
				if read := c.txns[next.txn].Read; read <= t.Read {
					return &Anomaly{"G0 overlapping writes", i, fmt.Sprintf("(of unknown outcome, but seen) read at %d and overlaps transaction %d, which changed one of its keys",
						t.Read, next.txn)}
				} else if read < bound.version {
					bound = newest{read, next.txn}
				}
				if !next.lockOnly { // those after it are above
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.commits[i] = bound.version
	}
	return nil
}

// seenUnknown returns the transactions of unknown outcome that others saw, and
// who saw them first, in the order of versions.
func (c *checker) seenUnknown() map[int]newest {
	any := false
	for i := range c.txns {
		if c.txns[i].Outcome == Unknown {
			any = true
			for _, op := range c.txns[i].Ops {
				if op.Kind == Set {
					c.doubtful[c.index[op.Key]] = true
				}
			}
		}
	}
	if !any {
		return nil
	}
	seen := map[int]newest{}
	look := func(reader int, value string) {
		w, ok := c.source[value]
		if i := int(w.txn); ok && i != reader && c.txns[i].Outcome == Unknown {
			read := c.txns[reader].Read
			if first, ok := seen[i]; !ok || read < first.version {
				seen[i] = newest{read, reader}
			}
		}
	}
	for i := range c.txns {
		for _, op := range c.txns[i].Ops {
			switch op.Kind {
			case Get:
				look(i, op.Value)
			case Scan:
				for _, p := range op.Scan.Pairs {
					look(i, p.Value)
				}
			}
		}
	}
	return seen
}

// change is what a transaction that happened did to a key.
type change struct {
	after    kv.Version // its commit is at or above this, and its own if known
	txn      int
	lockOnly bool
}

// changesBeside returns, for the keys of the transactions given, everything
// that happened to them, in order of versions.
func (c *checker) changesBeside(happened []int) map[int32][]change {
	changes := map[int32][]change{}
	for _, i := range happened {
		_ = c.footprint(i, func(k int32, _ string, lockOnly bool) error {
			changes[k] = append(changes[k], change{c.txns[i].Read + 1, i, lockOnly})
			return nil
		})
	}
	for i := range c.txns {
		if c.txns[i].Outcome != Committed {
			continue
		}
		_ = c.footprint(i, func(k int32, _ string, lockOnly bool) error {
			if _, ok := changes[k]; ok {
				changes[k] = append(changes[k], change{c.txns[i].Commit, i, lockOnly})
			}
			return nil
		})
	}
	for _, list := range changes {
		slices.SortFunc(list, func(a, b change) int { return cmp.Compare(a.after, b.after) })
	}
	return changes
}
