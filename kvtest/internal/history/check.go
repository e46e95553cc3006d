package history

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// ErrHistory says that a history breaks the rules stated at Txn, Times and Op,
// so that nothing can be decided.
var ErrHistory = errors.New("history: not usable")

// Check returns nil if a store that keeps the contract can have produced txns,
// and otherwise an *Anomaly, or an error that wraps ErrHistory. The store was
// empty before. Every transaction that wrote has to be in the history; their
// order in it means nothing.
func Check(txns []Txn) error {
	c := &checker{txns: txns, commits: make([]kv.Version, len(txns))}
	if err := c.prepare(); err != nil {
		return err
	}
	for i := range txns {
		if txns[i].Outcome == Committed {
			c.commits[i] = txns[i].Commit
		}
	}
	if err := c.placeUnknown(); err != nil {
		return err
	}
	if err := c.versions(); err != nil {
		return err
	}
	if err := c.realTime(); err != nil {
		return err
	}
	return c.replay()
}

// checker holds a history and the committed state that its walk has reached.
type checker struct {
	txns    []Txn
	commits []kv.Version // of each transaction, 0 if it did not commit

	keys   []string         // all that were written or locked, ascending
	index  map[string]int32 // of keys
	source map[string]write // of each value
	state  []cell           // of each key

	doubtful []bool // by key, whether a transaction of unknown outcome sets it

	own     map[string]string // the present transaction's writes, "" for a delete
	touched []int32           // by key, the last transaction that footprint has seen there, plus 1
}

// write is where a value was set.
type write struct {
	txn   int32
	final bool // not replaced by the same transaction
}

// cell is a key's part in the state.
type cell struct {
	value           string // "" if it has none
	written, locked kv.Version
	writer, locker  int // transactions, if the versions are not 0
}

// prepare collects the keys and the values.
func (c *checker) prepare() error {
	c.index = map[string]int32{}
	c.source = map[string]write{}
	for i := range c.txns {
		for _, op := range c.txns[i].Ops {
			switch op.Kind {
			case Get:
				continue
			case Scan:
				if op.Scan == nil {
					return fmt.Errorf("%w: a Scan without its Walk", ErrHistory)
				}
				continue
			case Set:
				if _, ok := c.source[op.Value]; ok || op.Value == "" {
					return fmt.Errorf("%w: a value is empty, or set twice", ErrHistory)
				}
				c.source[op.Value] = write{int32(i), true}
			case Delete:
				if c.txns[i].Outcome == Unknown {
					return fmt.Errorf("%w: a transaction of unknown outcome deletes", ErrHistory)
				}
			}
			if op.Key == "" {
				return fmt.Errorf("%w: an empty key", ErrHistory)
			}
			if _, ok := c.index[op.Key]; !ok {
				c.index[op.Key] = 0
				c.keys = append(c.keys, op.Key)
			}
		}
	}
	slices.Sort(c.keys)
	for i, k := range c.keys {
		c.index[k] = int32(i)
	}
	c.state = make([]cell, len(c.keys))
	c.touched = make([]int32, len(c.keys))
	c.doubtful = make([]bool, len(c.keys))
	c.own = map[string]string{}
	c.markReplaced()
	return nil
}

// markReplaced notes the values that nobody else may see.
func (c *checker) markReplaced() {
	last := map[string]string{} // values of the transaction by key
	for i := range c.txns {
		clear(last)
		for _, op := range c.txns[i].Ops {
			if op.Kind != Set && op.Kind != Delete {
				continue
			}
			if old := last[op.Key]; old != "" {
				c.source[old] = write{int32(i), false}
			}
			last[op.Key] = op.Value
		}
	}
}

// changes tells whether the transaction writes or locks anything.
func (t *Txn) changes() bool {
	return slices.ContainsFunc(t.Ops, func(op Op) bool { return op.Kind >= Set })
}

// versions checks each commit's version by itself and against the others.
func (c *checker) versions() error {
	seen := make(map[kv.Version][]int, len(c.txns))
	for i := range c.txns {
		t := &c.txns[i]
		switch {
		case t.Outcome != Committed:
		case !t.changes():
			if t.Commit != t.Read {
				return &Anomaly{"wrong version", i, fmt.Sprintf("changed nothing, and yet read at %d and committed at %d", t.Read, t.Commit)}
			}
		case t.Commit <= t.Read:
			return &Anomaly{"versions going back", i, fmt.Sprintf("read at %d and committed at %d", t.Read, t.Commit)}
		default:
			for _, other := range seen[t.Commit] {
				if c.share(i, other) {
					return &Anomaly{"repeated version", i, fmt.Sprintf("committed at %d, and so did transaction %d, which changed or locked one of its keys", t.Commit, other)}
				}
			}
			seen[t.Commit] = append(seen[t.Commit], i)
		}
	}
	return nil
}

// replay builds one committed state after the other, and holds against each
// the transactions that read it.
func (c *checker) replay() error {
	var writers, readers []int32
	for i := range c.txns {
		readers = append(readers, int32(i))
		if c.commits[i] != 0 && c.txns[i].changes() {
			writers = append(writers, int32(i))
		}
	}
	slices.SortFunc(readers, func(a, b int32) int { return cmp.Compare(c.txns[a].Read, c.txns[b].Read) })
	slices.SortFunc(writers, func(a, b int32) int {
		if d := cmp.Compare(c.commits[a], c.commits[b]); d != 0 {
			return d
		}
		// One of unknown outcome stands somewhere below the version it is given.
		return cmp.Compare(c.txns[b].Outcome, c.txns[a].Outcome)
	})
	applyUpTo := func(v kv.Version) error {
		for len(writers) > 0 && c.commits[writers[0]] <= v {
			if err := c.apply(int(writers[0])); err != nil {
				return err
			}
			writers = writers[1:]
		}
		return nil
	}
	for _, i := range readers {
		if err := applyUpTo(c.txns[i].Read); err != nil {
			return err
		}
		if err := c.reads(int(i)); err != nil {
			return err
		}
	}
	return applyUpTo(math.MaxUint64)
}
