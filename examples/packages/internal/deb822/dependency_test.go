package deb822_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDependencies(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"empty":         {"", nil},
		"one":           {"libc6", []string{"libc6"}},
		"sorted":        {"zlib1g, libc6", []string{"libc6", "zlib1g"}},
		"distinct":      {"a (>= 1), b, a (<< 2)", []string{"a", "b"}},
		"no blanks":     {"a(>=1)|x,b[amd64]<!nocheck>,c:any(=2)", []string{"a", "b", "c"}},
		"blanks":        {"  a  ( >=  1 )  |  x  ,  b  [ amd64 ]  ", []string{"a", "b"}},
		"operators":     {"a (<< 1), b (<= 1), c (= 1), d (>= 1), e (>> 1), f (< 1), g (> 1)", []string{"a", "b", "c", "d", "e", "f", "g"}},
		"version":       {"a (= 1:2.3+dfsg-4~bpo12+1)", []string{"a"}},
		"alternatives":  {"a | b | c (>= 1), d", []string{"a", "d"}},
		"qualifiers":    {"python3:any, gcc:native, libc6:linux-any (>= 2)", []string{"gcc", "libc6", "python3"}},
		"qualified too": {"perl, perl:any", []string{"perl"}},
		"architectures": {"a [amd64], b [!i386 !armel]", []string{"a", "b"}},
		"profiles":      {"a <!nocheck>, b <!x y> <z>, c [amd64] <!nodoc>", []string{"a", "b", "c"}},
		"everything":    {"a:any (>= 1) [amd64] <!x> <y> | b:any (= 2) [i386] <z>", []string{"a"}},
		"odd names":     {"g++-12, libstdc++6, 0ad, Upper, a_b, gir1.2-x", []string{"0ad", "Upper", "a_b", "g++-12", "gir1.2-x", "libstdc++6"}},
		"several lines": {"a,\n b (>=\n 1)\n , c", []string{"a", "b", "c"}},
		"below a line":  {"\n a,\n b", []string{"a", "b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := first(t, "Package: x\nDepends: "+test.in+"\n").Dependencies("Depends")
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestDependenciesOfFields(t *testing.T) {
	s := first(t, "Depends: b, c\nPre-Depends: a, b\nRecommends: d\n")
	for _, test := range []struct{ fields, want []string }{
		{nil, nil},
		{[]string{"Suggests"}, nil},
		{[]string{"pre-depends"}, []string{"a", "b"}},
		{[]string{"Depends", "Pre-Depends"}, []string{"a", "b", "c"}},
		{[]string{"Suggests", "Depends"}, []string{"b", "c"}},
	} {
		got, err := s.Dependencies(test.fields...)
		require.NoError(t, err)
		require.Equal(t, test.want, got)
	}
}

func TestDependenciesMalformed(t *testing.T) {
	const (
		noName       = "missing package name"
		noArch       = "missing architecture behind a colon"
		noOperator   = "missing operator of a version constraint"
		noVersion    = "missing version"
		notClosed    = "missing closing parenthesis"
		badArchs     = "malformed list of architectures"
		badProfiles  = "malformed list of build profiles"
		badCharacter = "unexpected character"
	)
	tests := []struct {
		in   string
		item string
		msg  string
	}{
		{",", "1", noName},
		{"a,", "2", noName},
		{"a,,b", "2", noName},
		{"a | ", "1", noName},
		{"a | , b", "1", noName},
		{"| a", "1", noName},
		{"(>= 1)", "1", noName},
		{"-a", "1", noName},
		{".a", "1", noName},
		{"ä", "1", noName},
		{"${misc:Depends}", "1", noName},
		{"a, b:", "2", noArch},
		{"a: any", "1", noArch},
		{"a (1)", "1", noOperator},
		{"a ()", "1", noOperator},
		{"a (", "1", noOperator},
		{"a (>=)", "1", noVersion},
		{"a (== 1)", "1", noVersion},
		{"a (>= , b", "1", noVersion},
		{"a (>= 1", "1", notClosed},
		{"a (>= 1, b)", "1", notClosed},
		{"a (>= 1 2)", "1", notClosed},
		{"a [amd64", "1", badArchs},
		{"a [amd64, b [i386]", "1", badArchs},
		{"a []", "1", badArchs},
		{"a <", "1", badProfiles},
		{"a <!x> < >", "1", badProfiles},
		{"a <!x, b <y>", "1", badProfiles},
		{"a, b c", "2", badCharacter},
		{"a (>= 1) (<< 2)", "1", badCharacter},
		{"a [x] (>= 1)", "1", badCharacter},
		{"a)", "1", badCharacter},
		{"a; b", "1", badCharacter},
		{"a {b}", "1", badCharacter},
		{"a | b c", "1", badCharacter},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			got, err := first(t, "Package: x\nPre-Depends: ok\nDepends: "+test.in+"\n").
				Dependencies("Pre-Depends", "Depends")
			require.Nil(t, got)
			requireSyntaxError(t, err, 3, test.msg+" in dependency "+test.item+" of the field")
		})
	}
}

// A list as long as a line can hold is no reason to take minutes.
func TestDependenciesLong(t *testing.T) {
	var want []string
	for i := range 100_000 {
		want = append(want, fmt.Sprintf("p%05d", i))
	}
	list := strings.Join(want, ",")
	got, err := first(t, "Depends: "+list+"\nPre-Depends: "+list+"\n").Dependencies("Depends", "Pre-Depends")
	require.NoError(t, err)
	require.Len(t, got, len(want))
	require.True(t, slices.Equal(want, got)) // a diff of lists as long takes minutes
}
