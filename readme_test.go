package tito_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeShowsTheExamples holds the README's Go code, block by block, to the
// examples that are compiled and run.
func TestReadmeShowsTheExamples(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllStringSubmatch(string(readme), -1)
	files := []string{"example_test.go", "example_events_test.go"}
	require.Len(t, shown, len(files))
	for i, file := range files {
		example, err := os.ReadFile(file)
		require.NoError(t, err)
		_, declarations, ok := strings.Cut(string(example), "\n)\n\n") // after the imports
		require.True(t, ok)
		require.Equal(t, declarations, shown[i][1])
	}
}
