package ownership

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	exploreFull = flag.Bool("explore.full", false,
		"explore every scope with every owner table, to the end or to -explore.states")
	exploreMax   = flag.Int("explore.states", 6_000_000, "with -explore.full: where an exploration is given up")
	exploreOnly  = flag.String("explore.only", "", "explore only scopes whose name contains this")
	exploreTable = flag.String("explore.table", "", "with -explore.full: only the owner table of this name")
	exploreSteps = flag.Int("explore.steps", 0, "random steps of each walk scope; 0 = a few")
)

// explored counts over all tests of this run.
var explored struct {
	mu sync.Mutex // guards what follows

	runs, complete, states, walks, steps int
	took                                 time.Duration
}

func TestMain(m *testing.M) {
	code := m.Run()
	e := &explored
	if e.runs > 0 || e.walks > 0 {
		fmt.Printf("explored %d states in %d runs (%d of them complete), %.0f s in all; %d random walks of %d steps; "+
			"-explore.full=%v\n",
			e.states, e.runs, e.complete, e.took.Seconds(), e.walks, e.steps, *exploreFull)
	}
	os.Exit(code)
}

// runScope explores a scope, and logs and counts it.
func runScope(t *testing.T, s *scope, table string, max int) found {
	t.Helper()
	f := explore(s, limits{states: max})
	explored.mu.Lock()
	defer explored.mu.Unlock()
	explored.runs++
	explored.states += f.states
	explored.took += f.took
	if f.complete {
		explored.complete++
	}
	t.Logf("%-50s %-5s %s", s.name, table, f)
	return f
}

// withTables gives a scope the owner tables from number i on, one for each partition.
func (s scope) withTables(tables []namedTable, i int) *scope {
	n := max(1, s.parts)
	s.owners = nil
	for p := range n {
		s.owners = append(s.owners, tables[(i+p)%len(tables)].owner)
	}
	return &s
}

// TestExplore lets everything happen, in every order, that its scopes allow, and
// checks the invariants in every state. In the part that runs always each scope has
// two of the six owner tables, one that a priority order gives and one that none
// gives, and is given up at so many states; then what must come in the end is not
// checked.
func TestExplore(t *testing.T) {
	for i, s := range scopes3() {
		exploreTables(t, s, tables3(), []int{i % 3, 3 + (i+i/3)%3}, 10_000)
	}
}

// TestExploreFourNodes is TestExplore with four members, where more can be hidden
// from one another.
func TestExploreFourNodes(t *testing.T) {
	for i, s := range scopes4() {
		exploreTables(t, s, tables4(), []int{i % 4}, 10_000)
	}
}

func exploreTables(t *testing.T, s scope, tables []namedTable, some []int, limit int) {
	if !strings.Contains(s.name, *exploreOnly) {
		return
	}
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		switch {
		case *exploreFull:
			some, limit = nil, *exploreMax
			for i := range tables {
				if *exploreTable == "" || tables[i].name == *exploreTable {
					some = append(some, i)
				}
			}
		case raceEnabled || testing.Short():
			some, limit = some[:1], 500
		}
		for _, i := range some {
			if f := runScope(t, s.withTables(tables, i), tables[i].name, limit); f.violation != "" {
				t.Fail()
			}
		}
	})
}
