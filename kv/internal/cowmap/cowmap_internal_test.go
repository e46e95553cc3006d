package cowmap

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// check verifies that m is a B-tree: sorted, all leaves at one depth, nodes
// filled as they should, and as long as it says.
func check(t *testing.T, m *Map[int]) {
	t.Helper()
	depth, count := -1, 0
	var last []byte
	var walk func(n *node[int], level int)
	walk = func(n *node[int], level int) {
		require.LessOrEqual(t, len(n.items), maxItems)
		if n != m.root {
			require.GreaterOrEqual(t, len(n.items), minItems)
		}
		require.NotEmpty(t, n.items)
		if n.children == nil {
			if depth < 0 {
				depth = level
			}
			require.Equal(t, depth, level)
		} else {
			require.Len(t, n.children, len(n.items)+1)
		}
		for i, it := range n.items {
			if n.children != nil {
				walk(n.children[i], level+1)
			}
			require.True(t, last == nil || slices.Compare(last, it.Key) < 0)
			last = it.Key
			count++
		}
		if n.children != nil {
			walk(n.children[len(n.items)], level+1)
		}
	}
	if m.root != nil {
		walk(m.root, 0)
	}
	require.Equal(t, m.length, count)
}

// TestLargeTrees grows and shrinks trees of several levels, in ascending,
// descending and random order, and checks that a clone made on the way keeps
// its state.
func TestLargeTrees(t *testing.T) {
	const n = 4_000 // three levels
	key := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	up := make([]int, n)
	for i := range up {
		up[i] = i
	}
	down := slices.Clone(up)
	slices.Reverse(down)
	random := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for name, order := range map[string][]int{"ascending": up, "descending": down, "random": random} {
		t.Run(name, func(t *testing.T) {
			var m, half Map[int]
			for i, k := range order {
				if i == n/2 {
					check(t, &m)
					half = m.Clone()
				}
				_, replaced := m.Set(key(k), k)
				require.False(t, replaced)
			}
			check(t, &m)
			full := m.Clone()
			for _, removal := range [][]int{up, down, random} {
				m := full.Clone()
				for i, k := range removal {
					m.Delete(key(k))
					m.Delete(key(k)) // is gone
					if i%200 == 0 {
						check(t, &m)
					}
				}
				require.Zero(t, m.Len())
				require.Nil(t, m.root)
			}
			check(t, &full)
			check(t, &half)
			require.Equal(t, n/2, half.Len())
			for _, k := range order[:n/2] {
				v, ok := half.Get(key(k))
				require.True(t, ok)
				require.Equal(t, k, v)
			}
			for _, reverse := range []bool{false, true} {
				c, want := full.Cursor(nil, nil, reverse), 0
				if reverse {
					want = n - 1
				}
				for c.Next() {
					require.Equal(t, want, c.Item().Value)
					if want++; reverse {
						want -= 2
					}
				}
				require.Contains(t, []int{-1, n}, want)
			}
			seen := 0
			full.Ascend(func(it *Item[int]) bool {
				require.Equal(t, seen, it.Value)
				seen++
				return seen < n/2
			})
			require.Equal(t, n/2, seen, "stops when told")
		})
	}
}

// TestWritesCopyOnlyTheirPath: a deletion of an absent key copies nothing, and
// a write after a clone one node a level.
func TestWritesCopyOnlyTheirPath(t *testing.T) {
	var m Map[int]
	for i := range 10_000 {
		m.Set(binary.BigEndian.AppendUint32(nil, uint32(i)), i)
	}
	clone := m.Clone()
	clone.Delete([]byte("absent"))
	require.Same(t, m.root, clone.root)
	clone.Set(binary.BigEndian.AppendUint32(nil, 0), 1)
	require.NotSame(t, m.root, clone.root)
	for i := 1; i < len(m.root.children); i++ {
		require.Same(t, m.root.children[i], clone.root.children[i])
	}
}
