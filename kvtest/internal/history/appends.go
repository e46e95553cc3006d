package history

import (
	"cmp"
	"fmt"
	"slices"
)

// AppendTxn is a transaction on lists.
type AppendTxn struct {
	Outcome Outcome
	Ops     []AppendOp
	Times   Times // Begin and Done are used
}

// AppendOp appends Element to Key's list if it is not 0, and otherwise has
// read the whole list. No element is appended twice.
type AppendOp struct {
	Key     string
	Element int
	List    []int
}

// CheckAppends returns nil if a store with snapshot isolation and real time can
// have produced txns, and otherwise an *Anomaly or an error that wraps
// ErrHistory. It needs no versions. To find every lost append, the history has
// to end with a transaction that reads all the lists.
func CheckAppends(txns []AppendTxn) error {
	l := &lists{txns: txns, orders: map[string][]int{}, source: map[int]appended{}}
	for _, find := range []func() error{l.collect, l.values, l.order} {
		if err := find(); err != nil {
			return err
		}
	}
	g := newGraph(len(txns))
	l.dependencies(g)
	l.realTime(g)
	return g.check()
}

// lists is what is known of the lists.
type lists struct {
	txns   []AppendTxn
	orders map[string][]int // the longest list that anybody read of each key
	source map[int]appended // of each element
	seen   map[int]bool     // transactions of which an element was read
	keys   []string
}

type appended struct {
	txn   int
	key   string
	final bool // the transaction's last to that key
}

// happened tells whether the transaction's appends count.
func (l *lists) happened(i int) bool {
	return l.txns[i].Outcome == Committed || l.txns[i].Outcome == Unknown && l.seen[i]
}

// collect finds where elements come from, and the longest lists.
func (l *lists) collect() error {
	l.seen = map[int]bool{}
	for i := range l.txns {
		last := map[string]int{}
		for _, op := range l.txns[i].Ops {
			if op.Element == 0 {
				continue
			}
			if _, ok := l.source[op.Element]; ok {
				return fmt.Errorf("%w: an element was appended twice", ErrHistory)
			}
			if old, ok := last[op.Key]; ok {
				l.source[old] = appended{i, op.Key, false}
			}
			last[op.Key] = op.Element
			l.source[op.Element] = appended{i, op.Key, true}
		}
	}
	for i := range l.txns {
		err := l.external(i, func(key string, list []int) error {
			if len(list) > len(l.orders[key]) {
				l.orders[key] = list
			}
			for _, e := range list {
				if from, ok := l.source[e]; ok {
					l.seen[from.txn] = true
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for k := range l.orders {
		l.keys = append(l.keys, k)
	}
	slices.Sort(l.keys)
	return nil
}

// external calls do for each list that transaction i read, without the
// elements that it had appended itself, and checks those.
func (l *lists) external(i int, do func(key string, list []int) error) error {
	own := map[string][]int{}
	first := map[string][]int{}
	for _, op := range l.txns[i].Ops {
		if op.Element != 0 {
			own[op.Key] = append(own[op.Key], op.Element)
			continue
		}
		list, mine := op.List, own[op.Key]
		if len(list) < len(mine) || !slices.Equal(list[len(list)-len(mine):], mine) {
			return &Anomaly{"own write not seen", i, "read a list that does not end with its own appends"}
		}
		list = list[:len(list)-len(mine)]
		if before, ok := first[op.Key]; ok && !slices.Equal(before, list) {
			return &Anomaly{"non-repeatable read", i, fmt.Sprintf("read a list twice and got %v and %v", before, list)}
		}
		first[op.Key] = list
		if err := do(op.Key, list); err != nil {
			return err
		}
	}
	return nil
}

// order requires that all reads of a list are beginnings of one another.
func (l *lists) order() error {
	for i := range l.txns {
		err := l.external(i, func(key string, list []int) error {
			if !slices.Equal(l.orders[key][:len(list)], list) {
				return &Anomaly{"incompatible orders", i, fmt.Sprintf("read %v, and another transaction %v", list, l.orders[key])}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// values requires that elements that were read had been committed, as the last
// of their transactions.
func (l *lists) values() error {
	for i := range l.txns {
		err := l.external(i, func(key string, list []int) error {
			for n, e := range list {
				from, ok := l.source[e]
				switch {
				case !ok || from.key != key:
					return &Anomaly{"value from nowhere", i, "read an element that nobody appended there"}
				case from.txn == i:
					return &Anomaly{"own write not seen", i, "read its own append before it made it"}
				case l.txns[from.txn].Outcome == Aborted:
					return &Anomaly{"G1a aborted read", i, fmt.Sprintf("read an append of transaction %d, which never committed", from.txn)}
				case n == len(list)-1 && !from.final:
					return &Anomaly{"G1b intermediate read", i, fmt.Sprintf("read only some of the appends of transaction %d", from.txn)}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dependencies adds who has to come before whom because of what was read.
func (l *lists) dependencies(g *graph) {
	unread := map[string][]int{} // appended to the key, and in no list that was read
	position := map[int]int{}    // of an element in its list, from 1
	for _, key := range l.keys {
		for n, e := range l.orders[key] {
			position[e] = n + 1
			if n > 0 {
				g.add(l.source[l.orders[key][n-1]].txn, l.source[e].txn, writeWrite)
			}
		}
	}
	for i := range l.txns {
		for _, op := range l.txns[i].Ops {
			if op.Element == 0 || position[op.Element] != 0 || !l.happened(i) {
				continue
			}
			unread[op.Key] = append(unread[op.Key], i)
			if order := l.orders[op.Key]; len(order) > 0 {
				g.add(l.source[order[len(order)-1]].txn, i, writeWrite)
			}
		}
	}
	for i := range l.txns {
		_ = l.external(i, func(key string, list []int) error { // errors were found before
			if len(list) > 0 {
				g.add(l.source[list[len(list)-1]].txn, i, writeRead)
			}
			if order := l.orders[key]; len(list) < len(order) {
				g.add(i, l.source[order[len(list)]].txn, readWrite)
			} else {
				for _, writer := range unread[key] {
					g.add(i, writer, readWrite)
				}
			}
			return nil
		})
	}
}

// realTime adds that a transaction comes before those that began after it was
// acknowledged. A chain of moments keeps these edges linear in number.
func (l *lists) realTime(g *graph) {
	events := make([]event, 0, 2*len(l.txns))
	for i := range l.txns {
		t := &l.txns[i].Times
		if t.Begin != 0 {
			events = append(events, event{t.Begin, int32(i), 0})
		}
		if t.Done != 0 && l.txns[i].Outcome == Committed {
			events = append(events, event{t.Done, int32(i), 3})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	last := -1
	for _, e := range events {
		if e.kind == 0 {
			if last >= 0 {
				g.add(last, int(e.txn), realTime)
			}
			continue
		}
		moment := g.moment()
		if last >= 0 {
			g.add(last, moment, realTime)
		}
		g.add(int(e.txn), moment, realTime)
		last = moment
	}
}
