package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
)

// servers are those of the store of scheme tikv: see package tikvtest.
var servers tikvtest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }

// stores runs fn as a subtest for each kind of store, with the URL of a fresh one.
func stores(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	for _, d := range drivers {
		t.Run(d.scheme, func(t *testing.T) { fn(t, freshURL(t, d.scheme)) })
	}
}

// freshURL skips t if the store is on servers and there are none: a URL cannot
// name the model of a cluster, inside the process, that other tests then use.
func freshURL(t *testing.T, scheme string) string {
	t.Helper()
	switch scheme {
	case "memory":
		return "memory:"
	case "tikv":
		c := servers.Cluster(t)
		if c.Kind() == tikvtest.Model {
			t.Skip("there are no TiKV servers")
		}
		return "tikv:" + strings.Join(c.PD(), ",") + "?prefix=" + c.Prefix(t)
	}
	return scheme + ":" + filepath.Join(t.TempDir(), "db")
}

// result is what a call of the program gives.
type result struct {
	code           int
	stdout, stderr string
}

func call(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	var stdout, stderr strings.Builder
	code := run(t.Context(), args, stdin, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// requireStored checks what a Pebble store holds, after opening it again.
func requireStored(t *testing.T, url, text string) {
	t.Helper()
	store, err := openStore(t.Context(), url, true)
	newOracle(t, text).requireHolds(t, newDB(t, store, err))
}

var lastLine = regexp.MustCompile(`loaded in [0-9.]+(µs|ms|s|m[0-9.]+s) \([0-9]+ packages/s\)\n$`)

func withoutTime(stdout string) string {
	return lastLine.ReplaceAllString(stdout, "loaded in T (R packages/s)\n")
}

func TestSampleOutput(t *testing.T) {
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	stores(t, func(t *testing.T, url string) {
		for range 2 {
			got := call(t, nil, "-store", url)
			require.Equal(t, result{0, string(want), ""}, result{got.code, withoutTime(got.stdout), got.stderr})
		}
	})
	got := call(t, nil) // all defaults
	require.Equal(t, string(want), withoutTime(got.stdout))
}

func TestInputs(t *testing.T) {
	want := call(t, nil)
	file := call(t, nil, "testdata/Packages.sample")
	stdin := call(t, strings.NewReader(string(sample)), "-")
	require.Equal(t, withoutTime(want.stdout), withoutTime(file.stdout))
	require.Equal(t, withoutTime(want.stdout), withoutTime(stdin.stdout))
}

func TestLimit(t *testing.T) {
	for n, want := range map[string]string{
		"0":   "packages: 300\nmaintainers: 137\n",
		"1":   "packages: 1\nmaintainers: 1\ndependencies: 1\n",
		"7":   "packages: 7\n",
		"300": "packages: 300\n",
		"301": "packages: 300\n",
	} {
		got := call(t, nil, "-n", n)
		require.Zero(t, got.code, got.stderr)
		require.Contains(t, got.stdout, "\n"+want)
	}
	// What comes after the limit is not looked at.
	got := call(t, strings.NewReader(generate(3)+"junk\n"), "-n", "3", "-")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "\npackages: 3\nmaintainers: 3\ndependencies: 0\nloaded in ")
}

func TestEmptyInput(t *testing.T) {
	got := call(t, strings.NewReader(""), "-")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "\npackages: 0\nmaintainers: 0\ndependencies: 0\nloaded in ")
}

// Bad input is an error that names the line, and all before it is stored.
func TestBadInput(t *testing.T) {
	good := generate(4) // 12 lines
	long := strings.Repeat("x", maxText+1)
	for name, c := range map[string]struct{ rest, message string }{
		"no colon":              {"junk\n", "field without a colon in line 13 "},
		"amid a stanza":         {"Package: a\nVersion: 1\n?\nSize: 1\n\n", " in line 15 "},
		"no name":               {"Version: 1\nSize: 1\n\n", "no field Package in the stanza that begins in line 13 "},
		"empty name":            {"Version: 1\nPackage:\n\n", "malformed name of a package in line 14 "},
		"malformed name":        {"Package: a b\n\n", "malformed name of a package in line 13 "},
		"malformed size":        {"Package: a\nSize: 1k\n\n", "malformed size in line 14 "},
		"negative size":         {"Package: a\nSize: -1\n\n", "malformed size in line 14 "},
		"size too large":        {"Package: a\nSize: 9223372036854775808\n\n", "malformed size in line 14 "},
		"malformed tag":         {"Package: a\nTag: b, , c\n\n", " in line 14 "},
		"malformed dependency":  {"Package: a\nDepends: b (>= )\n\n", " in line 14 "},
		"duplicate field":       {"Package: a\nPackage: b\n\n", "duplicate field in line 14 "},
		"long name":             {"Package: " + long + "\n\n", "over 900 bytes in the field Package of the stanza that begins in line 13 "},
		"long dependency":       {"Package: a\nPre-Depends: " + long + "\n\n", "over 900 bytes in the field Depends of the stanza that begins in line 13 "},
		"cut in a line":         {"Package: a\nVersio", "unexpected end of file in line 14 "},
		"cut between two lines": {"Package: a\nSize: 1\nSHA256: 2\n\nPackage: b\nSize: 2\n", "unexpected end of file in the stanza that begins in line 17 "},
		"binary":                {"\x1f\x8b\x08\x00\n", " in line 13 "},
	} {
		t.Run(name, func(t *testing.T) {
			url := "pebble:" + t.TempDir()
			stored := good
			if head, _, ok := strings.Cut(c.rest, "\n\nPackage: b"); ok {
				stored += head + "\n\n"
			}
			got := call(t, strings.NewReader(good+c.rest), "-store", url, "-")
			require.Equal(t, exitFailure, got.code)
			require.Empty(t, got.stdout)
			require.Regexp(t, `^packages: standard input: .*\n$`, got.stderr)
			require.Contains(t, got.stderr, c.message)
			require.Contains(t, got.stderr, fmt.Sprintf("(%d packages are stored)", strings.Count(stored, "Package:")))
			requireStored(t, url, stored)
		})
	}
}

// Wherever the sample is cut off, the load fails and keeps what is whole, or
// the cut is between two stanzas.
func TestCutInput(t *testing.T) {
	text := string(sample)[:3000]
	for n := range text {
		whole := text[:strings.LastIndex("\n\n"+text[:n], "\n\n")]
		count := strings.Count(whole, "Package:")
		f, err := load(t.Context(), memoryDB(t, kv.Options{}), strings.NewReader(text[:n]), loadOptions{}, ignore)
		switch rest := strings.Trim(text[len(whole):n], "\n"); {
		case rest == "":
			require.NoError(t, err)
		case count == 0 && text[n-1] == '\n', strings.Contains(rest, "\nSHA256: "):
			continue // nothing to compare with; nothing missing but the empty line
		default:
			require.ErrorContains(t, err, " in line ", "cut at byte %d", n)
			require.Equal(t, count, f.packages)
		}
	}
}

func TestUnreadableInput(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for path, message := range map[string]string{
		dir:     dir + ": is a directory, not a package index",
		missing: "open " + missing + ": no such file or directory",
	} {
		require.Equal(t, result{exitFailure, "", "packages: " + message + "\n"}, call(t, nil, path))
	}
	in := io.MultiReader(strings.NewReader(generate(2)+"Package: a\n"), iotest.ErrReader(errors.New("cable pulled")))
	got := call(t, in, "-")
	require.Equal(t, exitFailure, got.code)
	require.Equal(t, "packages: standard input: deb822: reading line 8: cable pulled (2 packages are stored)\n", got.stderr)
}

func TestBadStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	missing := filepath.Join(t.TempDir(), "missing")
	empty := t.TempDir()
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"-store", "redis:x"}, "-store redis:x: unknown scheme; there are memory:, pebble:DIR, bolt:FILE, tikv:PD[,PD...][?prefix=PREFIX]\n"},
		{[]string{"-store", ""}, "-store : unknown scheme; there are memory:, pebble:DIR, bolt:FILE, tikv:PD[,PD...][?prefix=PREFIX]\n"},
		{[]string{"-store", "memory:x"}, "-store memory:x: it has the form memory:\n"},
		{[]string{"-store", "pebble"}, "-store pebble: it has the form pebble:DIR\n"},
		{[]string{"-store", "tikv"}, "-store tikv: it has the form tikv:PD[,PD...][?prefix=PREFIX]\n"},
		{[]string{"-store", "pebble:" + file}, "-store pebble:" + file + ": "},
		{[]string{"query"}, "-store memory:: nothing is in it before a load; query one of pebble:DIR, bolt:FILE, tikv:PD[,PD...][?prefix=PREFIX]\n"},
		{[]string{"-store", "pebble:" + missing, "query"}, missing + ": no such file or directory\n"},
		{[]string{"-store", "pebble:" + empty, "query"}, "-store pebble:" + empty + ": no packages have been loaded into it\n"},
	} {
		got := call(t, nil, c.args...)
		require.Equal(t, exitFailure, got.code, "%q", c.args)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, c.message)
	}
	require.NoDirExists(t, missing, "a query creates no store")
}

func TestUsage(t *testing.T) {
	got := call(t, nil, "-h")
	require.Zero(t, got.code)
	require.Empty(t, got.stderr)
	require.Contains(t, got.stdout, "-after CURSOR")
	for _, d := range drivers {
		require.Contains(t, got.stdout, d.scheme+":"+d.arg)
	}
	for _, args := range [][]string{
		{"-x"}, {"a", "b"}, {"-n", "-1"}, {"-n", "x"}, {"-limit", "3"}, {"-after", "x", "-"},
		{"query", "-n", "3"}, {"query", "-limit", "0"},
	} {
		got := call(t, nil, args...)
		require.Equal(t, exitUsage, got.code, "%q", args)
		require.Empty(t, got.stdout)
		require.Contains(t, got.stderr, "see -h")
	}
}

// The usage text and the program know the same conditions.
func TestUsageListsConditions(t *testing.T) {
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+\^?>?=)`).FindAllStringSubmatch(usage, -1) {
		_, err := newQuery([]string{m[1] + "1"})
		require.NoError(t, err)
	}
}

func TestInterrupt(t *testing.T) {
	url := "pebble:" + t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	go func() {
		_, _ = io.WriteString(w, generate(2*batchRecords)) // fails if the program ends before
		cancel()
	}()
	var stdout, stderr strings.Builder
	require.Equal(t, exitInterrupted, run(ctx, []string{"-store", url, "-"}, in, &stdout, &stderr))
	require.Empty(t, stdout.String())
	require.Regexp(t, `^packages: interrupted: standard input: .* \((0|1000|2000) packages are stored\)\n$`, stderr.String())
	var n int
	_, err := fmt.Sscanf(regexp.MustCompile(`[0-9]+ packages`).FindString(stderr.String()), "%d", &n)
	require.NoError(t, err)
	requireStored(t, url, generate(n))
}

func TestProgressLines(t *testing.T) {
	got := call(t, strings.NewReader(generate(2*progressStep+1)), "-")
	require.Zero(t, got.code)
	require.Equal(t, "10000 packages\n20000 packages\n", got.stderr)
}

func TestProgressBar(t *testing.T) {
	for _, size := range []int64{-1, 200} {
		var out strings.Builder
		in := &countingReader{Reader: strings.NewReader(strings.Repeat("x", 100))}
		p := newProgress(&out, true, in, size)
		_, err := io.Copy(io.Discard, in)
		require.NoError(t, err)
		p.at(figures{packages: 5})
		p.end()
		require.Contains(t, out.String(), "loading")
		if size > 0 {
			require.Contains(t, out.String(), "50%")
		}
	}
	require.False(t, isTerminal(&strings.Builder{}))
	f, err := os.Open("main.go")
	require.NoError(t, err)
	defer f.Close()
	require.False(t, isTerminal(f))
}
