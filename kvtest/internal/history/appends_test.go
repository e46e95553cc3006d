package history_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kvtest/internal/history"
)

// lists parses a transaction on lists: "x+1" appends, "x:1,2" is what it read.
// One that begins with "!" aborted, with "?" its outcome is not known. Those
// that begin with a number were begun and acknowledged at it, the others all
// at once.
func lists(texts ...string) []history.AppendTxn {
	var txns []history.AppendTxn
	for _, text := range texts {
		t := history.AppendTxn{Outcome: history.Committed}
		for _, f := range strings.Fields(text) {
			if f == "!" {
				t.Outcome = history.Aborted
				continue
			}
			if f == "?" {
				t.Outcome = history.Unknown
				continue
			}
			if at, err := strconv.Atoi(f); err == nil {
				t.Times.Begin, t.Times.Done = int64(2*at), int64(2*at+1)
				continue
			}
			op := history.AppendOp{Key: f[:1]}
			for n := range strings.SplitSeq(f[2:], ",") {
				e, _ := strconv.Atoi(n)
				if f[1] == '+' {
					op.Element = e
				} else if e != 0 {
					op.List = append(op.List, e)
				}
			}
			t.Ops = append(t.Ops, op)
		}
		txns = append(txns, t)
	}
	return txns
}

func TestAppends(t *testing.T) {
	for _, c := range []struct {
		name   string
		txns   []history.AppendTxn
		reason string
	}{
		{"nothing", nil, "ok"},
		{"serial", lists("x+1", "x:1 x+2 x:1,2", "x:1,2", "x:1"), "ok"},
		{"write skew", lists("x:1 y: y+2", "x:1 y: x+3", "x+1", "x:1,3 y:2"), "ok"},
		{"read-only anomaly", lists("x: y: x+1", "y: y+2", "x: y:2", "x:1 y:2"), "ok"},
		{"aborted and not seen", lists("! x+1", "x:", "! x:"), "ok"},
		{"unknown, seen", lists("? x+1 y+2", "x:1 y:2"), "ok"},
		{"unknown, not seen", lists("? x+1 y+2", "x: y:"), "ok"},
		{"in real time", lists("1 x+1", "2 x:1 x+2", "3 x:1,2"), "ok"},
		{"G0", lists("x+1 y+1001", "x+2 y+1002", "x:1,2 y:1002,1001"), "G0 write cycle"},
		{"G1a", lists("! x+1", "x:1"), "G1a aborted read"},
		{"G1b", lists("x+1 x+2", "x:1"), "G1b intermediate read"},
		{"G1c", lists("x+1 y:2", "y+2 x:1"), "G1c circular information flow"},
		{"OTV", lists("x+1 y+2", "x+3 y+4", "x:1,3 y:2", "x:1,3 y:2,4"), "G-single"},
		{"PMP", lists("x+1", "x: x:1"), "non-repeatable read"},
		{"P4", lists("x:1 x+2", "x:1 x+3", "x+1", "x:1,2,3"), "G-single"},
		{"an update lost for good", lists("x:1 x+2", "x:1 x+3", "x+1", "x:1,2", "x:1,3"), "incompatible orders"},
		{"lost, and nobody saw it", lists("1 x+1", "2 x+2", "3 x:2"), "G0 write cycle"},
		{"the first one lost", lists("1 x+1", "3 x:"), "G-single"},
		{"G-single", lists("x+1 y+2", "x:1 y:", "x:1 y:2"), "G-single"},
		{"torn read of two lists", lists("x: y: x+1 y+2", "y:2 x:", "x:1 y:2"), "G-single"},
		{"long fork", lists("x+1", "y+2", "x:1 y:", "x: y:2"), "G-SI"},
		{"stale read after commit", lists("1 x+1", "2 x:", "3 x:1"), "G-single"},
		{"order against real time", lists("1 x+1", "2 x+2", "3 x:2,1"), "G0 write cycle"},
		{"unknown, seen and not seen", lists("? x+1 y+2", "x:1 y:", "x:1 y:2"), "G-single"},
		{"nowhere", lists("x:1"), "value from nowhere"},
		{"elsewhere", lists("y+1", "x:1"), "value from nowhere"},
		{"own append not seen", lists("x+1 x:"), "own write not seen"},
		{"own append seen early", lists("x:1 x+1"), "own write not seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireAnomaly(t, c.reason, history.CheckAppends(c.txns))
		})
	}
	require.ErrorIs(t, history.CheckAppends(lists("x+1", "x+1")), history.ErrHistory)
}

// TestManyAppends: the graph is walked in linear time and without recursion.
func TestManyAppends(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	state := map[string][]int{}
	var txns []history.AppendTxn
	for i := 1; i <= 20_000; i++ {
		x := history.AppendTxn{Outcome: history.Committed, Times: history.Times{Begin: int64(2 * i), Done: int64(2*i + 1)}}
		key := strconv.Itoa(r.IntN(1000))
		other := strconv.Itoa(r.IntN(1000))
		x.Ops = append(x.Ops, history.AppendOp{Key: key, List: state[key]}, history.AppendOp{Key: other, List: state[other]},
			history.AppendOp{Key: key, Element: i})
		state[key] = append(state[key][:len(state[key]):len(state[key])], i)
		txns = append(txns, x)
	}
	require.NoError(t, history.CheckAppends(txns))
	txns[9999].Ops = append(txns[9999].Ops, history.AppendOp{Key: txns[9998].Ops[2].Key + "!"})
	require.NoError(t, history.CheckAppends(txns), "a list that is empty")
	txns[9999].Ops[0] = history.AppendOp{Key: txns[9998].Ops[2].Key} // nothing of it
	requireAnomaly(t, "G-single", history.CheckAppends(txns))
}
