package tito_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeShowsTheExample holds the README's first block of Go to the example
// that a user runs first: all that it declares, in one piece.
func TestReadmeShowsTheExample(t *testing.T) {
	shown := goBlocks(t, "README.md")
	require.NotEmpty(t, shown)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, declarations, ok := strings.Cut(string(example), "\n)\n\n") // after the imports
	require.True(t, ok)
	rest, ok := strings.CutPrefix(declarations, shown[0])
	require.True(t, ok, "the README begins with other code than example_test.go")
	require.Equal(t, 1, strings.Count(rest, "\nfunc "), "the README hides more than one helper")
}

// TestDocumentsShowExamples requires that every block of Go in a document is part of
// an example that is compiled, in a file to which the document links.
func TestDocumentsShowExamples(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]*example[^)/#]*_test\.go)\)`)
	documents, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, name := range append(documents, "README.md") {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var linked []string // examples, as lines without indentation
		for _, l := range link.FindAllStringSubmatch(string(text), -1) {
			example, err := os.ReadFile(filepath.Join(filepath.Dir(name), l[1]))
			require.NoError(t, err, "%s links to it", name)
			linked = append(linked, unindented(string(example)))
		}
		for _, block := range goBlocks(t, name) {
			require.Condition(t, func() bool {
				for _, example := range linked {
					if strings.Contains(example, "\n"+unindented(block)) {
						return true
					}
				}
				return false
			}, "%s shows code that none of the examples has to which it links:\n%s", name, block)
		}
	}
}

// goBlocks returns the blocks of Go in a document.
func goBlocks(t *testing.T, name string) []string {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var blocks []string
	for _, b := range regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, b[1])
	}
	return blocks
}

// unindented returns text without the tabs that its lines begin with.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(text, "")
}
