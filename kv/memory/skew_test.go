package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// detecting returns a store and the skews that it reports.
func detecting(t require.TestingT) (*kv.Store, *[]*memory.WriteSkew) {
	skews := new([]*memory.WriteSkew)
	var mu sync.Mutex
	s, err := memory.Open(&memory.Options{OnWriteSkew: func(w *memory.WriteSkew) {
		mu.Lock()
		defer mu.Unlock()
		*skews = append(*skews, w)
	}})
	require.NoError(t, err)
	return s, skews
}

// goOffCall takes a doctor off call if another one is on call. It reads the
// others and writes only one, so two of them at once are a write skew unless
// they lock what they read.
func goOffCall(ctx context.Context, tx *kv.Txn, doctor, other string, lock bool) error {
	on, err := tx.Has(ctx, []byte(other))
	if err != nil {
		return err
	}
	if !on {
		return errors.New("nobody else is on call")
	}
	if lock {
		if err := tx.Lock(ctx, []byte(other)); err != nil {
			return err
		}
	}
	return tx.Delete([]byte(doctor))
}

// twoGoOffCall runs the two at once: both read before either commits.
func twoGoOffCall(t *testing.T, s *kv.Store, lock bool) (first, second error) {
	ctx := t.Context()
	require.NoError(t, s.Update(ctx, func(tx *kv.Txn) error {
		return errors.Join(tx.Set([]byte("ada"), []byte("on")), tx.Set([]byte("bob"), []byte("on")))
	}))
	a, err := s.Begin(ctx, nil)
	require.NoError(t, err)
	b, err := s.Begin(ctx, nil)
	require.NoError(t, err)
	require.NoError(t, goOffCall(ctx, a, "ada", "bob", lock))
	require.NoError(t, goOffCall(ctx, b, "bob", "ada", lock))
	return a.Commit(ctx), b.Commit(ctx)
}

func TestWriteSkewIsReported(t *testing.T) {
	s, skews := detecting(t)
	first, second := twoGoOffCall(t, s, false)
	require.NoError(t, first)
	require.NoError(t, second)
	require.Len(t, *skews, 1)
	skew := (*skews)[0]
	require.Len(t, skew.Cycle, 2)
	for i, d := range skew.Cycle {
		require.True(t, d.Missed)
		require.Equal(t, skew.Cycle[1-i].From, d.To)
		require.Contains(t, d.Stack, "twoGoOffCall")
	}
	require.Contains(t, skew.String(), `read "ada" without Lock`)
	require.Contains(t, skew.String(), `read "bob" without Lock`)
	require.NoError(t, s.Close())
}

func TestLockedProgramIsNotReported(t *testing.T) {
	s, skews := detecting(t)
	first, second := twoGoOffCall(t, s, true)
	require.NoError(t, first)
	require.ErrorIs(t, second, kv.ErrConflict)
	require.Empty(t, *skews)
	require.NoError(t, s.Close())
}

// TestPhantomIsReported: each counts a range and inserts into it.
func TestPhantomIsReported(t *testing.T) {
	ctx := t.Context()
	for _, reverse := range []bool{false, true} {
		s, skews := detecting(t)
		insert := func(tx *kv.Txn, key string) {
			for _, err := range tx.Scan(ctx, kv.Range{Start: []byte("a"), End: []byte("z")}, &kv.ScanOptions{Reverse: reverse}) {
				require.NoError(t, err)
			}
			require.NoError(t, tx.Set([]byte(key), []byte("v")))
		}
		a, err := s.Begin(ctx, nil)
		require.NoError(t, err)
		b, err := s.Begin(ctx, nil)
		require.NoError(t, err)
		insert(a, "k")
		insert(b, "l")
		require.NoError(t, a.Commit(ctx))
		require.NoError(t, b.Commit(ctx))
		require.Len(t, *skews, 1)
		require.NoError(t, s.Close())
	}
}

// executed is what a transaction of a random execution did: the values it
// saw, each written by the transaction with that number (0: nobody), and the
// keys it wrote.
type executed struct {
	reads  map[string]int
	writes map[string]bool
}

// TestReportsExactlyWhatNoSerialOrderExplains runs small random executions and
// compares the verdict with a search through all orders: transactions run one
// by one in an order explain an execution if each reads what it really read,
// and writers of each key come in the order of their commits.
func TestReportsExactlyWhatNoSerialOrderExplains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		s, skews := detecting(t)
		defer func() { require.NoError(t, s.Close()) }()
		keys := []string{"a", "b", "c", "d"}
		n := rapid.IntRange(2, 5).Draw(t, "transactions")
		open := make([]*kv.Txn, n)
		did := make([]executed, n)
		var order []int // of commits
		begin := func(i int) {
			if open[i] != nil {
				return
			}
			tx, err := s.Begin(ctx, nil)
			require.NoError(t, err)
			open[i], did[i] = tx, executed{map[string]int{}, map[string]bool{}}
		}
		read := func(i int, key string) {
			v, err := open[i].Get(ctx, []byte(key))
			if did[i].writes[key] {
				return // its own
			}
			if errors.Is(err, kv.ErrNotFound) {
				did[i].reads[key] = 0
				return
			}
			require.NoError(t, err)
			did[i].reads[key], err = strconv.Atoi(string(v))
			require.NoError(t, err)
		}
		for i := range n {
			if rapid.Bool().Draw(t, "begin early") {
				begin(i)
			}
		}
		for range rapid.IntRange(4, 24).Draw(t, "steps") {
			i := rapid.IntRange(0, n-1).Draw(t, "transaction")
			if did[i].reads != nil && open[i] == nil {
				continue // it has ended
			}
			begin(i)
			key := rapid.SampledFrom(keys).Draw(t, "key")
			switch rapid.SampledFrom([]string{"read", "read", "write", "commit"}).Draw(t, "step") {
			case "read":
				read(i, key)
			case "write":
				require.NoError(t, open[i].Set([]byte(key), fmt.Append(nil, i+1)))
				did[i].writes[key] = true
			case "commit":
				if open[i].Commit(ctx) == nil && len(did[i].writes) > 0 {
					order = append(order, i)
				}
				open[i] = nil
			}
		}
		for i := range n {
			if open[i] != nil && open[i].Commit(ctx) == nil && len(did[i].writes) > 0 {
				order = append(order, i)
			}
		}
		serial := explained(did, order, nil)
		require.Equal(t, serial, len(*skews) == 0, "commits %v of %+v", order, did)
	})
}

// explained searches for an order of the committed transactions, done first.
func explained(did []executed, order, done []int) bool {
	if len(done) == len(order) {
		return true
	}
	for at, i := range order {
		if contains(done, i) || !fits(did, order[:at], done, i) {
			continue
		}
		if explained(did, order, append(done[:len(done):len(done)], i)) {
			return true
		}
	}
	return false
}

// fits tells whether i can come next: earlier committers of its keys are done,
// and it reads the latest writes of those that are.
func fits(did []executed, earlier, done []int, i int) bool {
	for key := range did[i].writes {
		for _, e := range earlier {
			if did[e].writes[key] && !contains(done, e) {
				return false
			}
		}
	}
	for key, by := range did[i].reads {
		last := 0
		for _, d := range done {
			if did[d].writes[key] {
				last = d + 1
			}
		}
		if last != by {
			return false
		}
	}
	return true
}

func contains(list []int, i int) bool {
	for _, x := range list {
		if x == i {
			return true
		}
	}
	return false
}

// ExampleOptions_writeSkew is a unit test's way to find a missing Lock: the
// detector reports the two transactions that depended on each other.
func ExampleOptions_writeSkew() {
	ctx := context.Background()
	s, err := memory.Open(&memory.Options{OnWriteSkew: func(w *memory.WriteSkew) {
		for _, d := range w.Cycle {
			fmt.Printf("a Lock is missing on %s\n", d.Key) // in a test: t.Error(w)
		}
	}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = s.Close() }()

	// Either account may be overdrawn as long as the other covers it.
	withdraw := func(tx *kv.Txn, from, other string) error {
		if _, err := tx.BatchGet(ctx, [][]byte{[]byte(from), []byte(other)}); err != nil {
			return err
		}
		return tx.Set([]byte(from), []byte("-100")) // without tx.Lock(ctx, other)
	}
	a, _ := s.Begin(ctx, nil)
	b, _ := s.Begin(ctx, nil)
	fmt.Println(withdraw(a, "checking", "savings"), withdraw(b, "savings", "checking"))
	fmt.Println(a.Commit(ctx), b.Commit(ctx))
	// Output:
	// <nil> <nil>
	// a Lock is missing on checking
	// a Lock is missing on savings
	// <nil> <nil>
}

func TestWriteSkewTextNamesEachStep(t *testing.T) {
	w := &memory.WriteSkew{Cycle: []memory.Dependency{{From: 1, To: 2, Key: []byte("k"), Stack: "here\n"}}}
	require.True(t, strings.HasSuffix(w.String(), "- 1 touched \"k\" before 2 did; it committed at\nhere\n"), w.String())
}
