package archtest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/archtest"
)

// checked compiles small packages against one another, without the go command.
type checked map[string]*types.Package

func (c checked) Import(path string) (*types.Package, error) {
	if pkg := c[path]; pkg != nil {
		return pkg, nil
	}
	return nil, fmt.Errorf("no package %s", path)
}

func (c checked) add(t *testing.T, path, src string) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path+".go", src, 0)
	require.NoError(t, err)
	conf := types.Config{Importer: c}
	pkg, err := conf.Check(path, fset, []*ast.File{file}, nil)
	require.NoError(t, err)
	c[path] = pkg
	return pkg
}

func TestAPI(t *testing.T) {
	tests := []struct {
		name, decl string
		want       []string
	}{
		{"standard library", "func F(s std.S, e error, a any) *std.S { return nil }", nil},
		{"own module", "func F(s inner.Clean) {}", nil},
		{"own root package", "func F(s m.R) {}", nil},
		{"unexported function", "func f(x x.T) {}", nil},
		{"unexported field", "type A struct{ b x.T }", nil},
		{"unexported method", "type A struct{}\n\nfunc (A) f(x.T) {}", nil},
		{"unexported interface method", "type A interface{ f(x.T) }", nil},
		{"recursive type", "type A struct{ Next *A; M map[string][]A }", nil},
		{"recursive generic type", "type A[T any] struct{ Next *A[T] }", nil},

		{"parameter", "func F(x x.T) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"result", "func F() (int, *x.T) { return 0, nil }", []string{"kv.F mentions ex.org/x.T"}},
		{"variadic", "func F(x ...x.T) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"callback", "func F(f func(chan x.T)) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"map key", "func F(map[x.T]int) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"map value", "func F(map[int]x.T) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"array", "func F([2]x.T) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"constant", "const C = x.C", []string{"kv.C mentions ex.org/x.N"}},
		{"variable", "var V x.I", []string{"kv.V mentions ex.org/x.I"}},
		{"field", "type A struct{ B x.T }", []string{"kv.A.B mentions ex.org/x.T"}},
		{"method", "type A struct{}\n\nfunc (*A) F(x.T) {}", []string{"kv.A.F mentions ex.org/x.T"}},
		{"interface method", "type A interface{ F(x.T) }", []string{"kv.A.F mentions ex.org/x.T"}},
		{"embedded", "type A struct{ x.T }", []string{"kv.A.T mentions ex.org/x.T"}},
		{"embedded under a private alias", "type a = x.T\n\ntype A struct{ a }", []string{"kv.A.a mentions ex.org/x.T"}},
		{"embedded interface", "type A interface{ x.I }", []string{"kv.A mentions ex.org/x.I"}},
		{"alias", "type A = x.T", []string{"kv.A mentions ex.org/x.T"}},
		{"alias of a third party's alias", "type A = x.A", []string{"kv.A mentions ex.org/x.A"}},
		{"generic alias", "type A[P x.I] = []P", []string{"kv.A mentions ex.org/x.I"}},
		{"defined from", "type A x.T", nil}, // its methods and name are not the third party's
		{"constraint", "type A[T x.I] struct{}", []string{"kv.A mentions ex.org/x.I"}},
		{"constraint of a function", "func F[T interface{ ~string | x.N }](T) {}", []string{"kv.F mentions ex.org/x.N"}},
		{"type argument", "type A[T any] struct{}\n\nfunc F(A[x.T]) {}", []string{"kv.F mentions ex.org/x.T"}},
		{"generic third party", "func F(x.G[int]) {}", []string{"kv.F mentions ex.org/x.G"}},
		{"through an unexported type", "type a struct{ B x.T }\n\nfunc F() a { return a{} }", []string{"kv.a.B mentions ex.org/x.T"}},
		{"promoted method", "type a struct{}\n\nfunc (a) F(x.T) {}\n\ntype A struct{ a }", []string{"kv.A.F mentions ex.org/x.T", "kv.a.F mentions ex.org/x.T"}},
		{"through an internal package", "func F() inner.Leak { return inner.Leak{} }", []string{"inner.Leak.B mentions ex.org/x.T"}},
		{"two", "func F(x.T) {}\n\nfunc G(x.T, x.I) {}", []string{"kv.F mentions ex.org/x.T", "kv.G mentions ex.org/x.I", "kv.G mentions ex.org/x.T"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := checked{}
			c.add(t, "std", "package std\n\ntype S struct{}")
			c.add(t, "ex.org/x", `package x
type (
	T struct{}
	N int
	A = int
	I interface{ M() }
	G[P any] struct{ F P }
)
const C N = 1`)
			c.add(t, "ex.org/m", "package m\n\ntype R int")
			c.add(t, "ex.org/m/inner", "package inner\n\nimport \"ex.org/x\"\n\ntype Clean struct{ b x.T }\n\ntype Leak struct{ B x.T }")
			pkg := c.add(t, "ex.org/m/kv", `package kv

import (
	"ex.org/m"
	"ex.org/m/inner"
	"ex.org/x"
	"std"
)

var _, _, _, _ = m.R(0), inner.Clean{}, x.C, std.S{}

`+tt.decl)
			require.Equal(t, tt.want, archtest.API(pkg, "ex.org/m"))
		})
	}
}

// A module whose path merely begins like ours is a third party.
func TestAPIComparesWholePathElements(t *testing.T) {
	c := checked{}
	c.add(t, "ex.org/mod", "package mod\n\ntype T int")
	pkg := c.add(t, "ex.org/m/kv", "package kv\n\nimport \"ex.org/mod\"\n\nvar V mod.T")
	require.Equal(t, []string{"kv.V mentions ex.org/mod.T"}, archtest.API(pkg, "ex.org/m"))
}
