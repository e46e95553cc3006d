package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// ended is what an Interceptor is told of a call when that is over.
type ended struct {
	info kv.CallInfo
	err  error
}

// watch is an Interceptor's functions. It hands each call a token of its own, can
// make calls fail, and notes all that it sees.
type watch struct {
	t         testing.TB
	started   map[int]kv.Call // by token, until it ends
	tokens    int
	calls     []ended
	failStart map[kv.Call]error
	failEnd   map[kv.Call]error
}

type watchKey struct{}

// openWatched opens a memory store, with a probe beneath the Interceptor.
func openWatched(t testing.TB) (*kv.Store, *watch, *probe) {
	w := &watch{t: t, started: map[int]kv.Call{}, failStart: map[kv.Call]error{}, failEnd: map[kv.Call]error{}}
	p := &probe{hooks: map[call]func(context.Context) error{}, calls: map[call]int{}}
	store, err := memory.Open(&memory.Options{Options: kv.Options{MaxAttempts: 1, Wrap: func(d kv.Driver) kv.Driver {
		p.Driver = d
		return kv.Intercept(p, &kv.Interceptor[int]{Start: w.start, End: w.end})
	}}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, store.Close())
		p.check(t)
		require.Empty(t, w.started, "each call that starts ends")
	})
	return store, w, p
}

func (w *watch) start(ctx context.Context, c kv.CallInfo) (context.Context, int, error) {
	if err := w.failStart[c.Call]; err != nil {
		return nil, 0, err
	}
	w.tokens++
	w.started[w.tokens] = c.Call
	return context.WithValue(ctx, watchKey{}, c.Call), w.tokens, nil
}

func (w *watch) end(token int, c kv.CallInfo, err error) error {
	require.Equal(w.t, w.started[token], c.Call, "the token is that of the call's start")
	delete(w.started, token)
	w.calls = append(w.calls, ended{c, err})
	return w.failEnd[c.Call]
}

// seen returns what has ended since the last time.
func (w *watch) seen() []ended {
	calls := w.calls
	w.calls = nil
	return calls
}

func TestIntercept(t *testing.T) {
	s, w, p := openWatched(t)
	ctx := t.Context()
	require.NoError(t, s.Update(ctx, func(tx *kv.Txn) error {
		return errors.Join(tx.Set([]byte("a"), []byte("123")), tx.Set([]byte("bb"), []byte("4")), tx.Lock(ctx, []byte("lock")))
	}))
	require.Equal(t, []ended{
		{info: kv.CallInfo{Call: kv.CallBegin}},
		{info: kv.CallInfo{Call: kv.CallCommit, Keys: 2, Locks: 1, Bytes: 4 + 3 + 4}},
		{info: kv.CallInfo{Call: kv.CallTxn}},
	}, w.seen())

	p.on(onGet, func(ctx context.Context) error {
		require.Equal(t, kv.CallGet, ctx.Value(watchKey{}), "the driver gets the context of Start")
		return nil
	})
	require.NoError(t, s.View(ctx, func(tx *kv.Txn) error {
		_, err := tx.Get(ctx, []byte("a"))
		require.NoError(t, err)
		_, err = tx.Get(ctx, []byte("none"))
		require.ErrorIs(t, err, kv.ErrNotFound)
		_, err = tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("bb"), []byte("none")})
		require.NoError(t, err)
		for _, err := range tx.Scan(ctx, kv.Range{}, nil) {
			require.NoError(t, err)
		}
		for _, err := range tx.Scan(ctx, kv.Range{}, &kv.ScanOptions{KeysOnly: true, Limit: 1}) {
			require.NoError(t, err)
		}
		c, err := tx.Cursor(ctx, kv.Range{}, nil)
		require.NoError(t, err)
		defer c.Close()
		require.True(t, c.Seek(ctx, []byte("b")))
		require.False(t, c.Seek(ctx, []byte("c")))
		return nil
	}))
	ro := func(c kv.CallInfo) ended {
		c.ReadOnly = true
		return ended{info: c}
	}
	require.Equal(t, []ended{
		ro(kv.CallInfo{Call: kv.CallBegin}),
		ro(kv.CallInfo{Call: kv.CallGet, Keys: 1, Bytes: 3}),
		ro(kv.CallInfo{Call: kv.CallGet, Keys: 1}),
		ro(kv.CallInfo{Call: kv.CallBatchGet, Keys: 3, Bytes: 4}),
		ro(kv.CallInfo{Call: kv.CallCursor}),
		ro(kv.CallInfo{Call: kv.CallScan, Keys: 2, Bytes: 7}),
		ro(kv.CallInfo{Call: kv.CallCursor}),
		ro(kv.CallInfo{Call: kv.CallScan, Keys: 1, Bytes: 1}),
		ro(kv.CallInfo{Call: kv.CallCursor}),
		ro(kv.CallInfo{Call: kv.CallSeek, Keys: 1}),
		ro(kv.CallInfo{Call: kv.CallSeek, Keys: 1}),
		ro(kv.CallInfo{Call: kv.CallScan, Keys: 1, Bytes: 3}),
		ro(kv.CallInfo{Call: kv.CallTxn}),
	}, w.seen())

	_, err := s.Watermark(ctx)
	require.NoError(t, err)
	require.NoError(t, s.WaitDurable(ctx, 1))
	require.Equal(t, []ended{{info: kv.CallInfo{Call: kv.CallWatermark}}, {info: kv.CallInfo{Call: kv.CallWaitDurable}}}, w.seen())
	require.True(t, s.As(new(int)), "As reaches the driver")
	require.Equal(t, "memory", s.Info().Name)

	require.NoError(t, s.Run(ctx, &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error { return tx.Delete([]byte("a")) }))
	require.Equal(t, kv.CallInfo{Call: kv.CallCommit, Keys: 1, Bytes: 1, NoSync: true}, w.seen()[1].info)
}

// programs makes each kind of call, one in each program.
func programs(ctx context.Context, s *kv.Store) map[kv.Call]func() error {
	in := func(fn func(tx *kv.Txn) error) func() error {
		return func() error { return s.Update(ctx, fn) }
	}
	return map[kv.Call]func() error{
		kv.CallBegin:    in(func(*kv.Txn) error { return nil }),
		kv.CallTxn:      in(func(*kv.Txn) error { return nil }),
		kv.CallGet:      in(func(tx *kv.Txn) error { return use(ctx, tx, onGet) }),
		kv.CallBatchGet: in(func(tx *kv.Txn) error { return use(ctx, tx, onBatchGet) }),
		kv.CallCursor:   in(func(tx *kv.Txn) error { return use(ctx, tx, onCursor) }),
		kv.CallScan:     in(func(tx *kv.Txn) error { return use(ctx, tx, onCursor) }),
		kv.CallSeek:     in(func(tx *kv.Txn) error { return use(ctx, tx, onSeek) }),
		kv.CallCommit:   in(func(tx *kv.Txn) error { return use(ctx, tx, onCommit) }),
		kv.CallWatermark: func() error {
			_, err := s.Watermark(ctx)
			return err
		},
		kv.CallWaitDurable: func() error { return s.WaitDurable(ctx, 1) },
	}
}

// driverCall is the call of the probe's for each.
var driverCall = map[kv.Call]call{
	kv.CallBegin: onBegin, kv.CallGet: onGet, kv.CallBatchGet: onBatchGet, kv.CallCursor: onCursor,
	kv.CallSeek: onSeek, kv.CallCommit: onCommit, kv.CallWatermark: onWatermark, kv.CallWaitDurable: onWaitDurable,
}

// TestInterceptFails: an error of Start is returned in place of the call, one of End
// after it, and nothing stays open.
func TestInterceptFails(t *testing.T) {
	s, w, p := openWatched(t)
	seed(t, s, "a", "1")
	for c, program := range programs(t.Context(), s) {
		before := p.count(driverCall[c])
		w.failStart[c] = errDisk
		err := program()
		require.ErrorIs(t, err, errDisk, c)
		require.Equal(t, c == kv.CallCommit, errors.Is(err, kv.ErrCommitUnknown), c)
		require.Equal(t, before, p.count(driverCall[c]), "%v: the driver was called", c)
		delete(w.failStart, c)

		w.failEnd[c] = errDisk
		err = program()
		if c == kv.CallTxn || c == kv.CallScan {
			require.NoError(t, err, "what is over cannot fail")
		} else {
			require.ErrorIs(t, err, errDisk, c)
			require.Equal(t, before+1, p.count(driverCall[c]), "%v: the driver was not called", c)
		}
		delete(w.failEnd, c)
		require.Zero(t, p.openTxns())
	}
	require.Equal(t, "2", lookup(t, s, "a"), "the commit whose acknowledgement was lost has happened")
}

// TestInterceptSeesErrors: End is told a call's error, can replace it, and cannot
// make it a success.
func TestInterceptSeesErrors(t *testing.T) {
	s, w, p := openWatched(t)
	seed(t, s, "a", "1")
	other := errors.New("other")
	for c, program := range programs(t.Context(), s) {
		if driverCall[c] == "" {
			continue
		}
		p.fail(driverCall[c], errDisk)
		w.seen()
		require.ErrorIs(t, program(), errDisk, c)
		told := false
		for _, e := range w.seen() {
			told = told || e.info.Call == c && errors.Is(e.err, errDisk)
		}
		require.True(t, told, c)
		w.failEnd[c] = other
		err := program()
		require.ErrorIs(t, err, other, c)
		require.NotErrorIs(t, err, errDisk, c)
		delete(w.failEnd, c)
		p.on(driverCall[c], nil)
	}

	p.fail(onNext, errDisk) // which ends the scan
	w.seen()
	require.ErrorIs(t, s.View(t.Context(), func(tx *kv.Txn) error { return use(t.Context(), tx, onNext) }), errDisk)
	for _, e := range w.seen() {
		require.Equal(t, e.info.Call == kv.CallScan, e.err != nil)
	}
}

// TestInterceptedCursor: a Seek that fails ends the cursor until one succeeds.
func TestInterceptedCursor(t *testing.T) {
	var d kv.Driver
	fail := true
	_, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(inner kv.Driver) kv.Driver {
		d = kv.Intercept(inner, &kv.Interceptor[struct{}]{End: func(_ struct{}, c kv.CallInfo, err error) error {
			if c.Call == kv.CallSeek && fail {
				return errDisk
			}
			return err
		}})
		return d
	}}})
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
	require.True(t, c.Next(ctx))
	require.False(t, c.Seek(ctx, []byte("a")))
	require.ErrorIs(t, c.Err(), errDisk)
	require.False(t, c.Next(ctx))
	fail = false
	require.True(t, c.Seek(ctx, []byte("a")))
	require.NoError(t, c.Err())
	require.Equal(t, "1", string(c.Value()))
	require.False(t, c.Next(ctx))
	require.NoError(t, c.Err())
}

// TestInterceptNothing: every function may be nil.
func TestInterceptNothing(t *testing.T) {
	s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		return kv.Intercept(d, &kv.Interceptor[time.Time]{})
	}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	seed(t, s, "a", "1")
	for c, program := range programs(t.Context(), s) {
		require.NoError(t, program(), c)
	}
}

// movesCounted counts the moves of a cursor.
type movesCounted struct {
	kv.DriverCursor
	moves *int
}

func (c movesCounted) Next(ctx context.Context) bool {
	*c.moves++
	return c.DriverCursor.Next(ctx)
}

func TestInterceptCursor(t *testing.T) {
	moves, page := 0, 0
	s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		return kv.Intercept(d, &kv.Interceptor[struct{}]{Cursor: func(c kv.DriverCursor, o kv.CursorOptions) kv.DriverCursor {
			page = o.PageSize
			return movesCounted{c, &moves}
		}})
	}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	seed(t, s, "a", "1", "b", "2")
	require.NoError(t, s.View(t.Context(), func(tx *kv.Txn) error {
		for _, err := range tx.Scan(t.Context(), kv.Range{}, &kv.ScanOptions{PageSize: 7}) {
			require.NoError(t, err)
		}
		return nil
	}))
	require.Equal(t, 3, moves)
	require.Equal(t, 7, page)
}

// TestInterceptAllocates one object for a transaction and one for a cursor.
func TestInterceptAllocates(t *testing.T) {
	ctx := t.Context()
	keys := [][]byte{[]byte("a"), []byte("b")}
	costs := func(wrap func(kv.Driver) kv.Driver) map[string]float64 {
		s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: wrap}})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		seed(t, s, "a", "1", "b", "2")
		tx := begin(t, s, &kv.TxnOptions{ReadOnly: true})
		defer tx.Rollback()
		check := func(err error) {
			if err != nil {
				panic(err)
			}
		}
		return map[string]float64{
			"get":       testing.AllocsPerRun(100, func() { check(second(tx.Get(ctx, keys[0]))) }),
			"batch get": testing.AllocsPerRun(100, func() { check(second(tx.BatchGet(ctx, keys))) }),
			"scan": testing.AllocsPerRun(100, func() {
				for _, err := range tx.Scan(ctx, kv.Range{}, nil) {
					check(err)
				}
			}),
			"watermark": testing.AllocsPerRun(100, func() { check(second(s.Watermark(ctx))) }),
			"begin":     testing.AllocsPerRun(100, func() { check(s.View(ctx, func(*kv.Txn) error { return nil })) }),
		}
	}
	bare := costs(nil)
	var total time.Duration
	var calls int
	timed := costs(func(d kv.Driver) kv.Driver {
		return kv.Intercept(d, &kv.Interceptor[time.Time]{
			Start: func(ctx context.Context, _ kv.CallInfo) (context.Context, time.Time, error) {
				return ctx, time.Now(), nil
			},
			End: func(began time.Time, _ kv.CallInfo, err error) error {
				calls++
				total += time.Since(began)
				return err
			},
		})
	})
	require.Positive(t, calls)
	require.Positive(t, total)
	bare["scan"]++
	bare["begin"]++
	require.Equal(t, bare, timed)
}

func TestCallNames(t *testing.T) {
	names := map[string]bool{}
	for c := kv.CallBegin; c <= kv.CallWaitDurable; c++ {
		require.NotContains(t, c.String(), "Call")
		names[c.String()] = true
	}
	names[kv.CallTxn.String()], names[kv.CallScan.String()] = true, true
	require.Len(t, names, 11)
	require.Equal(t, "Call(0)", kv.Call(0).String())
	require.Equal(t, "Call(99)", kv.Call(99).String())
}

// Slow commits are told of.
func ExampleIntercept() {
	ctx := context.Background()
	type began = time.Time
	watch := &kv.Interceptor[began]{
		Start: func(ctx context.Context, _ kv.CallInfo) (context.Context, began, error) {
			return ctx, time.Now(), nil
		},
		End: func(t began, c kv.CallInfo, err error) error {
			if c.Call == kv.CallCommit {
				fmt.Println(c.Call, c.Keys, "keys,", c.Bytes, "bytes, slow:", time.Since(t) > time.Minute, "error:", err)
			}
			return err
		},
	}
	store, err := memory.Open(&memory.Options{Options: kv.Options{
		Wrap: func(d kv.Driver) kv.Driver { return kv.Intercept(d, watch) },
	}})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	if err := store.Update(ctx, func(tx *kv.Txn) error { return tx.Set([]byte("greeting"), []byte("hello")) }); err != nil {
		panic(err)
	}
	// Output: commit 1 keys, 13 bytes, slow: false error: <nil>
}
