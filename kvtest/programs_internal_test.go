package kvtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProgramsAreVaried: generated programs come to all that can happen, often
// enough for a run of the suite to see it.
func TestProgramsAreVaried(t *testing.T) {
	seen := map[string]int{}
	const runs = 100
	for seed := range runs {
		m := newModelRun()
		for n, s := range programs(true).Example(seed) {
			answer := m.do(n, s, "")
			switch s.call {
			case callNext, callSeek:
				answer, _, _ = strings.Cut(answer, ",")
				if strings.Contains(answer, "=") {
					answer = "a pair"
				}
			case callScan:
				answer = []string{"", "a pair", "more"}[min(2, strings.Count(answer, "="))]
			case callGet:
				answer = map[bool]string{true: "none", false: "a value"}[answer == "none"]
			case callBatchGet:
				answer = ""
			}
			seen[s.call.String()+": "+answer]++
			if m.either {
				seen["two lockers"]++
				m.either = false
			}
		}
	}
	for what, least := range map[string]int{
		"commit: ok": 150, "commit: conflict": 15, "commit: ok, changed nothing": 50, "two lockers": 1,
		"scan: ": 20, "scan: a pair": 20, "scan: more": 50, "get: a value": 20, "get: none": 20,
		"next: a pair": 50, "next: end": 10, "seek: a pair": 50, "seek: end": 20,
		"set: read-only": 5, "rollback to: ok": 100, "rollback to: discarded savepoint": 1,
		"delete range: ok": 40, "lock: ok": 100, "watermark: ok": 100, "reopen: ok": 20,
	} {
		require.GreaterOrEqual(t, seen[what], least, "%s, of %v", what, seen)
	}
}

// On a store of several servers a transaction that was refused may stand in the way of
// one that began before it and shares a key with it, and of no other.
func TestModelOfRefusedTransactions(t *testing.T) {
	txn := func(number int, locks ...string) *modelTxn {
		t := &modelTxn{number: number, own: map[string]string{"x": "1"}, locked: map[string]bool{}}
		for _, k := range locks {
			t.locked[k] = true
		}
		return t
	}
	for name, c := range map[string]struct {
		servers bool
		number  int
		key     string
		want    string
	}{
		"older":          {true, 1, "b", "conflict"},
		"younger":        {true, 3, "b", "ok"},
		"of another key": {true, 1, "c", "ok"},
		"on one server":  {false, 1, "b", "ok"},
	} {
		m := newModelRun()
		m.servers = c.servers
		m.refused = []*modelTxn{txn(2, "a", "b")}
		mine := &modelTxn{number: c.number, own: map[string]string{c.key: "1"}, locked: map[string]bool{}}
		require.Equal(t, c.want, m.commit(mine, "conflict"), name)
		require.Equal(t, c.want == "conflict", m.either, name)
	}
}

// FuzzPrograms runs the programs that bytes spell, on the memory driver.
func FuzzPrograms(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0})                                 // set, commit, scan
	f.Add([]byte{1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 1, 0, 0, 0, 2, 0, 0, 0, 0})                  // two blind writers
	f.Add([]byte{9, 0, 0, 1, 0, 1, 1, 1, 0, 0, 2, 0, 0, 0, 0, 2, 1, 0, 0, 0})                  // a lock, then a write
	f.Add([]byte{1, 0, 0, 0, 0, 19, 0, 0, 0, 1, 1, 0, 1, 0, 0, 20, 0, 2, 0, 0, 21, 0, 0, 0})   // a cursor over own writes
	f.Add([]byte{17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 18, 0, 0, 0, 0, 7, 0, 0, 0, 0, 2, 0, 0, 0, 0}) // a savepoint
	for seed := range 8 {                                                                      // and long ones
		var data []byte
		for i := range 5 * programSteps {
			data = append(data, byte((i*i*(2*seed+3)+i*7*seed)>>3))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decodeProgram(data[:min(len(data), 5*200)])
		c := testCase{run: func(f *fixture) { f.ok(f.runProgram(p)) }}
		if r := execute(t, lasting(), c, true); r.Failed() {
			t.Fatalf("%s\n%s", strings.Join(r.messages, "\n"), p)
		}
	})
}
