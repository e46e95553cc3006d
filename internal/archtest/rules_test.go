package archtest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/archtest"
)

// invent builds a module from file names and sources.
func invent(t *testing.T, files map[string]string) *archtest.Module {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module ex.org/m\n\ngo 1.26\n")}}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	m, err := archtest.Load(fsys)
	require.NoError(t, err)
	return m
}

// source is a file of package name with the given imports; those that begin
// with "./" are of the invented module.
func source(name string, imports ...string) string {
	var b strings.Builder
	b.WriteString("package " + name + "\n")
	for _, path := range imports {
		if rest, ok := strings.CutPrefix(path, "./"); ok {
			path = "ex.org/m/" + rest
		}
		b.WriteString("import _ \"" + path + "\"\n")
	}
	return b.String()
}

func TestImports(t *testing.T) {
	tests := []struct {
		file, pkg string
		target    string
		refused   string // part of the violation; empty: allowed
	}{
		{"kv/a.go", "kv", "context", ""},
		{"kv/a.go", "kv", "unsafe", ""},
		{"kv/a.go", "kv", "./kv/internal/cow", ""},
		{"kv/a.go", "kv", "github.com/google/uuid", "third parties"},
		{"kv/a.go", "kv", "github.com/tidwall/btree", "third parties"},
		{"kv/a.go", "kv", "golang.org/x/sync/errgroup", "third parties"},
		{"kv/a.go", "kv", "./kv/memory", "of this module"},
		{"kv/a.go", "kv", "./tito", "of this module"},
		{"kv/a.go", "kv", "./internal/keyenc", "of this module"},
		{"kv/a_windows.go", "kv", "./tito", "of this module"},
		{"kv/internal/cow/a.go", "cow", "./kv", ""},
		{"kv/internal/cow/a.go", "cow", "./kv/memory", "of this module"},
		{"kv/internal/cow/a.go", "cow", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},

		{"kv/memory/a.go", "memory", "./kv", ""},
		{"kv/memory/a.go", "memory", "./kv/internal/cow", ""},
		{"kv/memory/a.go", "memory", "./kv/pebble", "of this module"},
		{"kv/memory/a.go", "memory", "./tito", "of this module"},
		{"kv/memory/a.go", "memory", "./queue", "of this module"},
		{"kv/memory/a.go", "memory", "./internal/keyenc", "of this module"},
		{"kv/memory/a.go", "memory", "go.etcd.io/bbolt", "only kv/bolt"},
		{"kv/memory/a.go", "memory", "github.com/google/uuid", "third parties"},
		{"kv/pebble/a.go", "pebble", "github.com/cockroachdb/pebble/v2", ""},
		{"kv/pebble/a.go", "pebble", "github.com/cockroachdb/pebble/v2/vfs", ""},
		{"kv/pebble/a.go", "pebble", "./kv/memory", "of this module"},
		{"kv/pebble/a.go", "pebble", "./kvtest", "of this module"},
		{"kv/pebble/a.go", "pebble", "github.com/tikv/client-go/v2/txnkv", "only kv/tikv"},
		{"kv/bolt/a.go", "bolt", "go.etcd.io/bbolt", ""},
		{"kv/bolt/a.go", "bolt", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},
		{"kv/tikv/a.go", "tikv", "github.com/tikv/client-go/v2/txnkv", ""},
		{"kv/tikv/internal/gc/a.go", "gc", "github.com/tikv/client-go/v2/txnkv", ""},
		{"kv/tikv/a.go", "tikv", "./internal/keyenc", "of this module"},
		{"kv/other/a.go", "other", "context", "no rule"},

		{"kvtest/a.go", "kvtest", "./kv", ""},
		{"kvtest/a.go", "kvtest", "github.com/stretchr/testify/require", ""},
		{"kvtest/a.go", "kvtest", "./kv/memory", "of this module"},
		{"kvtest/a.go", "kvtest", "./tito", "of this module"},
		{"kvtest/a.go", "kvtest", "./internal/keyenc", "of this module"},
		{"kvtest/a.go", "kvtest", "./kv/internal/cow", "of this module"},
		{"kvtest/a.go", "kvtest", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},

		{"kvtest/a.go", "kvtest", "./kvtest/kvfault", ""},
		{"kvtest/kvfault/a.go", "kvfault", "./kv", ""},
		{"kvtest/kvfault/a.go", "kvfault", "./kvtest", "of this module"},
		{"kvtest/kvfault/a.go", "kvfault", "./kv/memory", "of this module"},
		{"kvtest/kvfault/a.go", "kvfault", "github.com/stretchr/testify/require", "third parties"},
		{"kvtest/kvfault/a_test.go", "kvfault_test", "github.com/stretchr/testify/require", ""},
		{"tito/a_test.go", "tito_test", "./kvtest/kvfault", ""},

		{"queue/a.go", "queue", "./kv", ""},
		{"queue/a.go", "queue", "./internal/keyenc", ""},
		{"queue/a.go", "queue", "./tito", "of this module"},
		{"queue/a.go", "queue", "./kv/memory", "of this module"},
		{"queue/a.go", "queue", "./kv/internal/cow", "of this module"},
		{"tito/a.go", "tito", "./queue", ""},
		{"tito/a.go", "tito", "./kv", ""},
		{"tito/a.go", "tito", "./internal/keyenc", ""},
		{"tito/a.go", "tito", "./tito/internal/plan", ""},
		{"tito/a.go", "tito", "./kv/memory", "of this module"},
		{"tito/a.go", "tito", "./kvtest", "of this module"},
		{"tito/a.go", "tito", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},
		{"queue/a.go", "queue", "./internal/layout", ""},
		{"tito/a.go", "tito", "./internal/rowenc", ""},
		{"internal/rowenc/a.go", "rowenc", "./kv", "of this module"},
		{"internal/layout/a.go", "layout", "./kv", ""},
		{"internal/layout/a.go", "layout", "./tito", "of this module"},
		{"kv/a.go", "kv", "./internal/layout", "of this module"},
		{"internal/keyenc/a.go", "keyenc", "./kv", "of this module"},
		{"internal/keyenc/a.go", "keyenc", "github.com/google/uuid", "third parties"},

		{"internal/tikvserver/a.go", "tikvserver", "github.com/tikv/client-go/v2/txnkv", ""},
		{"internal/tikvserver/a.go", "tikvserver", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},
		{"internal/tikvserver/a.go", "tikvserver", "./kv", "of this module"},
		{"internal/teststores/a.go", "teststores", "./kv/pebble", ""},
		{"internal/teststores/a.go", "teststores", "./kv/tikv/tikvtest", ""},
		{"internal/teststores/a.go", "teststores", "./tito", "of this module"},
		{"tito/a.go", "tito", "./internal/teststores", "of this module"},
		{"tito/a_test.go", "tito_test", "./internal/teststores", ""},
		{"internal/tikvcluster/standin/a.go", "standin", "github.com/tikv/client-go/v2/txnkv", "only kv/tikv"},
		{"kv/tikv/a.go", "tikv", "./internal/tikvserver", "of this module"},
		{"kv/tikv/a.go", "tikv", "./kv/tikv/tikvtest", "of this module"},
		{"kv/tikv/tikvtest/a.go", "tikvtest", "./internal/tikvserver", ""},
		{"kv/tikv/tikvtest/a.go", "tikvtest", "./kvtest", "of this module"},

		// The tools keep to exported API.
		{"cmd/tito/main.go", "main", "./tito", ""},
		{"cmd/tito/main.go", "main", "./kv/pebble", ""},
		{"cmd/tito/main.go", "main", "./web", ""},
		{"cmd/tito/main.go", "main", "./tito/internal/record", "of this module"},
		{"cmd/tito/main.go", "main", "./queue/internal/eventlog", "of this module"},
		{"cmd/tito/main.go", "main", "./kv/internal/settings", "of this module"},
		{"cmd/tito/main.go", "main", "./internal/layout", "of this module"},
		{"cmd/tito/main.go", "main", "./kvtest", "of this module"},
		{"web/a.go", "web", "./tito", ""},
		{"web/a.go", "web", "./queue", ""},
		{"web/a.go", "web", "./kv/memory", "of this module"},
		{"web/a.go", "web", "./tito/internal/scan", "of this module"},
		{"web/a.go", "web", "./internal/layout", "of this module"},
		{"web/a.go", "web", "./cmd/tito/text", "of this module"},
		{"web/a.go", "web", "github.com/google/uuid", "third parties"},
		{"tito/a.go", "tito", "./web", "of this module"},

		// Tests choose a driver, but stay below their layer.
		{"kv/a_test.go", "kv_test", "./kv", ""},
		{"kv/a_test.go", "kv_test", "./kv/memory", ""},
		{"kv/a_test.go", "kv_test", "./kvtest", ""},
		{"kv/a_test.go", "kv_test", "./tito", "of this module"},
		{"kv/a_test.go", "kv_test", "./kv/pebble/internal/wal", "of this module"},
		{"kv/memory/a_test.go", "memory_test", "./kvtest", ""},
		{"kv/tikv/a_test.go", "tikv_test", "./internal/tikvserver", ""},
		{"kv/tikv/a_test.go", "tikv_test", "./kv/tikv/tikvtest", ""},
		{"tito/a_test.go", "tito_test", "./kv/tikv/tikvtest", ""},
		{"tito/a.go", "tito", "./kv/tikv/tikvtest", "of this module"},
		{"tito/a_internal_test.go", "tito", "./kv/pebble", ""},
		{"tito/a_test.go", "tito_test", "pgregory.net/rapid", ""},
		{"queue/a_test.go", "queue_test", "./tito", "of this module"},
		{"readme_test.go", "m_test", "./tito", ""},

		// Only a program's main chooses a driver.
		{"examples/crud/main.go", "main", "./tito", ""},
		{"examples/crud/main.go", "main", "./kv/memory", ""},
		{"examples/crud/main.go", "main", "github.com/schollz/progressbar/v3", ""},
		{"examples/crud/main.go", "main", "./internal/keyenc", "of this module"},
		{"examples/crud/main.go", "main", "./kv/internal/cow", "of this module"},
		{"examples/crud/main.go", "main", "github.com/cockroachdb/pebble/v2", "only kv/pebble"},
		{"examples/crud/model/a.go", "model", "./kv/memory", "only programs and tests"},
		{"cmd/tito/main.go", "main", "./kv/pebble", ""},

		{"stray/a.go", "stray", "context", "no rule"},
		{"internal/stray/a.go", "stray", "context", "no rule"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.target, func(t *testing.T) {
			m := invent(t, map[string]string{tt.file: source(tt.pkg, tt.target)})
			bad := archtest.Imports(m)
			if tt.refused == "" {
				require.Empty(t, bad)
				return
			}
			require.Len(t, bad, 1)
			require.Contains(t, bad[0], tt.refused)
		})
	}
}

// A graph with several faults reports each of them, with its place.
func TestImportsReportsAll(t *testing.T) {
	m := invent(t, map[string]string{
		"kv/kv.go":         source("kv"),
		"kv/store.go":      source("kv", "fmt", "./queue", "./tito"),
		"kv/memory/mem.go": source("memory", "./kv", "./kv/bolt"),
		"queue/queue.go":   source("queue", "./kv", "./internal/keyenc"),
	})
	bad := archtest.Imports(m)
	require.Len(t, bad, 3)
	require.Contains(t, bad[0], "kv/store.go:3: kv imports ex.org/m/queue")
	require.Contains(t, bad[1], "kv/store.go:4: kv imports ex.org/m/tito")
	require.Contains(t, bad[2], "kv/memory/mem.go:3: kv/memory imports ex.org/m/kv/bolt")
}

func TestLoadIgnores(t *testing.T) {
	stray := source("stray", "./tito")
	m := invent(t, map[string]string{
		"kv/a.go":              source("kv"),
		"kv/_old.go":           stray,
		"kv/.#a.go":            "not Go",
		"kv/testdata/a.go":     "not Go",
		"_scratch/a.go":        stray,
		".cache/a.go":          stray,
		"vendor/ex.org/v/a.go": stray,
		"bench/go.mod":         "module ex.org/m/bench",
		"bench/a.go":           stray,
		"bench/deeper/a.go":    stray,
	})
	require.Len(t, m.Packages, 1)
	require.Equal(t, "kv", m.Packages[0].Dir)
	require.Len(t, m.Packages[0].Files, 1)
}

func TestLoadRefuses(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"no go.mod":     {},
		"no module":     {"go.mod": {Data: []byte("go 1.26\n")}},
		"not Go source": {"go.mod": {Data: []byte("module m\n")}, "kv/a.go": {Data: []byte("package")}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := archtest.Load(fsys)
			require.Error(t, err)
		})
	}
}

func TestNames(t *testing.T) {
	for _, dir := range []string{"util", "tito/internal/types", "kv/internal/common", "internal/helpers"} {
		m := invent(t, map[string]string{dir + "/a.go": source("fine")})
		require.Len(t, archtest.Names(m), 1, dir)
	}
	require.Len(t, archtest.Names(invent(t, map[string]string{"kv/a.go": source("util")})), 1)
	require.Len(t, archtest.Names(invent(t, map[string]string{"kv/a_test.go": source("util_test")})), 1)
	require.Empty(t, archtest.Names(invent(t, map[string]string{"kv/a.go": source("kv"), "kv/internal/cow/a.go": source("cow")})))
}

func TestGlobals(t *testing.T) {
	tests := []struct {
		name, file, pkg, decl string
		refused               int
	}{
		{"sentinel", "kv/a.go", "kv", `var ErrX = errors.New("kv: x")`, 0},
		{"sentinels", "kv/a.go", "kv", "var (\n\tErrX = errors.New(\"x\")\n\tErrY = fmt.Errorf(\"%w\", ErrX)\n)", 0},
		{"pattern", "kv/a.go", "kv", "var re = regexp.MustCompile(`x`)", 0},
		{"assertion", "kv/a.go", "kv", "var _ io.Reader = (*T)(nil)", 0},
		{"comment on the line", "kv/a.go", "kv", "var m = map[string]int{} // immutable", 0},
		{"comment with a reason", "kv/a.go", "kv", "var m = map[string]int{} // immutable: filled above", 0},
		{"comment after a brace", "kv/a.go", "kv", "var m = []int{ // immutable\n\t1,\n}", 0},
		{"comment above", "kv/a.go", "kv", "// m is a table.\n//\n// immutable\nvar m = 1", 0},
		{"comment above in a group", "kv/a.go", "kv", "var (\n\t// immutable\n\tm = 1\n)", 0},
		{"comment above a group", "kv/a.go", "kv", "// immutable\nvar (\n\tm = 1\n\tn = 2\n)", 0},
		{"constant", "kv/a.go", "kv", "const x = 1", 0},
		{"local", "kv/a.go", "kv", "func f() { var x int; _ = x }", 0},
		{"method init", "kv/a.go", "kv", "func (t *T) init() {}", 0},
		{"test", "kv/a_test.go", "kv", "var x int", 0},
		{"program", "cmd/tito/main.go", "main", "var x int", 0},
		{"example library", "examples/blog/model/a.go", "model", "var Users = tito.Define()", 0},

		{"plain", "kv/a.go", "kv", "var x int", 1},
		{"initialised", "kv/a.go", "kv", "var x = 1", 1},
		{"pool", "kv/a.go", "kv", "var p sync.Pool", 1},
		{"constructed", "kv/a.go", "kv", "var r = rand.New(nil)", 1},
		{"conversion", "kv/a.go", "kv", "var e = error(nil)", 1},
		{"method of a value", "kv/a.go", "kv", "var e = a.b.New()", 1},
		{"second in a group", "kv/a.go", "kv", "var (\n\tErrX = errors.New(\"x\")\n\tn = 2\n)", 1},
		{"comment of a neighbour", "kv/a.go", "kv", "var (\n\tm = 1 // immutable\n\tn = 2\n)", 1},
		{"second on a line", "kv/a.go", "kv", `var ErrX, n = errors.New("x"), 2`, 1},
		{"several from one call", "kv/a.go", "kv", "var a, b = errors.New()", 1},
		{"other word", "kv/a.go", "kv", "var x = 1 // immutableish", 1},
		{"denied", "kv/a.go", "kv", "var x = 1 // not immutable", 1},
		{"library in internal", "tito/internal/plan/a.go", "plan", "var x int", 1},
		{"init", "kv/a.go", "kv", "func init() {}", 1},
		{"init in a program", "cmd/tito/main.go", "main", "func init() {}", 1},
		{"init in a test", "kv/a_test.go", "kv", "func init() {}", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := invent(t, map[string]string{tt.file: "package " + tt.pkg + "\n\n" + tt.decl + "\n"})
			require.Len(t, archtest.Globals(m), tt.refused)
		})
	}
}

func TestEngines(t *testing.T) {
	linked := []string{
		"context",
		"ex.org/m/kv/pebble",
		"github.com/cockroachdb/errors",
		"github.com/cockroachdb/pebble/v2",
		"github.com/cockroachdb/pebble/v2/internal/base",
		"github.com/cockroachdb/pebbletool",
		"go.etcd.io/bbolt",
		"github.com/tikv/client-go/v2/txnkv",
	}
	require.Equal(t, []string{linked[3], linked[4], linked[6], linked[7]}, archtest.Engines(linked))
	require.Empty(t, archtest.Engines(linked[:3]))
}

func TestLinkedReportsFailure(t *testing.T) {
	_, err := archtest.Linked(root, "no/such/folder")
	require.ErrorContains(t, err, "no/such/folder")
}
