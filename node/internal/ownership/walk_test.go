package ownership

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// walks are scopes that are too big to explore: long random runs go through them.
func walks() []scope {
	base := scope{nodes: 3, exist: 1, sessions: 2, maxID: 250, joined: 2}
	var list []scope
	add := func(name string, change func(s *scope)) {
		s := base
		s.name = name
		change(&s)
		list = append(list, s)
	}
	add("false deaths, join, drain, refusals", func(s *scope) {
		s.budget = budgets{falseDeaths: 6, drains: 1, starts: 3, works: 2, losses: 4, repeats: 4, refusals: 2, retries: 1}
	})
	add("crash, drains, leaves, refusals, ends", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 2, starts: 2, works: 2, losses: 4, repeats: 4, refusals: 2, retries: 1,
			ends: 1}
	})
	add("joins, drains, leaves, ends, chunks", func(s *scope) {
		s.joined = 1
		s.exist = 2
		s.leave = true
		s.chunks = true
		s.talkBye = true
		s.budget = budgets{drains: 2, starts: 3, ends: 2, fails: 1, losses: 4, repeats: 4, refusals: 3, retries: 1}
	})
	add("restart in place, crash, false deaths", func(s *scope) {
		s.slots = []int{0, 1, 1}
		s.budget = budgets{crashes: 1, falseDeaths: 4, starts: 2, works: 1, losses: 4, repeats: 4, refusals: 1}
	})
	add("2 partitions, joins, drains, crash", func(s *scope) {
		s.joined = 1
		s.exist = 2
		s.parts = 2
		s.batch = true
		s.leave = true
		s.budget = budgets{drains: 1, crashes: 1, starts: 2, ends: 1, works: 1, losses: 4, repeats: 4, refusals: 1}
	})
	add("deadlines", func(s *scope) {
		s.exist = 2
		s.leave = true
		s.talkBye = true
		s.budget = budgets{drains: 2, deadlines: 2, starts: 2, works: 1, losses: 4, repeats: 4, refusals: 1}
	})
	add("assignments, drains, leaves, crash", func(s *scope) {
		s.joined = 3
		s.exist = 2
		s.leave = true
		s.assignTo = 2
		s.bad = [maxNodes]bool{true}
		s.budget = budgets{assigns: 6, crashes: 1, drains: 2, starts: 2, works: 1, ends: 1, losses: 4, repeats: 4,
			refusals: 2}
	})
	add("4 nodes: join, false deaths, drain, refusals", func(s *scope) {
		s.nodes = 4
		s.joined = 3
		s.budget = budgets{falseDeaths: 6, drains: 1, starts: 2, works: 2, losses: 3, repeats: 3, refusals: 2}
	})
	add("4 nodes: joins, drains, leaves, crash", func(s *scope) {
		s.nodes = 4
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 2, starts: 2, works: 1, ends: 1, losses: 3, repeats: 3, refusals: 1}
	})
	add("standbys: crash, join, drain, starts, ends, refusals", func(s *scope) {
		s.k, s.leave, s.later = 1, true, true
		s.budget = budgets{crashes: 1, drains: 1, starts: 3, ends: 2, works: 4, losses: 4, repeats: 4, refusals: 1}
	})
	add("standbys: 2 of them, 2 crashes, restart in place", func(s *scope) {
		s.k, s.nodes, s.joined = 2, 4, 3
		s.slots = []int{0, 1, 2, 2}
		s.budget = budgets{crashes: 2, starts: 2, ends: 1, works: 4, losses: 4, repeats: 4}
	})
	add("standbys: false deaths, drain", func(s *scope) {
		s.k, s.strict, s.joined, s.noJoin = 1, true, 3, true
		s.budget = budgets{falseDeaths: 6, drains: 1, works: 4, losses: 4, repeats: 4}
	})
	add("4 nodes, standbys: joins, drains, crash", func(s *scope) {
		s.k, s.nodes, s.joined, s.leave, s.later = 1, 4, 3, true, true
		s.budget = budgets{crashes: 1, drains: 2, starts: 3, ends: 1, works: 3, losses: 3, repeats: 3, refusals: 1}
	})
	add("4 nodes, 2 standbys, own heirs: crash, drain, ends", func(s *scope) {
		s.k, s.nodes, s.joined, s.own, s.leave, s.later = 2, 4, 3, true, true, true
		s.budget = budgets{crashes: 1, drains: 1, starts: 2, ends: 1, works: 4, losses: 3, repeats: 3}
	})
	add("4 nodes, 2 standbys, own heirs: false deaths, drain", func(s *scope) {
		s.k, s.nodes, s.joined, s.own, s.strict, s.noJoin = 2, 4, 4, true, true, true
		s.budget = budgets{falseDeaths: 4, drains: 1, works: 4, losses: 3, repeats: 3}
	})
	return list
}

// TestRandomWalks goes through its scopes at random, checking every state, and then
// lets only happen what must: a good state has to come.
func TestRandomWalks(t *testing.T) {
	steps := 8_000
	switch {
	case *exploreSteps > 0:
		steps = *exploreSteps
	case raceEnabled || testing.Short():
		steps = 300
	}
	for i, s := range walks() {
		t.Run(s.name, func(t *testing.T) {
			tables := tables3()
			if s.nodes == 4 {
				tables = tables4()
			}
			for j := range tables {
				w := newWalker(s.withTables(tables, j), uint64(i), uint64(j))
				for w.steps < steps/len(tables) {
					if violation := w.walk(); violation != "" {
						t.Fatalf("%s, table %s, walk %d: %s\n%s", s.name, tables[j].name, w.walks, violation,
							strings.Join(w.sp.describeAll(w.events), "\n"))
					}
				}
				explored.mu.Lock()
				explored.walks += w.walks
				explored.steps += w.steps
				explored.mu.Unlock()
			}
		})
	}
}

type walker struct {
	sp           *space
	es           edges
	random       *rand.Rand
	w            world
	events       []event
	walks, steps int
}

func newWalker(s *scope, seed1, seed2 uint64) *walker {
	w := &walker{sp: newSpace(s), random: rand.New(rand.NewPCG(seed1, seed2))}
	w.es.sp = w.sp
	return w
}

// walk is one run from the start to a good state.
func (k *walker) walk() (violation string) {
	k.walks++
	k.events = k.events[:0]
	first := k.sp.initial()
	k.w.copyFrom(&first)
	for range 20 + k.random.IntN(150) {
		list := k.es.of(&k.w)
		if len(list) == 0 {
			break
		}
		d := &list[k.random.IntN(len(list))]
		if !d.fair && k.random.IntN(3) > 0 {
			d = &list[k.random.IntN(len(list))]
		}
		if violation = k.take(d); violation != "" {
			return violation
		}
	}
	for n := 0; !k.sp.good(&k.w); n++ {
		var fair []*edge
		list := k.es.of(&k.w)
		for i := range list {
			if list[i].fair {
				fair = append(fair, &list[i])
			}
		}
		if len(fair) == 0 || n > 5_000 {
			return "I4, I5: no good state came"
		}
		if violation = k.take(fair[k.random.IntN(len(fair))]); violation != "" {
			return violation
		}
	}
	return ""
}

func (k *walker) take(d *edge) (violation string) {
	k.steps++
	k.events = append(k.events, d.e)
	violation = d.violation
	k.w.copyFrom(&d.w)
	if violation == "" {
		violation = k.sp.checkAll(&k.w)
	}
	return violation
}
