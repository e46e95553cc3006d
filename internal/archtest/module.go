package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Module is the parsed source of a Go module, nested modules left out.
type Module struct {
	Path     string     // from go.mod
	Packages []*Package // in order of Dir

	fset *token.FileSet
}

// Package is one folder of Go files, its tests included.
type Package struct {
	Dir   string // slash-separated, relative to the module; "." is the root
	Name  string // without the _test suffix of an external test package
	Files []*File
}

// File is one parsed Go file. Files of every platform and build tag are here.
type File struct {
	Test bool
	AST  *ast.File
}

// Load parses every Go file of the module whose go.mod is at the root of fsys.
// Like the go command it ignores testdata, vendor, nested modules, and folders
// and files that begin with a dot or an underscore.
//
// It reads through fsys alone: with os.DirFS the go command then sees which
// files a cached test result depends on.
func Load(fsys fs.FS) (*Module, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	m := &Module{Path: modulePath(string(mod)), fset: token.NewFileSet()}
	if m.Path == "" {
		return nil, fmt.Errorf("archtest: go.mod names no module")
	}
	byDir := map[string]*Package{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case ignored(fsys, name, entry):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		return m.parse(fsys, name, byDir)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range byDir {
		m.Packages = append(m.Packages, p)
	}
	sort.Slice(m.Packages, func(i, j int) bool { return m.Packages[i].Dir < m.Packages[j].Dir })
	return m, nil
}

// Package returns the package in dir, or nil.
func (m *Module) Package(dir string) *Package {
	for _, p := range m.Packages {
		if p.Dir == dir {
			return p
		}
	}
	return nil
}

// Importable reports whether p has code besides tests and is not a program.
func (p *Package) Importable() bool {
	for _, f := range p.Files {
		if !f.Test {
			return p.Name != "main"
		}
	}
	return false
}

func (m *Module) parse(fsys fs.FS, name string, byDir map[string]*Package) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	tree, err := parser.ParseFile(m.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := byDir[dir]
	if p == nil {
		p = &Package{Dir: dir}
		byDir[dir] = p
	}
	test := strings.HasSuffix(name, "_test.go")
	p.Files = append(p.Files, &File{Test: test, AST: tree})
	if !test {
		p.Name = tree.Name.Name
	} else if p.Name == "" {
		p.Name = strings.TrimSuffix(tree.Name.Name, "_test")
	}
	return nil
}

// at formats a position for a violation: file:line.
func (m *Module) at(n ast.Node) string {
	pos := m.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}

// local returns the folder of an import path inside the module.
func (m *Module) local(importPath string) (dir string, ok bool) {
	if importPath == m.Path {
		return ".", true
	}
	return strings.CutPrefix(importPath, m.Path+"/")
}

// standard reports whether an import path is the standard library's: the go
// command reserves paths without a dot in their first element for it.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func ignored(fsys fs.FS, name string, entry fs.DirEntry) bool {
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	if !entry.IsDir() {
		return false
	}
	if base == "testdata" || base == "vendor" {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}

func modulePath(mod string) string {
	for line := range strings.Lines(mod) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "module" {
			return fields[1]
		}
	}
	return ""
}
