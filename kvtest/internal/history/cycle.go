package history

import (
	"fmt"
	"strings"
)

// dependency says why one transaction comes before another.
type dependency uint8

const (
	writeWrite dependency = iota // it wrote what the other overwrote
	writeRead                    // it wrote what the other read
	realTime                     // it was acknowledged before the other began
	readWrite                    // it read what the other overwrote: an anti-dependency
)

func (d dependency) String() string { return [...]string{"ww", "wr", "real time", "rw"}[d] }

type edge struct {
	to  int
	why dependency
}

// graph holds transactions, numbered from 0, then moments.
type graph struct {
	txns  int
	edges [][]edge
}

func newGraph(txns int) *graph { return &graph{txns, make([][]edge, txns)} }

func (g *graph) add(from, to int, why dependency) {
	if from != to {
		g.edges[from] = append(g.edges[from], edge{to, why})
	}
}

// moment adds a node that is no transaction.
func (g *graph) moment() int {
	g.edges = append(g.edges, nil)
	return len(g.edges) - 1
}

// step is a node of the search: where it stands, and whether it came there
// along an anti-dependency, after which another may not follow.
type step struct {
	node  int
	after bool
}

func (s step) number() int {
	if s.after {
		return 2*s.node + 1
	}
	return 2 * s.node
}

// check looks for a cycle in which no two anti-dependencies follow one another.
// Snapshot isolation has none; write skew is a cycle with two in a row.
func (g *graph) check() error {
	const onPath, done = 1, 2
	color := make([]uint8, 2*len(g.edges))
	next := make([]int, 2*len(g.edges))
	for start := range g.edges {
		path := []step{{start, false}}
		for len(path) > 0 {
			s := path[len(path)-1]
			n := s.number()
			color[n] = onPath
			if next[n] == len(g.edges[s.node]) {
				color[n] = done
				path = path[:len(path)-1]
				continue
			}
			e := g.edges[s.node][next[n]]
			next[n]++
			if s.after && e.why == readWrite {
				continue
			}
			to := step{e.to, e.why == readWrite}
			switch color[to.number()] {
			case 0:
				path = append(path, to)
			case onPath:
				return g.anomaly(path, to)
			}
		}
	}
	return nil
}

// anomaly describes the cycle from to along the path and back to it.
func (g *graph) anomaly(path []step, to step) error {
	first := 0
	for path[first] != to {
		first++
	}
	cycle := path[first:]
	cycle = append(cycle, to)
	var text strings.Builder
	counts := [4]int{}
	txn := -1
	for i, s := range cycle[:len(cycle)-1] {
		why := g.why(s, cycle[i+1])
		counts[why]++
		if s.node >= g.txns {
			continue // between two real-time edges
		}
		if txn < 0 {
			txn = s.node
		}
		fmt.Fprintf(&text, "%d -%s-> ", s.node, why)
	}
	if cycle[0].node < g.txns {
		fmt.Fprint(&text, cycle[0].node)
	} else {
		fmt.Fprint(&text, txn)
	}
	name := "G-SI"
	switch {
	case counts[readWrite] == 1:
		name = "G-single"
	case counts[readWrite] == 0 && counts[writeRead] > 0:
		name = "G1c circular information flow"
	case counts[readWrite] == 0:
		name = "G0 write cycle"
	}
	return &Anomaly{name, txn, "is part of a cycle of dependencies: " + text.String()}
}

// why returns the reason of the edge that the search took from s to the next step.
func (g *graph) why(s, next step) dependency {
	for _, e := range g.edges[s.node] {
		if e.to == next.node && (e.why == readWrite) == next.after {
			return e.why
		}
	}
	panic("history: a step without an edge")
}
