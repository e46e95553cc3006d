package history

import (
	"fmt"
	"slices"
)

// reads compares what transaction i read with the state, which is that of its
// snapshot, under its own writes.
func (c *checker) reads(i int) error {
	clear(c.own)
	ops := c.txns[i].Ops
	for n := range ops {
		op := &ops[n]
		var err error
		switch op.Kind {
		case Get:
			if want := c.visible(op.Key); op.Value != want {
				err = c.explain(i, "", op.Key, want, op.Value)
			}
		case Scan:
			err = c.scan(i, op)
		case Set, Delete:
			c.own[op.Key] = op.Value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// visible returns what the present transaction has to see of key.
func (c *checker) visible(key string) string {
	if len(c.own) > 0 {
		if v, ok := c.own[key]; ok {
			return v
		}
	}
	if k, ok := c.index[key]; ok {
		return c.state[k].value
	}
	return ""
}

// scan compares a scan with the keys of its range.
func (c *checker) scan(i int, op *Op) error {
	w := op.Scan
	lo, _ := slices.BinarySearch(c.keys, op.Key)
	hi := len(c.keys)
	if w.End != "" {
		hi, _ = slices.BinarySearch(c.keys, w.End)
	}
	pairs := w.Pairs
	for n := range max(hi-lo, 0) {
		if w.Limit > 0 && len(w.Pairs)-len(pairs) == w.Limit {
			break
		}
		k := lo + n
		if w.Reverse {
			k = hi - 1 - n
		}
		key := c.keys[k]
		if w.KeysOnly && c.doubtful[k] { // without its value nobody can tell whose it is
			if len(pairs) > 0 && pairs[0].Key == key {
				pairs = pairs[1:]
			}
			continue
		}
		want := c.visible(key)
		if want == "" {
			continue
		}
		switch {
		case len(pairs) == 0 || before(key, pairs[0].Key, w.Reverse):
			return c.explain(i, "scan", key, want, "")
		case pairs[0].Key != key:
			return c.extra(i, pairs[0], w.KeysOnly)
		case pairs[0].Value != want && !w.KeysOnly:
			return c.explain(i, "scan", key, want, pairs[0].Value)
		}
		pairs = pairs[1:]
	}
	if len(pairs) > 0 {
		return c.extra(i, pairs[0], w.KeysOnly)
	}
	return nil
}

func before(a, b string, reverse bool) bool {
	if reverse {
		return a > b
	}
	return a < b
}

// extra explains a pair that a scan should not have yielded where it did.
func (c *checker) extra(i int, p Pair, keysOnly bool) error {
	if want := c.visible(p.Key); want != "" {
		return &Anomaly{"wrong scan", i, "got a key out of its order, out of its range, twice, or past the limit"}
	}
	if keysOnly {
		return &Anomaly{"wrong scan", i, "got a key that has no value"}
	}
	return c.explain(i, "scan", p.Key, "", p.Value)
}

// explain names the anomaly of a read that got one value instead of another,
// where "" stands for none. how is "scan" for a scan.
func (c *checker) explain(i int, how, key, want, got string) error {
	t := &c.txns[i]
	say := func(name, format string, args ...any) error {
		text := fmt.Sprintf("(%s) ", t.snapshot()) + fmt.Sprintf(format, args...)
		if how == "scan" {
			text += ", in a scan"
		}
		return &Anomaly{name, i, text}
	}
	if _, ok := c.own[key]; ok {
		return say("own write not seen", "does not see what it wrote itself")
	}
	if got == "" {
		s := c.state[c.index[key]]
		return say("stale read", "misses a key that %s wrote at %d", c.name(s.writer), s.written)
	}
	w, ok := c.source[got]
	if !ok {
		return say("value from nowhere", "got a value that nobody wrote")
	}
	from := &c.txns[w.txn]
	version := c.commits[w.txn]
	switch {
	case int(w.txn) == i:
		return say("own write not seen", "got an earlier write of its own, or one that it was yet to make")
	case from.Outcome == Aborted:
		return say("G1a aborted read", "got a value of transaction %d, which never committed", w.txn)
	case !w.final:
		return say("G1b intermediate read", "got a value that %s replaced before it committed", c.name(int(w.txn)))
	case version > t.Read:
		return say("read of the future", "got a value that %s committed at %d only", c.name(int(w.txn)), version)
	}
	s := c.state[c.index[key]]
	return say("stale read", "got a value that %s wrote at %d, although %s wrote again at %d",
		c.name(int(w.txn)), version, c.name(s.writer), s.written)
}
