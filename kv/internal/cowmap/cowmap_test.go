package cowmap_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv/internal/cowmap"
)

// TestAgainstSortedMap runs random programs of sets, deletes, clones and walks
// against Go's own map, and checks that every clone keeps the state it was
// taken at.
func TestAgainstSortedMap(t *testing.T) {
	key := rapid.StringN(0, 3, 3)
	rapid.Check(t, func(t *rapid.T) {
		type world struct {
			m     cowmap.Map[int]
			model map[string]int
		}
		worlds := []world{{cowmap.Map[int]{}, map[string]int{}}}
		pick := func(t *rapid.T) *world {
			return &worlds[rapid.IntRange(0, len(worlds)-1).Draw(t, "world")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				w, k, v := pick(t), key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				old, replaced := w.m.Set([]byte(k), v)
				was, had := w.model[k]
				require.Equal(t, had, replaced)
				require.Equal(t, was, old)
				w.model[k] = v
			},
			"set many": func(t *rapid.T) {
				w, k := pick(t), key.Draw(t, "prefix")
				for i := range rapid.IntRange(1, 100).Draw(t, "n") {
					w.m.Set([]byte(fmt.Sprint(k, i)), i)
					w.model[fmt.Sprint(k, i)] = i
				}
			},
			"delete many": func(t *rapid.T) {
				w, k := pick(t), key.Draw(t, "prefix")
				for i := range rapid.IntRange(1, 100).Draw(t, "n") {
					w.m.Delete([]byte(fmt.Sprint(k, i)))
					delete(w.model, fmt.Sprint(k, i))
				}
			},
			"delete": func(t *rapid.T) {
				w, k := pick(t), key.Draw(t, "key")
				w.m.Delete([]byte(k))
				delete(w.model, k)
			},
			"clone": func(t *rapid.T) {
				w := pick(t)
				model := map[string]int{}
				for k, v := range w.model {
					model[k] = v
				}
				worlds = append(worlds, world{w.m.Clone(), model})
			},
			"walk": func(t *rapid.T) {
				w := pick(t)
				bound := func(name string) []byte {
					if rapid.Bool().Draw(t, name+" unbounded") {
						return nil
					}
					return []byte(key.Draw(t, name))
				}
				start, end, reverse := bound("start"), bound("end"), rapid.Bool().Draw(t, "reverse")
				c := w.m.Cursor(start, end, reverse)
				require.Equal(t, expect(w.model, start, end, reverse, nil), rest(c, c.Next()))
				require.False(t, c.Next(), "stays at its end")
				for range 2 { // a cursor at its end can be moved again
					from := []byte(key.Draw(t, "seek"))
					require.Equal(t, expect(w.model, start, end, reverse, from), rest(c, c.Seek(from)))
				}
			},
			"": func(t *rapid.T) {
				for _, w := range worlds {
					require.Equal(t, len(w.model), w.m.Len())
					for k, v := range w.model {
						got, ok := w.m.Get([]byte(k))
						require.True(t, ok)
						require.Equal(t, v, got)
					}
				}
			},
		})
	})
}

func rest(c *cowmap.Cursor[int], ok bool) []string {
	var keys []string
	for ; ok; ok = c.Next() {
		keys = append(keys, string(c.Item().Key))
	}
	return keys
}

func expect(model map[string]int, start, end []byte, reverse bool, from []byte) []string {
	var keys []string
	for k := range model {
		switch {
		case start != nil && k < string(start), end != nil && k >= string(end):
		case from != nil && !reverse && k < string(from), from != nil && reverse && k > string(from):
		default:
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if reverse {
		slices.Reverse(keys)
	}
	return keys
}
