package ownership

import "testing"

// Whom a node counts among the members is decided before the machine hears of it, by
// package cluster: gossip can be repeated by anybody, so whoever it names counts once this
// node has met it, or a member that counts says that it counts it. Here the machine is
// explored with views that come about in that way.

// strangers is what a node knows beside its view.
type strangers struct {
	heard view           // what gossip says
	met   [maxNodes]bool // by this node, or on its word by another
	gone  [maxNodes]bool // was heard to be gone once
	ghost [maxNodes]bool // what is heard is out of date, and is heard again and again
}

// knows makes the members of a view met.
func (n *node) knows(v view) {
	if !n.s.hellos {
		return
	}
	n.heard = v
	for j := range n.s.nodes {
		if v[j].present() {
			n.met[j] = true
		}
	}
}

// joinsVia takes in what a seed has heard. The seed is met by joining, all others are
// strangers.
func (n *node) joinsVia(seed int, v *view, of *node) {
	if !n.s.hellos {
		return
	}
	n.heard, n.ghost = of.heard, of.ghost
	n.heard[n.self] = Serving
	n.met[n.self], n.met[seed] = true, true
	for j := range n.s.nodes {
		switch {
		case n.heard[j] == Dead:
			n.heard[j] = Gone
		case n.heard[j].present() && !n.counts(j):
			v[j] = Unknown
		case n.heard[j].present():
			v[j] = n.heard[j]
		}
	}
	n.view = *v
}

// gossip is what is heard of a member.
func (n *node) gossip(j int) Level {
	if n.s.hellos {
		return n.heard[j]
	}
	return n.view[j]
}

func (n *node) counts(j int) bool {
	return n.met[j] || n.s.noProof || n.s.older[j] || n.s.older[n.self]
}

// learn takes in what gossip says of a member.
func (n *node) learn(j int, l Level) {
	if n.s.hellos {
		n.hear(j, l)
	} else {
		n.view[j] = l
	}
	n.look()
}

func (n *node) hear(j int, l Level) {
	switch was := n.view[j]; {
	case l.present() && n.counts(j):
		n.view[j] = l
	case l.present():
	case was.present() || was == Dead || was == Gone:
		n.view[j] = l
		n.met[j] = false // whoever comes by that name has to be met anew
	}
	n.heard[j] = l
	n.gone[j] = n.gone[j] || !l.present()
	n.ghost[j] = n.ghost[j] && l.present()
}

// meetings: how a stranger comes to count, and how a ghost comes up.
func (es *edges) meetings(i, j int) {
	sp, w := es.sp, es.from
	n := sp.nodes[w.node[i]]
	away := w.node[j] == 0 && (w.truth[j] == Left || w.crashed[j])
	if away && w.left.ghosts > 0 && n.heard[j].away() && !n.ghost[j] {
		for _, l := range []Level{Serving, Draining} {
			es.at(i, event{kind: evGhost, a: uint32(j), b: uint8(l)}, false, func(w *world) { w.left.ghosts-- })
		}
	}
	if !n.heard[j].present() || n.counts(j) {
		return
	}
	meets := w.node[j] != 0 && !sp.s.separated(i, j)
	for k := range sp.s.nodes {
		asked := k != i && k != j && w.node[k] != 0 && n.view[k].present() && !sp.s.separated(i, k)
		meets = meets || asked && es.vouches(k, j, n.gone[j])
	}
	if meets {
		es.at(i, event{kind: evMeet, a: uint32(j)}, true, nil)
	}
}

// vouches: k says that it counts j. Whoever has heard that j was gone wants to know whether
// j answers now: k may not have heard that yet.
func (es *edges) vouches(k, j int, anew bool) bool {
	sp, w := es.sp, es.from
	by := sp.nodes[w.node[k]]
	switch {
	case sp.s.noWord || sp.s.older[k]:
		return false
	case anew && !sp.s.oldWord:
		return w.node[j] != 0 && !sp.s.separated(k, j) && by.heard[j].present()
	}
	return by.view[j].present()
}

func (s *scope) separated(i, j int) bool {
	return s.apart != [2]int{} && (s.apart == [2]int{i, j} || s.apart == [2]int{j, i})
}

// strangers3 are scopes in which who is heard of has to be met.
func strangers3(add adder) {
	met := func(more func(s *scope)) func(s *scope) {
		return func(s *scope) {
			s.hellos, s.joined = true, 3
			more(s)
		}
	}
	add("hellos: 2 joins", met(func(s *scope) { s.joined = 1 }))
	add("hellos: 2 joins, drain, leave", met(func(s *scope) { s.joined, s.leave, s.budget.drains = 1, true, 1 }))
	add("hellos: 2 joins apart, drain", met(func(s *scope) {
		s.joined, s.apart, s.budget.drains = 1, [2]int{1, 2}, 1
	}))
	add("hellos: join apart", met(func(s *scope) { s.joined, s.apart, s.via = 2, [2]int{1, 2}, []int{0, 0, 0} }))
	add("hellos: 2 false deaths, change", met(func(s *scope) { s.budget.falseDeaths, s.budget.works = 2, 1 }))
	add("hellos: false deaths apart", met(func(s *scope) { s.apart, s.budget.falseDeaths = [2]int{0, 1}, 2 }))
	add("hellos: crash, join, start", met(func(s *scope) { s.joined, s.budget.crashes, s.budget.starts = 2, 1, 1 }))
	add("hellos: an earlier release, 2 joins, drain", met(func(s *scope) {
		s.joined, s.older[0], s.budget.drains = 1, true, 1
	}))
	add("hellos: an earlier release joins, drain, leave", met(func(s *scope) {
		s.joined, s.older[2], s.leave, s.budget.drains = 1, true, true, 1
	}))
	add("hellos: an earlier release, false death", met(func(s *scope) {
		s.older[1], s.budget.falseDeaths, s.budget.works = true, 1, 1
	}))
	add("ghosts: drain, leave", met(func(s *scope) { s.leave, s.budget.drains, s.budget.ghosts = true, 1, 3 }))
	add("ghosts: 2 drains, leaves, start", met(func(s *scope) {
		s.leave, s.budget.drains, s.budget.ghosts, s.budget.starts = true, 2, 3, 1
	}))
	add("ghosts: drain, leave, join",
		met(func(s *scope) { s.joined, s.leave, s.budget.drains, s.budget.ghosts = 2, true, 1, 2 }))
	add("ghosts: crash, drain, leave", met(func(s *scope) {
		s.leave, s.budget.crashes, s.budget.drains, s.budget.ghosts = true, 1, 1, 2
	}))
	add("ghosts: restart in place, crash", met(func(s *scope) {
		s.joined, s.slots, s.budget.crashes, s.budget.ghosts = 2, []int{0, 1, 1}, 1, 2
	}))
	add("ghosts: false death, crash", met(func(s *scope) {
		s.budget.crashes, s.budget.falseDeaths, s.budget.ghosts = 1, 1, 1
	}))
}

// A ghost that counts is asked for every partition, and never answers.
func TestGhostsHoldNobodyUp(t *testing.T) {
	s := small("a ghost", prefer(2, 1, 0), func(s *scope) {
		s.hellos, s.joined, s.leave, s.budget.drains, s.budget.ghosts = true, 3, true, 1, 2
	})
	without := *s
	without.noProof = true
	mustFind(t, s, &without, "I4", 20_000)
}

// A member that has not heard yet that another one left may have met it before.
func TestOutdatedWordOfAnotherMemberDoesNotCount(t *testing.T) {
	s := small("an old word", prefer(2, 1, 0), func(s *scope) {
		s.hellos, s.joined, s.leave, s.budget.drains, s.budget.ghosts = true, 3, true, 1, 2
	})
	without := *s
	without.oldWord = true
	mustFind(t, s, &without, "I4", 20_000)
}

// If only own hellos counted, a cut between two members would leave one of them with
// another view than all others.
func TestWordOfAnotherMemberMakesViewsEqual(t *testing.T) {
	s := small("apart", prefer(2, 1, 0), func(s *scope) {
		s.hellos, s.joined, s.apart, s.via = true, 2, [2]int{1, 2}, []int{0, 0, 0}
	})
	without := *s
	without.noWord = true
	mustFind(t, s, &without, "I4", 20_000)
}
