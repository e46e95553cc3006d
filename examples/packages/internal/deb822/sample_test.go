package deb822_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

func sample(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile("../../testdata/Packages.sample")
	require.NoError(tb, err)
	return data
}

// The sample is read twice: by this package, and by splitting strings.
func TestSample(t *testing.T) {
	text := string(sample(t))
	blocks := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
	require.Len(t, blocks, 300)
	require.Equal(t, 300, strings.Count("\n"+text, "\nPackage: "))

	maintainers := map[string]bool{}
	dependencies, tags := 0, 0
	r := deb822.NewReader(strings.NewReader(text))
	line := 1
	for _, block := range blocks {
		s, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, line, s.Line())
		require.Equal(t, splitFields(block, line), fieldsOf(s))
		line += strings.Count(block, "\n") + 2

		maintainers[s.Get("Maintainer")] = true
		names, err := s.Dependencies("Depends", "Pre-Depends")
		require.NoError(t, err)
		require.ElementsMatch(t, splitDependencies(block), names)
		dependencies += len(names)

		names, err = s.Tags("Tag")
		require.NoError(t, err)
		require.ElementsMatch(t, splitTags(block), names)
		tags += len(names)
	}
	_, err := r.Next()
	require.Same(t, io.EOF, err)

	// As counted by a program of its own, see ../../testdata/README.md.
	require.Len(t, maintainers, 137)
	require.Equal(t, 648, dependencies)
	require.Equal(t, strings.Count(text, "::"), tags+strings.Count(descriptions(text), "::"))
}

func fieldsOf(s *deb822.Stanza) (fields []field) {
	for f := range s.Fields() {
		fields = append(fields, field{string(f.Name), string(f.Value), f.Line})
	}
	return fields
}

func splitFields(block string, line int) (fields []field) {
	for i, text := range strings.Split(block, "\n") {
		if more, ok := strings.CutPrefix(text, " "); ok {
			fields[len(fields)-1].value += "\n" + more
			continue
		}
		name, value, _ := strings.Cut(text, ": ")
		fields = append(fields, field{name, strings.TrimRight(value, " "), line + i})
	}
	return fields
}

func splitDependencies(block string) []string {
	set := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:Pre-)?Depends: (.*)$`).FindAllStringSubmatch(block, -1) {
		for _, item := range strings.Split(m[1], ", ") {
			set[regexp.MustCompile(`[^ :]+`).FindString(item)] = true
		}
	}
	return keys(set)
}

func splitTags(block string) []string {
	set := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^Tag: (.*(?:\n .*)*)$`).FindAllStringSubmatch(block, -1) {
		for _, item := range strings.Split(m[1], ",") {
			set[strings.TrimSpace(item)] = true
		}
	}
	return keys(set)
}

func descriptions(text string) string {
	return strings.Join(regexp.MustCompile(`(?m)^Description: .*$`).FindAllString(text, -1), "\n")
}

func keys(set map[string]bool) (all []string) {
	for key := range set {
		all = append(all, key)
	}
	return all
}

// Wherever the sample is cut, either the cut is noticed or it is at the end of
// a line.
func TestSampleCut(t *testing.T) {
	text := sample(t)[:6000]
	for n := range text {
		got, err := readAll(bytes.NewReader(text[:n]))
		if n == 0 || text[n-1] == '\n' {
			require.NoError(t, err)
			continue
		}
		requireSyntaxError(t, err, bytes.Count(text[:n], []byte("\n"))+1, "unexpected end of file")
		require.Len(t, got, bytes.Count(text[:n], []byte("\n\n")))
	}
}

// A stanza costs no allocation; what there is belongs to the Reader.
func TestNextAllocations(t *testing.T) {
	text := sample(t)
	allocs := testing.AllocsPerRun(10, func() {
		r := deb822.NewReader(bytes.NewReader(text))
		for {
			s, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil || s.Bytes("package") == nil {
				t.Fatal(err)
			}
		}
	})
	require.Less(t, allocs, 50.0, "for 300 stanzas")
}
