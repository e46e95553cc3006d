package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// names returns the packages of an answer, and the cursor at its end.
func names(t *testing.T, stdout string) (names []string, next string) {
	t.Helper()
	names = []string{}
	for line := range strings.Lines(stdout) {
		line = strings.TrimSuffix(line, "\n")
		require.Empty(t, next, "the cursor is the last line")
		if cursor, ok := strings.CutPrefix(line, "next: "); ok {
			next = cursor
			continue
		}
		fields := strings.Split(line, "\t")
		require.Len(t, fields, 5)
		names = append(names, fields[0])
	}
	return names, next
}

// Pages of every size, one after the other, give the whole answer in order,
// from a store that has been closed and opened again.
func TestQueryPages(t *testing.T) {
	url := "pebble:" + t.TempDir()
	require.Zero(t, call(t, nil, "-store", url).code)
	o := newOracle(t, string(sample))
	for _, conditions := range [][]string{
		{}, {"name=git"}, {"name^=lib"}, {"section=libs"}, {"size>=1000000"}, {"section=libs", "size>=100000"}, {"size>=100000", "section=libs"},
		{"tag=role::program"}, {"maintainer=Debian Perl Group <pkg-perl-maintainers@lists.alioth.debian.org>"},
		{"maintainer^=Debian"}, {"depends-on=libc6"}, {"homepage^=https://github.com/"}, {"depends-on=nothing"},
	} {
		want := o.answer(conditions...)
		require.Equal(t, slices.Contains(conditions, "depends-on=nothing"), len(want) == 0, "%q", conditions)
		for _, limit := range []int{20, 1000, len(want)} {
			all, after := []string{}, ""
			for {
				args := append([]string{"-store", url, "query", "-after", after}, conditions...)
				got := call(t, nil, append(args, "-limit", fmt.Sprint(max(1, limit)))...)
				require.Zero(t, got.code, got.stderr)
				page, next := names(t, got.stdout)
				all = append(all, page...)
				require.LessOrEqual(t, len(all), len(want))
				if next == "" {
					break
				}
				require.Len(t, page, limit)
				after = next
			}
			require.Equal(t, want, all, "%q", conditions)
		}
	}
}

func TestQueryOutput(t *testing.T) {
	url := "pebble:" + t.TempDir()
	list := "Package: a\nVersion: 1:2\nSection: s\nSize: 30\nMaintainer: Jo Do <j@x>\n\n" +
		"Package: b\nSection: s\n\nPackage: c\nSection: s\nSize: 20\nMaintainer: anybody\n\n"
	require.Zero(t, call(t, strings.NewReader(list), "-store", url, "-").code)
	got := call(t, nil, "query", "section=s", "-store", url)
	require.Equal(t, result{0, "a\t1:2\ts\t30\tJo Do\nc\t\ts\t20\tanybody\nb\t\ts\t0\t\n", ""}, got)
}

func TestBadQuery(t *testing.T) {
	url := "pebble:" + t.TempDir()
	require.Zero(t, call(t, nil, "-store", url).code)
	cursor := func(conditions ...string) string {
		got := call(t, nil, append([]string{"-store", url, "query", "-limit", "1"}, conditions...)...)
		_, next := names(t, got.stdout)
		require.NotEmpty(t, next)
		return next
	}
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"git"}, `"git" is no condition`},
		{[]string{"size"}, `"size" is no condition, see -h; have > and * been quoted?`},
		{[]string{"colour=red"}, "there is no condition colour="},
		{[]string{"tag>=x"}, "there is no condition tag>="},
		{[]string{"size>=big"}, "size>=big: not a number of bytes"},
		{[]string{"size>=big", "section=libs"}, "size>=big: not a number of bytes"},
		{[]string{"section=a", "section=b"}, "condition section= is given twice"},
		{[]string{"tag=a", "section=b"}, "no index serves these conditions together"},
		{[]string{"section=a", "size>=1", "tag=b"}, "no index serves these conditions together"},
		{[]string{"section=libs", "-after", "x"}, "bad cursor"},
		{[]string{"section=libs", "-after", cursor("section=perl")}, "bad cursor"},
		{[]string{"section=libs", "-after", cursor()}, "bad cursor"},
	} {
		got := call(t, nil, append([]string{"-store", url, "query"}, c.args...)...)
		require.Equal(t, exitFailure, got.code, "%q", c.args)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, c.message)
	}
}
