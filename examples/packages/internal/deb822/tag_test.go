package deb822_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTags(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"empty":         {"", nil},
		"one":           {"role::program", []string{"role::program"}},
		"sorted":        {"use::x, role::program", []string{"role::program", "use::x"}},
		"distinct":      {"a::b, a::b, a::{b,c}", []string{"a::b", "a::c"}},
		"braces":        {"implemented-in::{c,c++}, role::program", []string{"implemented-in::c", "implemented-in::c++", "role::program"}},
		"one in braces": {"a::{b}", []string{"a::b"}},
		"blanks":        {" a::{ b , c } ,d::e ", []string{"a::b", "a::c", "d::e"}},
		"several lines": {"a::b,\n c::{d,\n e},\n f::g", []string{"a::b", "c::d", "c::e", "f::g"}},
		"more colons":   {"special::not-yet-tagged::a", []string{"special::not-yet-tagged::a"}},
		"no facet":      {"plain", []string{"plain"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := first(t, "Package: x\nTag: "+test.in+"\n").Tags("Tag")
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	got, err := first(t, "Package: x\n").Tags("Tag")
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestTagsMalformed(t *testing.T) {
	tests := []struct{ in, item, msg string }{
		{",", "1", "missing name"},
		{"a::b,", "2", "missing name"},
		{"a::b,,c::d", "2", "missing name"},
		{"{a,b}", "1", "missing name"},
		{"a::b c::d", "1", "unexpected character"},
		{"a::b}", "1", "unexpected character"},
		{"a::{b}c", "1", "unexpected character"},
		{"a::ü", "1", "unexpected character"},
		{"a::b, c::{", "2", "missing name between braces"},
		{"a::{}", "1", "missing name between braces"},
		{"a::{b,}", "1", "missing name between braces"},
		{"a::{{b}}", "1", "missing name between braces"},
		{"a::{b", "1", "missing closing brace"},
		{"a::{b c}", "1", "missing closing brace"},
		{"a::{b{c}}", "1", "missing closing brace"},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			got, err := first(t, "Package: x\n\tmore\nTag: "+test.in+"\n").Tags("Tag")
			require.Nil(t, got)
			requireSyntaxError(t, err, 3, test.msg+" in tag "+test.item+" of the field")
		})
	}
}
