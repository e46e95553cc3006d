package history_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/internal/history"
)

// txn parses a transaction: its versions ("10-12", "10-" for an aborted one,
// "10-?" for one of unknown outcome), then its operations: "x=1" for a set,
// "x-" a delete, "x!" a lock, "x:1" a get, "x:" one that found none, and
// "[a,z):x=1,y=2" a scan, with a "<" before it for a reverse one, "2" for a
// limit and "k" for keys only.
func txn(text string) history.Txn {
	fields := strings.Fields(text)
	read, commit, _ := strings.Cut(fields[0], "-")
	t := history.Txn{Read: number(read)}
	switch commit {
	case "":
	case "?":
		t.Outcome = history.Unknown
	default:
		t.Outcome, t.Commit = history.Committed, number(commit)
	}
	for _, f := range fields[1:] {
		t.Ops = append(t.Ops, op(f))
	}
	return t
}

func number(s string) kv.Version {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return kv.Version(n)
}

func op(f string) history.Op {
	if at := strings.Index(f, "["); at >= 0 {
		w := &history.Walk{}
		for _, flag := range f[:at] {
			switch flag {
			case '<':
				w.Reverse = true
			case 'k':
				w.KeysOnly = true
			default:
				w.Limit = int(flag - '0')
			}
		}
		bounds, pairs, _ := strings.Cut(f[at+1:], "):")
		start, end, _ := strings.Cut(bounds, ",")
		w.End = end
		for p := range strings.SplitSeq(pairs, ",") {
			if k, v, _ := strings.Cut(p, "="); k != "" {
				w.Pairs = append(w.Pairs, history.Pair{Key: k, Value: value(k, v)})
			}
		}
		return history.Op{Kind: history.Scan, Key: start, Scan: w}
	}
	key, rest := f[:1], f[2:]
	return history.Op{
		Kind: map[byte]history.Kind{'=': history.Set, '-': history.Delete, '!': history.Lock, ':': history.Get}[f[1]],
		Key:  key, Value: value(key, rest),
	}
}

// value makes values of different keys different.
func value(key, v string) string {
	if v == "" {
		return ""
	}
	return key + v
}

func parse(texts ...string) []history.Txn {
	var txns []history.Txn
	for _, text := range texts {
		txns = append(txns, txn(text))
	}
	return txns
}

// TestAnomalies: each of the Hermitage catalogue, and those of versions.
func TestAnomalies(t *testing.T) {
	for _, c := range []struct {
		name   string
		txns   []history.Txn
		reason string
	}{
		{"G0", parse("5-6 x=1 y=1", "5-7 x=2 y=2"), "G0 overlapping writes"},
		{"G0 of a delete", parse("5-6 x=1", "5-7 x-"), "G0 overlapping writes"},
		{"G0 of deletes of absent keys", parse("5-6 x-", "5-7 x-"), "G0 overlapping writes"},
		{"G1a", parse("5- x=1", "6-6 x:1"), "G1a aborted read"},
		{"G1a in a scan", parse("5- x=1", "6-6 [,):x=1"), "G1a aborted read"},
		{"G1b", parse("5-6 x=1 x=2", "6-6 x:1"), "G1b intermediate read"},
		{"G1b of a deleted one", parse("5-6 x=1 x-", "6-6 x:1"), "G1b intermediate read"},
		{"G1c", parse("5-6 x=1 y:2", "5-7 y=2 x:1"), "read of the future"},
		{"OTV", parse("5-6 x=1 y=1", "6-7 x=2 y=2", "7-7 x:2 y:1"), "stale read"},
		{"PMP", parse("5-6 x=1", "6-7 y=2", "6-6 [,):x=1 [,):x=1,y=2"), "read of the future"},
		{"PMP, a row vanishes", parse("5-6 x=1", "6-6 x:1 x:"), "stale read"},
		{"P4", parse("5-6 x=1", "6-7 x:1 x=2", "6-8 x:1 x=3"), "P4 lost update"},
		{"P4 with an unlocked cursor", parse("5-6 x=1", "6-7 [,):x=1 x=2", "6-8 [,):x=1 x=3"), "G0 overlapping writes"},
		{"G-single", parse("5-6 x=1 y=1", "6-7 x=2 y=2", "6-6 x:1 y:2"), "read of the future"},
		{"G-single, the other way", parse("5-6 x=1 y=1", "6-7 x=2 y=2", "7-7 y:2 x:1"), "stale read"},
		{"non-repeatable read", parse("5-6 x=1", "6-7 x=2", "6-6 x:1 x:2"), "read of the future"},
		{"torn scan", parse("5-6 x=1 y=1", "6-7 x=2 y=2", "6-6 [,):x=1,y=2"), "read of the future"},
		{"torn reverse scan", parse("5-6 x=1 y=1", "6-7 x=2 y=2", "7-7 <[,):y=2,x=1"), "stale read"},
		{"torn scan, a key lost", parse("5-6 x=1 y=1", "6-6 [,):y=1"), "stale read"},
		{"half-applied commit", parse("5-6 x=1 y=1", "6-6 x:1 y:"), "stale read"},
		{"half-applied deletes", parse("5-6 x=1 y=1", "6-7 x- y-", "7-7 [,):y=1"), "stale read"},
		{"long fork", parse("5-6 x=1", "5-7 y=1", "6-6 x:1 y:", "6-6 x: y:1"), "stale read"},
		{"value from nowhere", parse("5-6 x=1", "6-6 x:9"), "value from nowhere"},
		{"own write not seen", parse("5-6 x=1", "6-7 x=2 x:1"), "own write not seen"},
		{"own delete not seen", parse("5-6 x=1", "6-7 x- [,):x=1"), "own write not seen"},
		{"own write seen too early", parse("5-6 x:1 x=1"), "own write not seen"},
		{"own older write", parse("5-6 x=1 x=2 x:1"), "own write not seen"},
		{"lock ignored, then written", parse("5-6 x! y=1", "5-7 x=2"), "ignored lock"},
		{"write ignored by a lock", parse("5-6 x=2", "5-7 x! y=1"), "ignored lock"},
		{"G2-item with locks", parse("5-6 x=1 y=1", "6-7 x:1 y:1 y! x=2", "6-8 x:1 y:1 x! y=2"), "ignored lock"},
		{"delete ignored by a lock", parse("5-6 x=1", "6-7 x-", "6-8 x! y=1"), "ignored lock"},
		{"versions repeat", parse("5-6 x=1", "5-6 x=2"), "repeated version"},
		{"versions repeat on a locked key", parse("5-6 x=1 y!", "5-6 z=1 y!"), "repeated version"},
		{"the third of a version overlaps the first", parse("5-6 x=1", "5-6 y=1", "5-6 x-"), "repeated version"},
		{"half of two commits of one version", parse("5-6 x=1", "5-6 y=1", "6-6 x:1 y:"), "stale read"},
		{"commit at the snapshot", parse("6-6 x=1"), "versions going back"},
		{"commit below the snapshot", parse("6-5 x=1"), "versions going back"},
		{"reader with a version of its own", parse("5-6 x:"), "wrong version"},
		{"scan out of order", parse("5-6 x=1 y=1", "6-6 [,):y=1,x=1"), "stale read"},
		{"scan repeats", parse("5-6 x=1 y=1", "6-6 [,):x=1,x=1,y=1"), "wrong scan"},
		{"scan past its end", parse("5-6 x=1 y=1", "6-6 [,y):x=1,y=1"), "wrong scan"},
		{"scan past its limit", parse("5-6 x=1 y=1", "6-6 1[,):x=1,y=1"), "wrong scan"},
		{"scan short of its limit", parse("5-6 x=1 y=1", "6-6 2[,):x=1"), "stale read"},
		{"reverse scan that starts wrong", parse("5-6 x=1 y=1", "6-6 <1[,):x=1"), "stale read"},
		{"key that is not there", parse("5-6 x=1", "6-7 x-", "7-7 k[,):x"), "wrong scan"},
		{"unknown, seen and not seen", parse("5-? x=1 y=1", "7-7 x:1 y:"), "stale read"},
		{"unknown, seen by one and later not", parse("5-? x=1", "7-7 x:1", "8-8 x:"), "stale read"},
		{"unknown, seen before its snapshot", parse("5-? x=1", "5-5 x:1"), "read of the future"},
		{"unknown, over a commit", parse("5-6 x=1", "5-? x=2 y=2", "7-7 y:2"), "G0 overlapping writes"},
		{"unknown, under a commit", parse("5-? x=1 y=1", "6-8 x=2", "7-7 y:1", "6-6 y:"), "stale read"},
		{"unknown, and an overlapping commit", parse("5-? x=1 y=1", "6-8 x=2", "7-7 y:1", "6-6 y:1 x:"), "stale read"},
		{"unknown, its lock ignored", parse("5-? x! y=1", "5-6 x=2", "7-7 y:1"), "G0 overlapping writes"},
		{"two unknown that overlap", parse("5-? x=1 y=1", "5-? x=2 z=2", "9-9 y:1 z:2"), "G0 overlapping writes"},
		{"two unknown that lose an update", parse("5-? x=1 y=1", "6-? x:1 x=2 z=2", "6-6 y:", "9-9 y:1 z:2"), "stale read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireAnomaly(t, c.reason, history.Check(c.txns))
		})
	}
}

func requireAnomaly(t *testing.T, reason string, err error) {
	t.Helper()
	if reason == "ok" {
		require.NoError(t, err)
		return
	}
	var a *history.Anomaly
	require.ErrorAs(t, err, &a)
	require.Equal(t, reason, a.Name, err)
	require.Contains(t, err.Error(), reason+": transaction ")
	t.Log(err)
}

// TestValid: what snapshot isolation allows.
func TestValid(t *testing.T) {
	for name, txns := range map[string][]history.Txn{
		"nothing":                  nil,
		"serial":                   parse("5-6 x=1", "6-7 x:1 x=2 x:2", "7-7 x:2", "6-6 x:1"),
		"write skew":               parse("5-6 x=1 y=1", "6-7 x:1 y:1 x=2", "6-8 x:1 y:1 y=2", "8-8 x:2 y:2"),
		"G2, phantoms both ways":   parse("5-6 [,): x=1", "5-7 [,): y=1", "7-7 [,):x=1,y=1"),
		"read-only anomaly":        parse("5-6 x=1 y=1", "6-8 x:1 y:1 x=2", "6-7 y:1 y=3", "7-7 x:1 y:3"),
		"two lockers of one key":   parse("5-6 x! y=1", "5-7 x! z=1"),
		"a lock, then a write":     parse("5-6 x! y=1", "6-7 x=1"),
		"own writes over":          parse("5-6 x=1 y=1", "6-7 x- y=2 z=2 [,):y=2,z=2 <[,):z=2,y=2 x: y:2 1[,):y=2 k[,):y,z x=3 [a,y):x=3"),
		"aborted ones":             parse("5-6 x=1", "5- x=2 x:2", "6-6 x:1", "6- x:1"),
		"keys that never were":     parse("5-6 x=1", "6-6 q: [q,r): [y,a): <[,x):"),
		"a reader of old":          parse("5-6 x=1", "6-7 x=2", "7-8 x-", "6-6 x:1", "7-7 [,):x=2", "8-8 [,):", "5-5 [,):"),
		"unknown, not seen":        parse("5-6 x=1", "6-? x=2", "6-7 x=3", "7-7 x:3"),
		"unknown, seen":            parse("5-6 x=1", "6-? x=2 y=2", "7-7 x:2 y:2", "6-6 x:1 y:"),
		"unknown, seen late":       parse("5-6 x=1", "6-? x=2 y=2", "9-9 x:2", "8-8 x:1"),
		"unknown, overwritten":     parse("5-6 x=1", "6-? x=2 y=2", "8-9 x=3", "9-9 x:3 y:2"),
		"unknown, at a commit":     parse("5-6 x=1", "6-? x=2", "6-9 y=3", "9-9 x:2 y:3"),
		"unknown ones in a row":    parse("5-? x=1 y=1", "6-? x:1 x=2 z=2", "9-9 y:1 z:2 x:2"),
		"unknown, keys only":       parse("5-6 x=1", "6-? y=2", "9-9 k[,):x,y", "9-9 k[,):x", "9-9 1k[y,):"),
		"unknown, with a lock":     parse("5-6 x=1", "6-? x! y=2", "8-9 x=3", "9-9 x:3 y:2"),
		"unknown, saw its own":     parse("5-? x=1 x:1", "9-9 x:"),
		"locks only have versions": parse("5-6 x!", "6-7 x!"),
		"two of one version":       parse("5-6 x=1 z!", "5-6 y=1 w!", "6-6 x:1 y:1", "5-5 x: y:", "6-7 x:1 y=2"),
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, history.Check(txns)) })
	}
}

func timed(t history.Txn, begin, begun, ask, done int64) history.Txn {
	t.Times = history.Times{Begin: begin, Begun: begun, Ask: ask, Done: done}
	return t
}

// TestRealTime: versions that contradict the order of events.
func TestRealTime(t *testing.T) {
	write := func(text string) history.Txn { return timed(txn(text), 10, 20, 30, 40) }
	for _, c := range []struct {
		name   string
		txns   []history.Txn
		reason string
	}{
		{"begun after, sees it", []history.Txn{write("5-6 x=1"), timed(txn("6-6 x:1"), 41, 42, 0, 0)}, "ok"},
		{"stale read after commit", []history.Txn{write("5-6 x=1"), timed(txn("5-5 x:"), 41, 42, 0, 0)}, "stale read after commit"},
		{"begun before the answer", []history.Txn{write("5-6 x=1"), timed(txn("5-5 x:"), 39, 42, 0, 0)}, "ok"},
		{"visible before the answer", []history.Txn{write("5-6 x=1"), timed(txn("6-6 x:1"), 31, 32, 0, 0)}, "ok"},
		{"visible before it was asked for", []history.Txn{write("5-6 x=1"), timed(txn("6-6 x:1"), 21, 29, 0, 0)}, "versions going back"},
		{"later snapshot, lower version", []history.Txn{timed(txn("6-6 x:"), 1, 2, 0, 0), timed(txn("5-5 x:"), 3, 4, 0, 0)}, "versions going back"},
		{"overlapping begins", []history.Txn{timed(txn("6-6 x:"), 1, 3, 0, 0), timed(txn("5-5 x:"), 2, 4, 0, 0)}, "ok"},
		{"later commit, lower version", []history.Txn{write("5-8 x=1"), timed(txn("5-7 y=1"), 11, 21, 41, 42)}, "versions going back"},
		{"overlapping commits", []history.Txn{write("5-8 x=1"), timed(txn("5-7 y=1"), 11, 21, 39, 42)}, "ok"},
		{"aborted ones count too", []history.Txn{write("5-6 x=1"), timed(txn("5- x:"), 41, 42, 43, 44)}, "stale read after commit"},
		{"unknown, below an older commit", []history.Txn{write("5-8 x=1"), timed(txn("5-? y=1"), 11, 21, 41, 42), timed(txn("8-8 y:1"), 50, 51, 0, 0)}, "versions going back"},
		{"unknown, acknowledged by nobody", []history.Txn{timed(txn("5-? x=1"), 10, 20, 30, 40), timed(txn("5-5 x:"), 41, 42, 0, 0), timed(txn("7-7 x:1"), 43, 44, 0, 0)}, "ok"},
	} {
		t.Run(c.name, func(t *testing.T) { requireAnomaly(t, c.reason, history.Check(c.txns)) })
	}
}

func TestUnusable(t *testing.T) {
	for name, txns := range map[string][]history.Txn{
		"a value twice":         parse("5-6 x=1", "6-7 x=1"),
		"an empty value":        parse("5-6 x="),
		"an empty key":          {{Ops: []history.Op{{Kind: history.Lock}}}},
		"a scan without a walk": {{Ops: []history.Op{{Kind: history.Scan}}}},
		"an unknown delete":     parse("5-? x-"),
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, history.Check(txns), history.ErrHistory) })
	}
}

// simulated returns a valid history of n operations or some more, by random
// transactions on a perfect store, a few at a time.
func simulated(r *rand.Rand, n int) []history.Txn {
	const keys, open = 200, 8
	type slot struct {
		history.Txn
		sees    [keys]string
		changed map[int]bool // or locked
	}
	var names, state [keys]string
	for i := range names {
		names[i] = strconv.Itoa(1000 + i)
	}
	var written, locked [keys]kv.Version
	version, clock, sets := kv.Version(1), int64(0), 0
	tick := func() int64 { clock++; return clock }
	var slots [open]*slot
	var txns []history.Txn
	for ops := 0; ops < n; {
		at := r.IntN(open)
		s := slots[at]
		if s == nil {
			s = &slot{sees: state, changed: map[int]bool{}}
			s.Times.Begin, s.Read, s.Times.Begun = tick(), version, tick()
			slots[at] = s
		}
		for range 12 {
			ops++
			k := r.IntN(keys)
			op := history.Op{Key: names[k]}
			switch r.IntN(10) {
			case 0, 1:
				sets++
				op.Kind, op.Value = history.Set, fmt.Sprint("v", sets)
				s.sees[k], s.changed[k] = op.Value, true
			case 2:
				op.Kind = history.Delete
				s.sees[k], s.changed[k] = "", true
			case 3:
				op.Kind = history.Lock
				writes := s.changed[k] // which counts for more
				s.changed[k] = writes
			case 4:
				op.Kind, op.Scan = history.Scan, &history.Walk{End: names[min(k+10, keys-1)]}
				for i := k; i < min(k+10, keys-1); i++ {
					if v := s.sees[i]; v != "" {
						op.Scan.Pairs = append(op.Scan.Pairs, history.Pair{Key: names[i], Value: v})
					}
				}
			default:
				op.Kind, op.Value = history.Get, s.sees[k]
			}
			s.Ops = append(s.Ops, op)
		}
		if r.IntN(2) > 0 {
			continue
		}
		slots[at] = nil
		s.Times.Ask = tick()
		conflict := false
		for k, writes := range s.changed {
			conflict = conflict || written[k] > s.Read || writes && locked[k] > s.Read
		}
		if !conflict {
			s.Outcome, s.Commit = history.Committed, s.Read
			if len(s.changed) > 0 {
				version++
				s.Commit = version
			}
			for k, writes := range s.changed {
				if writes {
					written[k], state[k] = version, s.sees[k]
				} else {
					locked[k] = version
				}
			}
		}
		s.Times.Done = tick()
		txns = append(txns, s.Txn)
	}
	return txns
}

// TestRandomHistories: valid histories are accepted, and those in which one
// read or version was changed are not.
func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		txns := simulated(r, 2000)
		require.NoError(t, history.Check(txns))
		r.Shuffle(len(txns), func(i, j int) { txns[i], txns[j] = txns[j], txns[i] })
		require.NoError(t, history.Check(txns), "their order means nothing")
		for range 10 {
			undo := spoil(r, txns)
			var a *history.Anomaly
			require.ErrorAs(t, history.Check(txns), &a)
			undo()
		}
		require.NoError(t, history.Check(txns))
	}
}

// spoil makes one read of the history wrong.
func spoil(r *rand.Rand, txns []history.Txn) (undo func()) {
	for {
		t := &txns[r.IntN(len(txns))]
		op := &t.Ops[r.IntN(len(t.Ops))]
		old := *op
		switch {
		case op.Kind == history.Get && op.Value != "":
			op.Value = ""
		case op.Kind == history.Get:
			op.Value = "v1"
		case op.Kind == history.Scan && len(op.Scan.Pairs) > 0:
			walk := *op.Scan
			at := r.IntN(len(walk.Pairs))
			walk.Pairs = append(walk.Pairs[:at:at], walk.Pairs[at+1:]...)
			op.Scan = &walk
		default:
			continue
		}
		return func() { *op = old }
	}
}

// TestMillionOperations: the time is linear. It is compared with that of ten times a
// tenth of them, whatever the machine; steps that grow with the history would take
// ten times longer.
func TestMillionOperations(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n /= 10
	}
	check := func(n int) time.Duration {
		txns := simulated(rand.New(rand.NewPCG(1, 2)), n)
		runtime.GC() // of what was simulated
		start := time.Now()
		require.NoError(t, history.Check(txns))
		took := time.Since(start)
		t.Logf("%d operations of %d transactions in %v", n, len(txns), took)
		return took
	}
	var tenths time.Duration
	for range 10 {
		tenths += check(n / 10)
	}
	require.Less(t, check(n), 5*tenths)
}

func BenchmarkCheck(b *testing.B) {
	const n = 100_000
	txns := simulated(rand.New(rand.NewPCG(1, 2)), n)
	b.ReportAllocs()
	for b.Loop() {
		if err := history.Check(txns); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/operation")
}

func TestAnomalyIsAnError(t *testing.T) {
	err := history.Check(parse("5-6 x=1", "6-6 x:9"))
	require.EqualError(t, err, "value from nowhere: transaction 1 (read at 6) got a value that nobody wrote")
	require.False(t, errors.Is(err, history.ErrHistory))
}
