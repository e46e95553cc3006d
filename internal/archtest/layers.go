package archtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// layer is a part of the module. Its packages may import one another and those of
// layers before it, as far as their rows in rules allow, and nothing after it.
type layer struct {
	name string
	dirs []string // patterns, as in rules
}

// layers is the module from the bottom to the top. A package belongs to the first
// layer that one of its patterns matches.
var layers = []layer{ // immutable
	{"bytes", []string{"internal/keyenc", "internal/rowenc", "kv/internal/cowmap"}},
	{"store", []string{"kv"}},
	{"layout", []string{"internal/layout", "kv/internal/..."}},
	{"drivers", []string{"kv/memory/...", "kv/pebble/...", "kv/bolt/...", "kv/tikv/...", "kvtest/...", stores, servers, "internal/tikvcluster/...", "internal/archtest"}},
	{"queue", []string{"queue/..."}},
	{"tito", []string{"tito/..."}},
	{"programs", []string{"web/...", "cmd/...", "examples/...", "."}},
}

// graph is which of the module's packages each one imports, in order, tests apart.
type graph map[string][]string

func (m *Module) graph() graph {
	g := graph{}
	for _, p := range m.Packages {
		imports := []string{}
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			for _, spec := range f.AST.Imports {
				target, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					continue // the parser has accepted it already
				}
				if dir, own := m.local(target); own {
					imports = append(imports, dir)
				}
			}
		}
		slices.Sort(imports)
		g[p.Dir] = slices.Compact(imports)
	}
	return g
}

// Layers checks that every package belongs to a layer and that no import, tests
// apart, leads from a layer to one above it.
func Layers(m *Module) []string {
	g := m.graph()
	var bad []string
	for _, p := range m.Packages {
		from := layerOf(p.Dir)
		if from < 0 {
			bad = append(bad, fmt.Sprintf("%s: belongs to no layer; add it to one in internal/archtest", p.Dir))
			continue
		}
		for _, target := range g[p.Dir] {
			if to := layerOf(target); to > from {
				bad = append(bad, fmt.Sprintf("%s imports %s: an arrow up, from %s to %s", p.Dir, target, layers[from].name, layers[to].name))
			}
		}
	}
	return bad
}

// Circles checks that no package imports itself by way of others, tests apart. Each
// circle is reported once, from its first package in alphabetical order.
func Circles(m *Module) []string {
	g := m.graph()
	var bad []string
	var path []string
	done := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		if at := slices.Index(path, dir); at >= 0 {
			bad = append(bad, "circle of imports: "+strings.Join(append(slices.Clone(path[at:]), dir), " -> "))
			return
		}
		if done[dir] {
			return
		}
		path = append(path, dir)
		for _, target := range g[dir] {
			visit(target)
		}
		path = path[:len(path)-1]
		done[dir] = true
	}
	for _, p := range m.Packages {
		visit(p.Dir)
	}
	return bad
}

// Drawing shows the layers as text, the highest first, and beneath each its packages
// with what they import.
func Drawing(m *Module) string {
	g := m.graph()
	var b strings.Builder
	for i, l := range slices.Backward(layers) {
		fmt.Fprintf(&b, "%s\n", l.name)
		for _, p := range m.Packages {
			if layerOf(p.Dir) == i && (p.Importable() || p.Name == "main") {
				fmt.Fprintf(&b, "    %-30s %s\n", p.Dir, strings.Join(g[p.Dir], " "))
			}
		}
	}
	return b.String()
}

// layerOf returns the index of the layer that dir belongs to, or -1.
func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(l layer) bool { return matchAny(l.dirs, dir) })
}
