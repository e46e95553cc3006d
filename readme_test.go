package tito_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeShowsTheExample holds the README's first code to the example that
// is compiled and run.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)

	_, shown, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok, "the README has Go code")
	shown, _, ok = strings.Cut(shown, "```\n")
	require.True(t, ok)
	_, declarations, ok := strings.Cut(string(example), "\n)\n\n") // after the imports
	require.True(t, ok)
	require.Equal(t, declarations, shown)
}
