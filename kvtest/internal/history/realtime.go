package history

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/kv"
)

// newest is a version and whose it is.
type newest struct {
	version kv.Version
	txn     int
}

func (n *newest) raise(v kv.Version, txn int) {
	if v > n.version {
		*n = newest{v, txn}
	}
}

// event is one moment of a transaction.
type event struct {
	at   int64
	txn  int32
	kind uint8 // 0 to 3: the fields of Times
}

// realTime holds the versions against the order of events: what was handed out
// before a call began is below what the call hands out.
func (c *checker) realTime() error {
	events := make([]event, 0, 4*len(c.txns))
	for i := range c.txns {
		t := &c.txns[i].Times
		for kind, at := range [...]int64{t.Begin, t.Begun, t.Ask, t.Done} {
			if at != 0 {
				events = append(events, event{at, int32(i), uint8(kind)})
			}
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var acked, read newest
	type seen struct{ acked, read newest }
	before := make([]seen, len(c.txns)) // each transaction's Begin
	for _, e := range events {
		i := int(e.txn)
		t := &c.txns[i]
		b := before[i]
		switch e.kind {
		case 0:
			before[i] = seen{acked, read}
		case 1:
			switch {
			case t.Read < b.acked.version:
				return &Anomaly{"stale read after commit", i, fmt.Sprintf("read at %d, although transaction %d had been acknowledged before it began, at %d",
					t.Read, b.acked.txn, b.acked.version)}
			case t.Read < b.read.version:
				return &Anomaly{"versions going back", i, fmt.Sprintf("read at %d, although transaction %d had begun before it, at %d",
					t.Read, b.read.txn, b.read.version)}
			}
			read.raise(t.Read, i)
		case 2:
			v := c.commits[i]
			switch {
			case v == 0 || !t.changes():
			case v <= acked.version:
				return &Anomaly{"versions going back", i, fmt.Sprintf("committed at %d, although transaction %d had been acknowledged before, at %d",
					v, acked.txn, acked.version)}
			case v <= read.version:
				return &Anomaly{"versions going back", i, fmt.Sprintf("committed at %d, although transaction %d had read at %d before",
					v, read.txn, read.version)}
			}
		case 3:
			if t.Outcome == Committed && t.changes() {
				acked.raise(t.Commit, i)
			}
		}
	}
	return nil
}
