package archtest

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// API checks that what pkg exports mentions types of the standard library and of
// the module named modulePath only. It follows the module's own types wherever
// they lead, unexported ones too: a method that returns an unexported struct
// shows that struct's exported fields to callers.
func API(pkg *types.Package, modulePath string) []string {
	w := &apiWalk{module: modulePath, seen: map[types.Object]bool{}}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if obj := scope.Lookup(name); obj.Exported() {
			w.visit(obj.Type(), pkg.Name()+"."+name)
		}
	}
	slices.Sort(w.bad)
	return slices.Compact(w.bad)
}

type apiWalk struct {
	module string
	seen   map[types.Object]bool // type names whose definition was walked
	bad    []string
}

// visit walks the types that t mentions; where names the place for a violation.
func (w *apiWalk) visit(t types.Type, where string) {
	switch t := t.(type) {
	case *types.Alias:
		w.args(t.TypeArgs(), where)
		w.params(t.TypeParams(), where)
		if w.own(t.Obj(), where) {
			w.visit(t.Rhs(), where)
		}
	case *types.Named:
		w.args(t.TypeArgs(), where)
		if w.own(t.Obj(), where) {
			w.define(t.Origin())
		}
	case interface{ Elem() types.Type }: // pointer, slice, array, channel, map
		if m, ok := t.(*types.Map); ok {
			w.visit(m.Key(), where)
		}
		w.visit(t.Elem(), where)
	case *types.Signature:
		w.params(t.TypeParams(), where)
		w.tuple(t.Params(), where)
		w.tuple(t.Results(), where)
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				w.visit(f.Type(), where+"."+f.Name())
			}
		}
	case *types.Interface:
		for e := range t.EmbeddedTypes() {
			w.visit(e, where)
		}
		for f := range t.ExplicitMethods() {
			if f.Exported() {
				w.visit(f.Type(), where+"."+f.Name())
			}
		}
	case *types.Union:
		for term := range t.Terms() {
			w.visit(term.Type(), where)
		}
	case *types.Basic, *types.TypeParam: // a parameter's constraint is walked where it is declared
	default:
		w.bad = append(w.bad, fmt.Sprintf("%s: archtest cannot judge a %T", where, t))
	}
}

// define walks the definition of one of the module's own types, once.
func (w *apiWalk) define(t *types.Named) {
	obj := t.Obj()
	if w.seen[obj] {
		return
	}
	w.seen[obj] = true
	where := obj.Pkg().Name() + "." + obj.Name()
	w.params(t.TypeParams(), where)
	w.visit(t.Underlying(), where)
	if types.IsInterface(t) {
		return
	}
	for sel := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		if f := sel.Obj(); f.Exported() {
			w.visit(f.Type(), where+"."+f.Name())
		}
	}
}

// own reports whether the name is the module's, and records a third party's.
func (w *apiWalk) own(obj *types.TypeName, where string) bool {
	if obj.Pkg() == nil {
		return false // error, any, comparable
	}
	importPath := obj.Pkg().Path()
	if importPath == w.module || strings.HasPrefix(importPath, w.module+"/") {
		return true
	}
	if !standard(importPath) {
		w.bad = append(w.bad, fmt.Sprintf("%s mentions %s.%s", where, importPath, obj.Name()))
	}
	return false
}

func (w *apiWalk) tuple(t *types.Tuple, where string) {
	for v := range t.Variables() {
		w.visit(v.Type(), where)
	}
}

func (w *apiWalk) args(l *types.TypeList, where string) {
	for t := range l.Types() {
		w.visit(t, where)
	}
}

func (w *apiWalk) params(l *types.TypeParamList, where string) {
	for p := range l.TypeParams() {
		w.visit(p.Constraint(), where)
	}
}
