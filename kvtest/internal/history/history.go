package history

import (
	"fmt"

	"github.com/tito-db/tito-go/kv"
)

// Outcome is what became of a transaction.
type Outcome uint8

const (
	// Aborted is one that was rolled back or refused. Nothing of it may ever be seen.
	Aborted Outcome = iota

	// Committed is one that was acknowledged.
	Committed

	// Unknown is one that has happened, will, or never does, but one of these
	// for everybody. Such a transaction may set keys and not delete any, because
	// nobody could tell whose work a missing key is.
	Unknown
)

// Txn is one transaction as its client saw it.
type Txn struct {
	Outcome Outcome
	Read    kv.Version // of its snapshot
	Commit  kv.Version // if it committed; its Read if it neither wrote nor locked
	Ops     []Op       // in the order of the calls
	Times   Times
}

// Times are moments of a transaction, drawn from one counter that the clients
// share, so that those of different transactions can be compared. They are
// distinct and above zero; zero says that the moment did not come.
type Times struct {
	Begin int64 // before Begin was called
	Begun int64 // after it returned
	Ask   int64 // before Commit was called
	Done  int64 // after it returned, whatever it returned
}

// Kind says what an Op is.
type Kind uint8

// The kinds of operations.
const (
	Get    Kind = iota // Key had Value
	Scan               // of the range Key to End
	Set                // Key to Value
	Delete             // Key
	Lock               // Key
)

// Op is one operation of a transaction.
type Op struct {
	Kind  Kind
	Key   string // a Scan's first key; "" is unbounded
	Value string // set or got; "" if Get found none. No two Sets have the same
	Scan  *Walk  // if it is one
}

// Walk is the rest of a Scan.
type Walk struct {
	End      string // the first key after the range; "" is unbounded
	Reverse  bool
	Limit    int // 0 means all
	KeysOnly bool
	Pairs    []Pair // what it yielded
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Anomaly is what no store that keeps the contract can have done.
type Anomaly struct {
	Name string // in the terms of Adya and Hermitage, where they have one
	Txn  int    // the transaction that shows it: an index into the history
	Text string // for a reader of the test's log
}

func (a *Anomaly) Error() string {
	return fmt.Sprintf("%s: transaction %d %s", a.Name, a.Txn, a.Text)
}
