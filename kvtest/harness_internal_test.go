package kvtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

func TestMatrix(t *testing.T) {
	all := group{"Functional", []testCase{{needs: 0}, {needs: needNoSync}, {needs: needReopen}, {needs: needCrash | needNoSync}}}
	m := newMatrix(Harness{Caps: Caps{NoSync: true, FakeTime: true}})
	m.left = len(all.cases)
	ran := []bool{}
	for _, c := range all.cases[:3] {
		ran = append(ran, m.ran(all, c))
	}
	require.Equal(t, []bool{true, true, false}, ran)
	require.Zero(t, m.unused(), "not all cases have run, so nothing is known")
	require.False(t, m.ran(all, all.cases[3]))
	require.Equal(t, needFakeTime, m.unused(), "declared and not used")

	text := strings.Join(strings.Fields(m.String()), " ")
	require.Contains(t, text, "every driver 1 0 0")
	require.Contains(t, text, "NoSync 1 0 0")
	require.Contains(t, text, "FakeTime 0 0 0")
	require.Contains(t, text, "Reopen not offered")
	require.Equal(t, "NoSync+Crash", (needCrash | needNoSync).String())
}

// TestCapabilitiesAreUsed: each capability that can be declared has cases.
func TestCapabilitiesAreUsed(t *testing.T) {
	var used capability
	names := map[string]bool{}
	for _, g := range groups() {
		for _, c := range g.cases {
			used |= c.needs
			name := g.name + "/" + c.name
			require.False(t, names[name], "two cases are called %s", name)
			names[name] = true
		}
	}
	require.Equal(t, capability(allCapabilities), used)
}

// TestRecorder: each way to fail is noticed, and clean-up runs all the same.
func TestRecorder(t *testing.T) {
	for name, c := range map[string]struct {
		run    func(f *fixture)
		failed bool
	}{
		"passes":                {func(*fixture) {}, false},
		"Errorf":                {func(f *fixture) { f.Errorf("x") }, true},
		"Error":                 {func(f *fixture) { f.Error("x") }, true},
		"Fail":                  {func(f *fixture) { f.Fail() }, true},
		"FailNow":               {func(f *fixture) { f.FailNow() }, true},
		"Fatal":                 {func(f *fixture) { f.Fatal("x") }, true},
		"require":               {func(f *fixture) { require.True(f, false) }, true},
		"panic":                 {func(*fixture) { panic("x") }, true},
		"skip":                  {func(f *fixture) { f.Skip("x") }, true},
		"fails in Cleanup":      {func(f *fixture) { f.Cleanup(func() { f.FailNow() }) }, true},
		"panics in Cleanup":     {func(f *fixture) { f.Cleanup(func() { panic("x") }) }, true},
		"shows a key":           {func(f *fixture) { f.silent(&showing{key("a")}) }, true},
		"leaves a Txn open":     {func(f *fixture) { _, err := f.h.Open(f, &kv.Options{}).Begin(f.ctx, nil); f.ok(err) }, false},
		"leaves a cursor open":  {func(f *fixture) { _, err := f.begin().Cursor(f.ctx, kv.Range{}, nil); f.ok(err) }, false},
		"leaves a driver's txn": {func(f *fixture) { (&guard{t: f, Driver: leaky(f)}).leak() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			cleaned := false
			r := execute(t, lasting(), testCase{run: func(f *fixture) {
				f.Cleanup(func() { cleaned = true })
				c.run(f)
			}}, true)
			require.Equal(t, c.failed, r.Failed(), r.messages)
			require.True(t, cleaned)
		})
	}
}

type showing struct{ key []byte }

func (e *showing) Error() string { return "bad key " + string(e.key) }

// leaky returns a driver that is of no store.
func leaky(t testing.TB) kv.Driver {
	var d kv.Driver
	_, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(inner kv.Driver) kv.Driver { d = inner; return d }}})
	require.NoError(t, err)
	return d
}

func (g *guard) leak() {
	_, err := g.Begin(g.t.Context(), kv.BeginOptions{})
	require.NoError(g.t, err)
	require.NoError(g.t, g.Close())
}

// TestGuard: kv misusing a driver is noticed.
func TestGuard(t *testing.T) {
	misuses := map[string]func(t testing.TB, x kv.DriverTxn){
		"Release twice":     func(_ testing.TB, x kv.DriverTxn) { x.Release(); x.Release() },
		"Get after Release": func(t testing.TB, x kv.DriverTxn) { x.Release(); _, _ = x.Get(t.Context(), []byte("a")) },
		"Release with a cursor": func(t testing.TB, x kv.DriverTxn) {
			_, _ = x.Cursor(t.Context(), kv.Range{}, kv.CursorOptions{})
			x.Release()
		},
		"cursor after Close": func(t testing.TB, x kv.DriverTxn) {
			c, _ := x.Cursor(t.Context(), kv.Range{}, kv.CursorOptions{})
			c.Close()
			c.Next(t.Context())
		},
		"Commit twice": func(t testing.TB, x kv.DriverTxn) {
			for range 2 {
				_, _ = x.Commit(t.Context(), &kv.Commit{})
			}
		},
		"Commit unsorted": func(t testing.TB, x kv.DriverTxn) {
			_, _ = x.Commit(t.Context(), &kv.Commit{Writes: []kv.Write{{Key: []byte("b")}, {Key: []byte("a")}}})
		},
		"Commit of a key written and locked": func(t testing.TB, x kv.DriverTxn) {
			_, _ = x.Commit(t.Context(), &kv.Commit{Writes: []kv.Write{{Key: []byte("b")}}, Locks: [][]byte{[]byte("a"), []byte("b")}})
		},
	}
	for name, misuse := range misuses {
		t.Run(name, func(t *testing.T) {
			r := execute(t, lasting(), testCase{run: func(f *fixture) {
				x, err := (&guard{t: f, Driver: leaky(f)}).Begin(f.ctx, kv.BeginOptions{})
				f.ok(err)
				misuse(f, x)
			}}, true)
			require.True(t, r.Failed())
		})
	}
}

func TestFiles(t *testing.T) {
	inner := lasting()
	opened := map[string]*kv.Store{} // the stores of directories
	h := Files(func(dir string, o *kv.Options) (*kv.Store, error) {
		require.DirExists(t, dir)
		if s, ok := opened[dir]; ok {
			again, err := inner.Reopen(t, s, o)
			if err == nil {
				opened[dir] = again
			}
			return again, err
		}
		opened[dir] = inner.Open(t, o)
		return opened[dir], nil
	})
	for _, c := range reopenCases()[:3] {
		r := execute(t, h, c, true)
		require.False(t, r.Failed(), "%s: %s", c.name, r.messages)
	}
	require.GreaterOrEqual(t, len(opened), 3, "each store has its own")
}
