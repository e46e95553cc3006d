package tito_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeShowsTheExample holds the README's Go code to the example that is
// compiled and run.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, shown, 1)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, declarations, ok := strings.Cut(string(example), "\n)\n\n") // after the imports
	require.True(t, ok)
	require.Equal(t, declarations, shown[0][1])
}
