package kvtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tito-db/tito-go/kv"
)

// Harness is what the suite needs to know of a driver. Its functions are called
// from several goroutines at once.
type Harness struct {
	// Open opens a store that is fresh and empty, or ends the test. The suite
	// closes it. Files belong into t.TempDir.
	Open func(t testing.TB, o *kv.Options) *kv.Store

	// Reopen closes s, which Open or Reopen returned, unless s has been closed, and
	// opens what s holds again. It returns the driver's error. Reopen is nil for a
	// driver that keeps nothing.
	Reopen func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error)

	// Crash ends s as a crash of process and machine would, losing whatever is
	// not durable, and opens what is left. The store may be in use, about to be
	// closed, or closed; Crash closes it, so that nobody waits for it. Crash is nil
	// for a driver whose test cannot make a crash.
	Crash func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error)

	// Raw opens the engine without kv, for Benchmark. Nil measures kv alone.
	Raw func(b *testing.B) *Raw

	// Caps are the capabilities of the driver that not every driver has.
	Caps Caps

	// Remote says that a driver call is slow. Large products of small cases
	// are then sampled, always the same way, instead of run in full.
	Remote bool

	// Seed decides what clients do that run side by side. Zero draws a seed, and a
	// failure prints it.
	Seed uint64
}

// Caps declares what cases may rely on. A capability that is declared, and
// used by no case, fails Run.
type Caps struct {
	// NoSync: the store says so too, in kv.Info.NoSync.
	NoSync bool

	// Shared: several processes can have the store open at the same time. The
	// store says so too, in kv.Info.Shared.
	Shared bool

	// FakeTime: the whole driver works inside a bubble of testing/synctest: it waits
	// for nothing outside of the process. The suite then tests lifetimes in full;
	// without FakeTime it tests only lifetimes that are over at once.
	FakeTime bool

	// PromptWatermark: the watermark is at the newest commit when no read-write
	// transaction is open. Without it, it may trail.
	PromptWatermark bool
}

// Files returns a Harness for a driver that keeps a store in a directory:
// each fresh store gets a directory of its own, and Reopen opens it again.
func Files(open func(dir string, o *kv.Options) (*kv.Store, error)) Harness {
	var dirs sync.Map // *kv.Store to its directory
	openDir := func(dir string, o *kv.Options) (*kv.Store, error) {
		s, err := open(dir, o)
		if err == nil {
			dirs.Store(s, dir)
		}
		return s, err
	}
	return Harness{
		Open: func(t testing.TB, o *kv.Options) *kv.Store {
			t.Helper()
			s, err := openDir(t.TempDir(), o)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return s
		},
		Reopen: func(t testing.TB, s *kv.Store, o *kv.Options) (*kv.Store, error) {
			t.Helper()
			dir, ok := dirs.Load(s)
			if !ok {
				t.Fatal("Reopen was given a store that this harness did not open")
			}
			_ = s.Close() // it may have been closed before
			return openDir(dir.(string), o)
		},
	}
}

// Run runs the suite on the driver that h opens.
func Run(t *testing.T, h Harness) {
	t.Helper()
	m := newMatrix(h)
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					if !c.alone {
						t.Parallel()
					}
					if !m.ran(g, c) {
						t.Skipf("needs %s, which the driver does not offer", c.needs&^h.offers())
					}
					if execute(t, h, c, false).Failed() {
						t.FailNow()
					}
				})
			}
		})
	}
	t.Logf("cases by capability:\n%s", m)
	if unused := m.unused(); unused != 0 {
		t.Errorf("declared, but used by no case: %s", unused)
	}
}

// capability is a set of what cases need and drivers may lack.
type capability uint8

const (
	needNoSync capability = 1 << iota
	needFakeTime
	needPromptWatermark
	needReopen
	needCrash
	allCapabilities = 1<<iota - 1
)

func (c capability) String() string {
	var names []string
	for i, name := range []string{"NoSync", "FakeTime", "PromptWatermark", "Reopen", "Crash"} {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// offers lists what the driver declares.
func (h Harness) offers() capability {
	var c capability
	for flag, on := range map[capability]bool{
		needNoSync:          h.Caps.NoSync,
		needFakeTime:        h.Caps.FakeTime,
		needPromptWatermark: h.Caps.PromptWatermark,
		needReopen:          h.Reopen != nil,
		needCrash:           h.Crash != nil,
	} {
		if on {
			c |= flag
		}
	}
	return c
}

// matrix records which capabilities were used where.
type matrix struct {
	offers capability

	mu   sync.Mutex
	used map[string]map[capability]int // cases by group and capability
	left int                           // cases that have not run, because of -run
}

func newMatrix(h Harness) *matrix {
	m := &matrix{offers: h.offers(), used: map[string]map[capability]int{}}
	for _, g := range groups() {
		m.used[g.name] = map[capability]int{}
		m.left += len(g.cases)
	}
	return m
}

// ran notes that c has its turn, and reports whether the driver can run it.
func (m *matrix) ran(g group, c testCase) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	if c.needs&^m.offers != 0 {
		return false
	}
	m.used[g.name][c.needs]++ // needs 0: those that every driver runs
	return true
}

// uses counts a group's cases that used flag.
func (m *matrix) uses(group string, flag capability) int {
	n := 0
	for needs, cases := range m.used[group] {
		if needs&flag != 0 {
			n += cases
		}
	}
	return n
}

// unused returns the declared capabilities without a case, if all cases ran.
func (m *matrix) unused() capability {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		return 0
	}
	var unused capability
	for flag := capability(1); flag < allCapabilities; flag <<= 1 {
		n := 0
		for g := range m.used {
			n += m.uses(g, flag)
		}
		if m.offers&flag != 0 && n == 0 {
			unused |= flag
		}
	}
	return unused
}

func (m *matrix) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", "")
	for _, g := range groups() {
		fmt.Fprintf(&b, "%12s", g.name)
	}
	fmt.Fprintf(&b, "\n%-16s", "every driver")
	for _, g := range groups() {
		fmt.Fprintf(&b, "%12d", m.used[g.name][0])
	}
	for flag := capability(1); flag < allCapabilities; flag <<= 1 {
		fmt.Fprintf(&b, "\n%-16s", flag)
		if m.offers&flag == 0 {
			b.WriteString("  not offered")
			continue
		}
		for _, g := range groups() {
			fmt.Fprintf(&b, "%12d", m.uses(g.name, flag))
		}
	}
	return b.String()
}
