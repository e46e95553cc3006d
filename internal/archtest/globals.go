package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"unicode"
)

// Globals checks that no file has an init function, and that no library has a
// package-level variable, unless it is
//
//   - a sentinel: its value is a call of errors.New or fmt.Errorf;
//   - a pattern: its value is a call of regexp.MustCompile;
//   - an assertion: its name is _;
//   - declared immutable: a comment on its line, above it or above its group
//     begins with the word "immutable";
//   - in one of the folders of processWide.
//
// Programs and examples may hold immutable handles, and tests what they like,
// so their variables are not looked at. A pool or cache belongs in the value
// whose work it serves; calling it immutable would be untrue.
func Globals(m *Module) []string {
	var bad []string
	for _, p := range m.Packages {
		if processWide[p.Dir] {
			continue
		}
		library := p.Name != "main" && !match("examples/...", p.Dir)
		for _, f := range p.Files {
			for _, decl := range f.AST.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						bad = append(bad, fmt.Sprintf("%s: init functions hide an order of effects; call it by name", m.at(d)))
					}
				case *ast.GenDecl:
					if d.Tok == token.VAR && library && !f.Test {
						bad = append(bad, m.mutable(f, d)...)
					}
				}
			}
		}
	}
	return bad
}

// processWide are the folders whose subject is a global of somebody else's.
var processWide = map[string]bool{ // immutable
	"kv/tikv/internal/clientlog": true, // the logger of TiKV's client
	"kv/tikv/internal/clienttls": true, // and its TLS
}

func (m *Module) mutable(f *File, d *ast.GenDecl) []string {
	if immutableDoc(d.Doc) {
		return nil
	}
	var bad []string
	for _, s := range d.Specs {
		spec := s.(*ast.ValueSpec)
		if constantSpec(spec) || immutableDoc(spec.Doc) || m.immutableLine(f, spec) {
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: package variable %s: pass it, or say // immutable where that is true", m.at(spec), spec.Names[0].Name))
	}
	return bad
}

// constantSpec reports whether each name of the declaration is blank or has a
// value that only a known constructor of immutable values can have made.
func constantSpec(spec *ast.ValueSpec) bool {
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue
		}
		if len(spec.Values) != len(spec.Names) || !constructor(spec.Values[i]) {
			return false
		}
	}
	return true
}

func constructor(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch pkg.Name + "." + sel.Sel.Name {
	case "errors.New", "fmt.Errorf", "regexp.MustCompile":
		return true
	}
	return false
}

// immutableLine finds the comment on the line where a declaration begins: after
// the opening brace of a long literal it belongs to no node of the tree.
func (m *Module) immutableLine(f *File, spec *ast.ValueSpec) bool {
	line := m.fset.Position(spec.Pos()).Line
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if m.fset.Position(c.Pos()).Line == line && immutable(c) {
				return true
			}
		}
	}
	return false
}

func immutableDoc(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if immutable(c) {
			return true
		}
	}
	return false
}

func immutable(c *ast.Comment) bool {
	text, ok := strings.CutPrefix(c.Text, "//")
	if !ok {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "immutable")
	return ok && (rest == "" || !unicode.IsLetter(rune(rest[0])))
}
