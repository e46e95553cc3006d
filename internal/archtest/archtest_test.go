package archtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/archtest"
)

const root = "../.."

// public are the folders whose exported API users see.
var public = []string{"kv", "kv/memory", "kv/pebble", "kv/bolt", "kv/tikv", "kvtest/kvfault", "queue", "tito"}

// light are the folders that must cost a program no storage engine.
var light = []string{"kv", "kv/memory", "kvtest", "queue", "tito"}

func load(t *testing.T) *archtest.Module {
	t.Helper()
	m, err := archtest.Load(os.DirFS(root))
	require.NoError(t, err)
	require.NotNil(t, m.Package("internal/archtest"), "the module's own folders were not found")
	return m
}

func TestThisModuleImports(t *testing.T) { requireNone(t, archtest.Imports(load(t))) }
func TestThisModuleNames(t *testing.T)   { requireNone(t, archtest.Names(load(t))) }
func TestThisModuleGlobals(t *testing.T) { requireNone(t, archtest.Globals(load(t))) }

func TestThisModuleAPI(t *testing.T) {
	m := load(t)
	dirs := present(m, public)
	if len(dirs) == 0 {
		return
	}
	pkgs, err := m.Types(root, dirs...)
	require.NoError(t, err)
	for _, pkg := range pkgs {
		requireNone(t, archtest.API(pkg, m.Path))
	}
}

// A program with tito on the in-memory store links no other storage engine.
func TestThisModuleLinks(t *testing.T) {
	m := load(t)
	if dirs := present(m, light); len(dirs) > 0 {
		linked, err := archtest.Linked(root, dirs...)
		require.NoError(t, err)
		require.Empty(t, archtest.Engines(linked))
	}
	// The same question has to find an engine where there is one.
	if dirs := present(m, []string{"kv/pebble"}); len(dirs) > 0 {
		linked, err := archtest.Linked(root, dirs...)
		require.NoError(t, err)
		require.NotEmpty(t, archtest.Engines(linked))
	}
}

// A program with tito on an embedded store links no client of TiKV, and no
// other embedded engine.
func TestThisModuleLinksOneEngine(t *testing.T) {
	for driver, engine := range map[string]string{
		"kv/memory": "",
		"kv/pebble": "github.com/cockroachdb/pebble/",
		"kv/bolt":   "go.etcd.io/bbolt",
	} {
		linked, err := archtest.Linked(root, "tito", driver)
		require.NoError(t, err)
		for _, p := range archtest.Engines(linked) {
			require.NotEmpty(t, engine, "tito with %s links %s", driver, p)
			require.True(t, strings.HasPrefix(p, engine), "tito with %s links %s", driver, p)
		}
	}
	linked, err := archtest.Linked(root, "kv/tikv")
	require.NoError(t, err)
	require.Contains(t, linked, "github.com/tikv/client-go/v2/tikv")
}

// Whoever counts calls or injects faults links no library for testing by that.
func TestThisModuleLinksNoTestingLibrary(t *testing.T) {
	linked, err := archtest.Linked(root, "kvtest/kvfault")
	require.NoError(t, err)
	m := load(t)
	for _, p := range linked {
		require.NotEqual(t, "testing", p)
		own := strings.HasPrefix(p, m.Path+"/")
		require.True(t, own || !strings.Contains(p, "."), "kvtest/kvfault links %s", p)
	}
	linked, err = archtest.Linked(root, "kvtest")
	require.NoError(t, err)
	for _, p := range []string{"testing", "github.com/stretchr/testify/require", "pgregory.net/rapid"} {
		require.Contains(t, linked, p, "the question finds them where they are")
	}
}

func present(m *archtest.Module, dirs []string) []string {
	var found []string
	for _, dir := range dirs {
		if p := m.Package(dir); p != nil && p.Importable() {
			found = append(found, dir)
		}
	}
	return found
}

func requireNone(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}
