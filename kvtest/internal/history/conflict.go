package history

import "fmt"

// footprint calls do for each key that transaction i writes or else locks,
// once, with its final value ("" for a delete) or that it only locks it.
func (c *checker) footprint(i int, do func(key int32, value string, lockOnly bool) error) error {
	ops := c.txns[i].Ops
	mark := int32(i + 1)
	for _, writes := range []bool{true, false} {
		for n := len(ops) - 1; n >= 0; n-- {
			op := &ops[n]
			if writes != (op.Kind == Set || op.Kind == Delete) || !writes && op.Kind != Lock {
				continue
			}
			k := c.index[op.Key]
			if c.touched[k] == mark {
				continue
			}
			c.touched[k] = mark
			if err := do(k, op.Value, !writes); err != nil {
				return err
			}
		}
	}
	for n := range ops { // so that it can be called again
		if ops[n].Kind >= Set {
			c.touched[c.index[ops[n].Key]] = 0
		}
	}
	return nil
}

// share tells whether two transactions write or lock the same key.
func (c *checker) share(i, j int) bool {
	keys := map[int32]bool{}
	shared := false
	_ = c.footprint(i, func(key int32, _ string, _ bool) error {
		keys[key] = true
		return nil
	})
	_ = c.footprint(j, func(key int32, _ string, _ bool) error {
		shared = shared || keys[key]
		return nil
	})
	return shared
}

// apply makes transaction i's commit part of the state, if nothing that it
// conflicts with came between its snapshot and it.
func (c *checker) apply(i int) error {
	t, v := &c.txns[i], c.commits[i]
	err := c.footprint(i, func(k int32, _ string, lockOnly bool) error {
		s := &c.state[k]
		switch {
		case s.written > t.Read && lockOnly:
			return &Anomaly{"ignored lock", i, fmt.Sprintf("%s, locked a key and committed at %d, although %s had written it at %d",
				t.snapshot(), v, c.name(s.writer), s.written)}
		case s.locked > t.Read && !lockOnly:
			return &Anomaly{"ignored lock", i, fmt.Sprintf("%s, wrote a key and committed at %d, although %s had locked it and committed at %d",
				t.snapshot(), v, c.name(s.locker), s.locked)}
		case s.written > t.Read:
			name := "G0 overlapping writes"
			if t.gets(c.keys[k]) {
				name = "P4 lost update"
			}
			return &Anomaly{name, i, fmt.Sprintf("%s, wrote a key and committed at %d, although %s had written it at %d",
				t.snapshot(), v, c.name(s.writer), s.written)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.footprint(i, func(k int32, value string, lockOnly bool) error {
		s := &c.state[k]
		if lockOnly {
			s.locked, s.locker = v, i
		} else {
			s.value, s.written, s.writer = value, v, i
		}
		return nil
	})
}

// gets tells whether the transaction has read key on its own.
func (t *Txn) gets(key string) bool {
	for _, op := range t.Ops {
		if op.Kind == Get && op.Key == key {
			return true
		}
	}
	return false
}

func (t *Txn) snapshot() string { return fmt.Sprintf("read at %d", t.Read) }

func (c *checker) name(i int) string {
	if c.txns[i].Outcome == Unknown {
		return fmt.Sprintf("transaction %d (of unknown outcome, but seen)", i)
	}
	return fmt.Sprintf("transaction %d", i)
}
