package archtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/archtest"
)

func TestThisModuleLayers(t *testing.T)  { requireNone(t, archtest.Layers(load(t))) }
func TestThisModuleCircles(t *testing.T) { requireNone(t, archtest.Circles(load(t))) }

// TestThisModuleDrawing shows the drawing to whoever runs it with -v.
func TestThisModuleDrawing(t *testing.T) {
	drawing := archtest.Drawing(load(t))
	t.Log("\n" + drawing)
	require.Less(t, strings.Index(drawing, "\ntito\n"), strings.Index(drawing, "\nstore\n"), "the highest layer comes first")
	require.Contains(t, drawing, "kvtest/kvfault")
	for _, line := range strings.Split(strings.TrimSpace(drawing), "\n") {
		if fields := strings.Fields(line); fields[0] == "kv" {
			require.Equal(t, []string{"kv", "kv/internal/cowmap"}, fields)
		}
	}
}

func TestLayers(t *testing.T) {
	tests := []struct {
		file, pkg, target string
		refused           string // part of the violation; empty: allowed
	}{
		{"kv/a.go", "kv", "./kv/internal/cowmap", ""},
		{"kv/a.go", "kv", "./kv/internal/occ", "from store to layout"},
		{"kv/a.go", "kv", "./kv/memory", "from store to drivers"},
		{"kv/a.go", "kv", "./internal/layout", "from store to layout"},
		{"kv/internal/cowmap/a.go", "cowmap", "./kv", "from bytes to store"},
		{"kv/internal/occ/a.go", "occ", "./kv", ""},
		{"internal/keyenc/a.go", "keyenc", "./internal/rowenc", ""},
		{"internal/rowenc/a.go", "rowenc", "./kv", "from bytes to store"},
		{"internal/layout/a.go", "layout", "./kv", ""},
		{"internal/layout/a.go", "layout", "./queue", "from layout to queue"},
		{"kv/pebble/a.go", "pebble", "./kv/internal/settings", ""},
		{"kv/pebble/a.go", "pebble", "./queue", "from drivers to queue"},
		{"kvtest/a.go", "kvtest", "./kvtest/kvfault", ""},
		{"kvtest/kvfault/a.go", "kvfault", "./tito", "from drivers to tito"},
		{"internal/teststores/a.go", "teststores", "./tito", "from drivers to tito"},
		{"queue/a.go", "queue", "./queue/internal/eventlog", ""},
		{"queue/a.go", "queue", "./tito", "from queue to tito"},
		{"queue/internal/eventlog/a.go", "eventlog", "./tito/internal/record", "from queue to tito"},
		{"tito/a.go", "tito", "./queue", ""},
		{"tito/a.go", "tito", "./web", "from tito to programs"},
		{"tito/internal/record/a.go", "record", "./cmd/tito/text", "from tito to programs"},
		{"cmd/tito/main.go", "main", "./tito", ""},
		{"cmd/tito/main.go", "main", "./web", ""},
		{"web/a.go", "web", "./queue", ""},
		{"other/a.go", "other", "./kv", "no layer"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.target, func(t *testing.T) {
			m := invent(t, map[string]string{tt.file: source(tt.pkg, tt.target)})
			bad := archtest.Layers(m)
			if tt.refused == "" {
				requireNone(t, bad)
				return
			}
			require.Len(t, bad, 1)
			require.Contains(t, bad[0], tt.refused)
		})
	}
	// Tests look at what is above them.
	requireNone(t, archtest.Layers(invent(t, map[string]string{"kv/a_test.go": source("kv_test", "./kv/memory")})))
}

func TestCircles(t *testing.T) {
	circle := map[string]string{
		"queue/a.go":                source("queue", "./queue/internal/group", "./kv"),
		"queue/internal/group/a.go": source("group", "./queue/internal/log"),
		"queue/internal/log/a.go":   source("log", "./queue"),
		"kv/a.go":                   source("kv"),
		"tito/a.go":                 source("tito", "./queue"),
	}
	require.Equal(t, []string{
		"circle of imports: queue -> queue/internal/group -> queue/internal/log -> queue",
	}, archtest.Circles(invent(t, circle)))

	circle["queue/internal/log/a.go"] = source("log", "./kv")
	circle["queue/internal/log/a_test.go"] = source("log_test", "./queue") // of which tests are no part
	requireNone(t, archtest.Circles(invent(t, circle)))

	require.Len(t, archtest.Circles(invent(t, map[string]string{"kv/a.go": source("kv", "./kv")})), 1, "of one")
}
