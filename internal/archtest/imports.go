package archtest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// rule says what the code of some folders may import besides the standard
// library. A pattern is a folder, "folder/..." for it and all beneath it, or
// "..." for anything.
type rule struct {
	dir     string
	module  []string // folders of this module
	vendors []string // third-party import paths
}

// rules holds one row for each part of the module; the first that matches
// applies. In layers.go is which way they may point.
//
// Tests may import more: see testMay. Only tests and programs import a driver:
// see Imports.
var rules = []rule{ // immutable
	{dir: "kv", module: []string{"kv/internal/..."}},
	{dir: "kv/internal/...", module: []string{"kv", "kv/internal/..."}},

	// Drivers know kv and one engine each, never one another.
	{dir: "kv/memory/...", module: []string{"kv", "kv/internal/...", "kv/memory/..."}},
	{dir: "kv/pebble/...", module: []string{"kv", "kv/internal/...", "kv/pebble/..."}, vendors: []string{"github.com/cockroachdb/..."}},
	{dir: "kv/bolt/...", module: []string{"kv", "kv/internal/...", "kv/bolt/..."}, vendors: []string{"go.etcd.io/bbolt/..."}},
	{dir: "kv/tikv/tikvtest", module: []string{"kv", "kv/tikv/...", "internal/tikvserver"}, vendors: []string{"..."}},
	{dir: "kv/tikv/...", module: []string{"kv", "kv/internal/...", "kv/tikv", "kv/tikv/internal/..."}, vendors: []string{"..."}},
	{dir: "kvtest/kvfault", module: []string{"kv"}}, // programs of users may link it
	{dir: "kvtest/...", module: []string{"kv", "kvtest/..."}, vendors: []string{"..."}},

	{dir: "queue/...", module: []string{"kv", "internal/keyenc", "internal/layout", "internal/rowenc", "queue/internal/..."}},
	{dir: "tito/...", module: []string{"queue", "kv", "internal/keyenc", "internal/layout", "internal/rowenc", "tito/internal/..."}, vendors: []string{"github.com/google/uuid"}},

	// What keys and values are made of.
	{dir: "internal/keyenc"},
	{dir: "internal/rowenc"},
	{dir: "internal/layout", module: []string{"kv", "internal/keyenc"}},
	{dir: "internal/archtest"},

	// Stores and servers for tests, and the stand-in for TiKV.
	{dir: stores, module: []string{"kv", "kv/memory", "kv/pebble", "kv/bolt", "kv/tikv", "kv/tikv/tikvtest"}, vendors: []string{"..."}},
	{dir: "internal/tikvserver", module: []string{"internal/tikvcluster/standin"}, vendors: []string{"..."}},
	{dir: "internal/tikvcluster/standin"},
	{dir: "internal/tikvcluster", module: []string{"internal/tikvcluster/standin", "kv"}}, // kv for its tests

	{dir: "examples/...", module: []string{"tito", "queue", "kv", "kv/memory", "kv/pebble", "kv/bolt", "kv/tikv", "examples/..."}, vendors: []string{"..."}},

	// The tools know what every user can know, and nothing from an internal folder.
	{dir: "web/...", module: []string{"tito", "queue", "kv", "web/..."}},
	{dir: "cmd/...", module: []string{"tito", "queue", "kv", "kv/memory", "kv/pebble", "kv/bolt", "kv/tikv", "web/...", "cmd/..."}, vendors: []string{"..."}},

	// The root holds no code, only tests of the module's documents.
	{dir: ".", module: []string{"tito", "queue", "kv"}},
}

// engines are the storage engines, and the one driver that may import each.
var engines = map[string]string{ // immutable
	"github.com/cockroachdb/pebble": "kv/pebble",
	"go.etcd.io/bbolt":              "kv/bolt",
	"github.com/tikv/client-go":     "kv/tikv",
	"github.com/pingcap/kvproto":    "kv/tikv",
	"github.com/tikv/pd":            "kv/tikv",
}

// vague names say nothing of what a package holds, so they collect everything.
var vague = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "base", "shared"} // immutable

// Imports checks each import against the rules, and that only programs and
// tests choose a driver.
func Imports(m *Module) []string {
	var bad []string
	for _, p := range m.Packages {
		r := ruleFor(p.Dir)
		if r == nil {
			bad = append(bad, fmt.Sprintf("%s: no rule says what it may import; add a row to internal/archtest", p.Dir))
			continue
		}
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				target, err := strconv.Unquote(spec.Path.Value)
				if err != nil || standard(target) {
					continue // the parser has accepted it already
				}
				if why := m.refuse(r, p, f, target); why != "" {
					bad = append(bad, fmt.Sprintf("%s: %s imports %s: %s", m.at(spec), p.Dir, target, why))
				}
			}
		}
	}
	return bad
}

// Names checks that no package has a name that says nothing.
func Names(m *Module) []string {
	var bad []string
	for _, p := range m.Packages {
		for _, name := range []string{path.Base(p.Dir), p.Name} {
			if slices.Contains(vague, name) {
				bad = append(bad, fmt.Sprintf("%s: a package named %s says nothing of what it holds", p.Dir, name))
				break
			}
		}
	}
	return bad
}

// refuse returns why package p may not import target in file f, or "".
func (m *Module) refuse(r *rule, p *Package, f *File, target string) string {
	dir, own := m.local(target)
	switch {
	case own && dir == p.Dir && f.Test:
		return "" // an external test package
	case own && f.Test && testMay(dir):
		return ""
	case own && !matchAny(r.module, dir):
		return "its row allows only " + list(r.module) + " of this module"
	case own && driverOf(dir) != "" && driverOf(dir) != driverOf(p.Dir) && p.Name != "main" && p.Dir != stores && !f.Test:
		return "only programs and tests choose a driver"
	case own || f.Test:
		return ""
	}
	if home := engineHome(target); home != "" && home != driverOf(p.Dir) && (home != "kv/tikv" || p.Dir != servers) {
		return "only " + home + " may know this engine"
	}
	if !matchAny(r.vendors, target) {
		return "its row allows only " + list(r.vendors) + " of third parties"
	}
	return ""
}

// servers is the one package besides the driver that knows TiKV's client: it asks
// a server whether it is ready. Only tests may import it, and tikvtest.
const servers = "internal/tikvserver"

// stores is a part of tests, which only they may import.
const stores = "internal/teststores"

// testMay reports whether every test may import dir, whatever its row says. A
// test stays below its layer all the same: kv's tests may not import tito.
func testMay(dir string) bool {
	return match("kvtest/...", dir) || dir == servers || dir == stores || dir == "kv/tikv/tikvtest" || driverOf(dir) == dir && dir != ""
}

// driverOf returns the driver folder that dir is or lies in, or "".
func driverOf(dir string) string {
	rest, ok := strings.CutPrefix(dir, "kv/")
	name, _, _ := strings.Cut(rest, "/")
	if !ok || name == "internal" {
		return ""
	}
	return "kv/" + name
}

// engineHome returns the driver that owns a third-party package, or "".
func engineHome(importPath string) string {
	for prefix, home := range engines {
		if match(prefix+"/...", importPath) {
			return home
		}
	}
	return ""
}

func ruleFor(dir string) *rule {
	for i := range rules {
		if match(rules[i].dir, dir) {
			return &rules[i]
		}
	}
	return nil
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	root, deep := strings.CutSuffix(pattern, "/...")
	return name == root || deep && strings.HasPrefix(name, root+"/")
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}
