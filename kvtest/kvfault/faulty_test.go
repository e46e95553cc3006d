package kvfault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
)

var errBroken = errors.New("broken")

// faultyStore has the keys a and b, and counts what reaches the driver.
func faultyStore(t testing.TB, f *kvfault.Faulty, calls *kvfault.Counting) *kv.Store {
	t.Helper()
	s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver { return f.Wrap(calls.Wrap(d)) }}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.Zero(t, calls.OpenTxns())
		require.Zero(t, calls.OpenCursors())
	})
	require.NoError(t, setKey(t.Context(), s, "a"))
	require.NoError(t, setKey(t.Context(), s, "b"))
	return s
}

func setKey(ctx context.Context, s *kv.Store, key string) error {
	return s.Update(ctx, func(tx *kv.Txn) error { return tx.Set([]byte(key), []byte("1")) })
}

func hasKey(t testing.TB, s *kv.Store, key string) (has bool) {
	t.Helper()
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) (err error) {
		has, err = tx.Has(t.Context(), []byte(key))
		return err
	}))
	return has
}

// everyCall makes each kind of call once, Next apart, and stops at an error.
func everyCall(ctx context.Context, s *kv.Store) error {
	if err := s.Update(ctx, func(tx *kv.Txn) error {
		if _, err := tx.Get(ctx, []byte("a")); err != nil {
			return err
		}
		if _, err := tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("x")}); err != nil {
			return err
		}
		c, err := tx.Cursor(ctx, kv.Range{}, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		for c.Next(ctx) {
			if len(c.Key()) != 1 || len(c.Value()) != 1 {
				return errors.New("a strange pair")
			}
		}
		if c.Err() == nil {
			c.Seek(ctx, []byte("b"))
		}
		return errors.Join(c.Err(), tx.Set([]byte("c"), []byte("1")))
	}); err != nil {
		return err
	}
	v, err := s.Watermark(ctx)
	if err != nil {
		return err
	}
	return s.WaitDurable(ctx, v)
}

func TestFaultySweep(t *testing.T) {
	want := []kv.Call{
		kv.CallBegin, kv.CallGet, kv.CallBatchGet, kv.CallCursor, kv.CallNext, kv.CallNext,
		kv.CallNext, kv.CallSeek, kv.CallCommit, kv.CallWatermark, kv.CallWaitDurable,
	}
	for _, after := range []bool{false, true} {
		var struck []kv.Call
		var f kvfault.Faulty
		var calls kvfault.Counting
		s := faultyStore(t, &f, &calls)
		last := 0
		for fault := range f.Sweep(kvfault.Rule{After: after, Err: errBroken}) {
			require.NoError(t, s.Update(t.Context(), func(tx *kv.Txn) error { return tx.Delete([]byte("c")) }))
			var err error
			before := calls.Counts()
			fault.During(func() { err = everyCall(t.Context(), s) })
			done := calls.Counts().Sub(before)
			require.Zero(t, calls.OpenTxns())
			require.Zero(t, calls.OpenCursors())
			if fault.Hits() == 0 {
				require.NoError(t, err)
				last++
				continue
			}
			require.ErrorIs(t, err, errBroken)
			struck = append(struck, fault.Struck())
			require.Equal(t, fault.Struck() == kv.CallCommit, errors.Is(err, kv.ErrCommitUnknown), fault)
			if fault.Struck() == kv.CallCommit {
				require.Equal(t, after, hasKey(t, s, "c"))
				require.Equal(t, after, done.Commits == 1, "whether the driver was asked")
			}
		}
		require.Equal(t, want, struck)
		require.Equal(t, 1, last)
	}
}

func TestFaultySweepOfOneKind(t *testing.T) {
	var f kvfault.Faulty
	s := faultyStore(t, &f, &kvfault.Counting{})
	var seen []string
	for fault := range f.Sweep(kvfault.Rule{Call: kv.CallNext, Skip: 1, Every: true, Err: errBroken}) {
		fault.During(func() { _ = everyCall(t.Context(), s) })
		seen = append(seen, fault.String())
	}
	require.Equal(t, []string{"before call 2 (next)", "before call 3 (next)", "before call 4 (next)"}, seen)

	for fault := range f.Sweep(kvfault.Rule{Err: errBroken}) { // left early
		fault.During(func() { require.ErrorIs(t, everyCall(t.Context(), s), errBroken) })
		break
	}
	require.NoError(t, everyCall(t.Context(), s))

	require.Panics(t, func() {
		for range f.Sweep(kvfault.Rule{}) {
			continue
		}
	}, "nothing would be tested")
	fault := f.Inject(kvfault.Rule{})
	defer fault.Lift()
	fault.During(func() {})
	require.Panics(t, func() { fault.During(func() {}) })
}

func TestFaultyRules(t *testing.T) {
	var f kvfault.Faulty
	s := faultyStore(t, &f, &kvfault.Counting{})
	get := func() error {
		return s.View(t.Context(), func(tx *kv.Txn) error {
			_, err := tx.Get(t.Context(), []byte("a"))
			return err
		})
	}
	results := func(n int) (failed []bool) {
		for range n {
			err := get()
			failed = append(failed, err != nil)
		}
		return failed
	}
	f.Inject(kvfault.Rule{Call: kv.CallGet, Skip: 1, Err: errBroken})
	require.Equal(t, []bool{false, true, false}, results(3))
	every := f.Inject(kvfault.Rule{Call: kv.CallGet, Skip: 1, Every: true, Err: errBroken})
	require.Equal(t, []bool{false, true, true}, results(3))
	require.Equal(t, 2, every.Hits())
	require.Equal(t, kv.CallGet, every.Struck())
	every.Lift()
	every.Lift()
	require.Equal(t, []bool{false, false}, results(2))
	require.Equal(t, 2, every.Hits())

	count := f.Inject(kvfault.Rule{Every: true})
	require.Equal(t, kvfault.AnyCall, count.Struck())
	require.NoError(t, get())
	require.Equal(t, 2, count.Hits(), "a begin and a get")
	other := f.Inject(kvfault.Rule{Call: kv.CallGet, Err: errBroken})
	require.ErrorIs(t, get(), errBroken)
	require.Equal(t, 4, count.Hits(), "each rule counts for itself")
	require.Equal(t, "before call 1 (get)", other.String())
}

// TestFaultyCursor: an injected error ends the cursor, until a Seek.
func TestFaultyCursor(t *testing.T) {
	var f kvfault.Faulty
	var d kv.Driver
	_, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(inner kv.Driver) kv.Driver { d = f.Wrap(inner); return d }}})
	require.NoError(t, err)
	ctx := t.Context()
	tx, err := d.Begin(ctx, kv.BeginOptions{})
	require.NoError(t, err)
	_, err = tx.Commit(ctx, &kv.Commit{Writes: []kv.Write{{Key: []byte("a"), Value: []byte("1")}}})
	require.NoError(t, err)
	tx.Release()
	tx, err = d.Begin(ctx, kv.BeginOptions{ReadOnly: true})
	require.NoError(t, err)
	defer tx.Release()
	c, err := tx.Cursor(ctx, kv.Range{}, kv.CursorOptions{})
	require.NoError(t, err)
	defer c.Close()
	f.Inject(kvfault.Rule{Call: kv.CallNext, Err: errBroken})
	for range 2 {
		require.False(t, c.Next(ctx))
		require.ErrorIs(t, c.Err(), errBroken)
	}
	require.True(t, c.Seek(ctx, []byte("a")))
	require.NoError(t, c.Err())
	require.Equal(t, "a", string(c.Key()))
	require.False(t, c.Next(ctx))
	require.NoError(t, c.Err())
}

func TestFaultyHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f kvfault.Faulty
		s := faultyStore(t, &f, &kvfault.Counting{})

		fault := f.Inject(kvfault.Rule{Call: kv.CallCommit, Hold: true})
		done := make(chan error, 1)
		go func() { done <- setKey(t.Context(), s, "c") }()
		<-fault.Reached()
		synctest.Wait()
		require.Empty(t, done)
		require.False(t, hasKey(t, s, "c"), "others go on")
		fault.Lift()
		require.NoError(t, <-done)
		require.True(t, hasKey(t, s, "c"))

		for _, after := range []bool{false, true} { // a context that ends
			name := fmt.Sprint("ended ", after)
			ctx, cancel := context.WithCancel(t.Context())
			fault = f.Inject(kvfault.Rule{Call: kv.CallCommit, Hold: true, After: after})
			go func() { done <- setKey(ctx, s, name) }()
			<-fault.Reached()
			cancel()
			err := <-done
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, kv.ErrCommitUnknown)
			require.Equal(t, after, hasKey(t, s, name))
		}

		ctx, cancel := context.WithCancel(t.Context()) // and nobody looks
		fault = f.Inject(kvfault.Rule{Call: kv.CallCommit, Hold: true, Deaf: true, Err: errBroken})
		go func() { done <- setKey(ctx, s, "deaf") }()
		<-fault.Reached()
		cancel()
		synctest.Wait()
		require.Empty(t, done)
		fault.Lift()
		require.ErrorIs(t, <-done, errBroken)

		f.Inject(kvfault.Rule{Call: kv.CallGet, Delay: time.Hour})
		began := time.Now()
		require.True(t, hasKey(t, s, "a"))
		require.Equal(t, time.Hour, time.Since(began))
		f.Inject(kvfault.Rule{Call: kv.CallGet, Delay: time.Hour})
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, s.View(ctx, func(tx *kv.Txn) error {
			_, err := tx.Get(ctx, []byte("a"))
			return err
		}), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

// TestFaultyHoldsMany: one rule holds calls of several goroutines.
func TestFaultyHoldsMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f kvfault.Faulty
		s := faultyStore(t, &f, &kvfault.Counting{})
		fault := f.Inject(kvfault.Rule{Call: kv.CallCommit, Every: true, Hold: true})
		errs := make(chan error, 8)
		for i := range cap(errs) {
			go func() { errs <- setKey(t.Context(), s, fmt.Sprint("key", i)) }()
		}
		synctest.Wait()
		require.Equal(t, cap(errs), fault.Hits())
		require.Empty(t, errs)
		fault.Lift()
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
	})
}

// An acknowledgement is lost: the caller cannot know whether the commit has
// happened, so Update does not run again, and looking tells.
func ExampleFaulty() {
	ctx := context.Background()
	var faulty kvfault.Faulty
	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
	if err != nil {
		panic(err)
	}
	defer store.Close()

	faulty.Inject(kvfault.Rule{Call: kv.CallCommit, After: true, Err: errors.New("connection reset")})
	runs := 0
	err = store.Update(ctx, func(tx *kv.Txn) error {
		runs++
		return tx.Set([]byte("paid"), []byte("yes"))
	})
	fmt.Println(err)
	fmt.Println("runs:", runs, "unknown:", errors.Is(err, kv.ErrCommitUnknown))
	err = store.View(ctx, func(tx *kv.Txn) error {
		v, err := tx.Get(ctx, []byte("paid"))
		fmt.Printf("paid: %s\n", v)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// kv: commit: kv: commit outcome unknown: connection reset
	// runs: 1 unknown: true
	// paid: yes
}

// A program is tried with each of its driver calls failing in turn.
func ExampleFaulty_Sweep() {
	ctx := context.Background()
	var faulty kvfault.Faulty
	store, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: faulty.Wrap}})
	if err != nil {
		panic(err)
	}
	defer store.Close()

	for fault := range faulty.Sweep(kvfault.Rule{Err: errors.New("no")}) {
		fault.During(func() {
			err = store.Update(ctx, func(tx *kv.Txn) error {
				if _, err := tx.Has(ctx, []byte("a")); err != nil {
					return err
				}
				return tx.Set([]byte("a"), []byte("1"))
			})
		})
		fmt.Printf("%v: %v\n", fault, err)
	}
	// Output:
	// before call 1 (begin): kv: begin: no
	// before call 2 (get): kv: get: no
	// before call 3 (commit): kv: commit: kv: commit outcome unknown: no
	// before call 4 (any call): <nil>
}
