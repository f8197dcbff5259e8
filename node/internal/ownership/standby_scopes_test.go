package ownership

import "testing"

// standbyScopes3 are the scopes with standbys, each with every owner table of three members. The
// letters are families: a crashes, b joins, c and d drains, e two standbys, f false deaths, g a
// cluster that grows from one, h a network that loses, i two sessions, j refusals, k restarts of a
// slot, l members without standbys, m members without room, n members that choose targets in
// different orders, as zones and rings of their own make them.
func standbyScopes3() []scope {
	base := scope{nodes: 3, joined: 3, exist: 1, sessions: 1, k: 1, sticky: true, noJoin: true, noFind: true, maxID: 14}
	var list []scope
	add := func(name string, change func(s *scope)) {
		s := base
		s.name = "standbys: " + name
		change(&s)
		list = append(list, s)
	}
	standbysCrash(add)
	standbysFalse(add)
	standbysMore(add)
	standbysOwn(add)
	return list
}

// standbysCrash: members come, go and die.
func standbysCrash(add adder) {
	add("a1 crash", func(s *scope) { s.budget = budgets{works: 2, crashes: 1} })
	add("a2 crash, end, start", func(s *scope) { s.budget = budgets{works: 1, crashes: 1, ends: 1, starts: 1} })
	add("a3 crash, end, start, it is called", func(s *scope) {
		s.noFind = false
		s.budget = budgets{works: 1, crashes: 1, ends: 1, starts: 1}
	})
	add("b1 join, crash", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.budget = budgets{works: 2, crashes: 1}
	})
	add("b2 join, end, crash", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.budget = budgets{works: 1, crashes: 1, ends: 1}
	})
	add("c1 drain, crash", func(s *scope) { s.leave = true; s.budget = budgets{works: 1, crashes: 1, drains: 1} })
	add("c2 drain, end, crash", func(s *scope) { s.leave = true; s.budget = budgets{crashes: 1, drains: 1, ends: 1} })
	add("d1 join, drain, leave", func(s *scope) {
		s.joined, s.noJoin, s.leave = 2, false, true
		s.budget = budgets{works: 1, drains: 1}
	})
	add("d3 join, drain, crash", func(s *scope) {
		s.joined, s.noJoin, s.leave, s.later = 2, false, true, true
		s.budget = budgets{crashes: 1, drains: 1}
	})
	add("d2 2 drains", func(s *scope) { s.leave = true; s.budget = budgets{works: 1, drains: 2} })
	add("e1 2 standbys, 2 crashes", func(s *scope) { s.k = 2; s.budget = budgets{works: 2, crashes: 2} })
	add("g1 2 joins", func(s *scope) { s.joined, s.noJoin = 1, false; s.budget = budgets{works: 1} })
	add("g2 2 joins, crash", func(s *scope) { s.joined, s.noJoin = 1, false; s.budget = budgets{works: 1, crashes: 1} })
	add("g3 2 joins, end, crash", func(s *scope) {
		s.joined, s.noJoin = 1, false
		s.budget = budgets{works: 1, crashes: 1, ends: 1}
	})
	add("h1 losses", func(s *scope) {
		s.sticky = false
		s.budget = budgets{works: 1, crashes: 1, losses: 1, repeats: 1}
	})
}

// standbysFalse: members that live are taken for dead. Nothing is acknowledged without standbys.
func standbysFalse(add adder) {
	strict := func(name string, change func(s *scope)) {
		add(name, func(s *scope) { s.strict = true; change(s) })
	}
	strict("f1 false death", func(s *scope) { s.budget = budgets{works: 2, falseDeaths: 1} })
	strict("f2 2 false deaths", func(s *scope) { s.budget = budgets{works: 1, falseDeaths: 2} })
	strict("f3 false death, crash", func(s *scope) { s.budget = budgets{works: 1, falseDeaths: 1, crashes: 1} })
	strict("f4 3 false deaths", func(s *scope) { s.budget = budgets{works: 1, falseDeaths: 3} })
	strict("f5 join, false death", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.budget = budgets{works: 1, falseDeaths: 1}
	})
	strict("f6 drain, false death", func(s *scope) { s.budget = budgets{works: 1, falseDeaths: 1, drains: 1} })
	strict("f7 3 false deaths at the fence", func(s *scope) {
		s.lies = []lie{{0, 1}, {1, 0}, {2, 0}}
		s.budget = budgets{works: 1, falseDeaths: 3}
	})
	strict("f8 4 false deaths at the fence", func(s *scope) {
		s.lies = []lie{{0, 1}, {0, 2}, {1, 0}, {2, 0}}
		s.budget = budgets{works: 1, falseDeaths: 4}
	})
	strict("f9 2 false deaths, 2 sides change", func(s *scope) {
		s.lies = []lie{{1, 0}, {2, 0}}
		s.budget = budgets{works: 2, falseDeaths: 2}
	})
	strict("f10 2 false deaths by one, crash", func(s *scope) {
		s.lies = []lie{{0, 1}, {0, 2}}
		s.budget = budgets{works: 1, falseDeaths: 2, crashes: 1}
	})
	strict("f11 2 false deaths by one, end", func(s *scope) {
		s.lies = []lie{{0, 1}, {0, 2}}
		s.budget = budgets{works: 1, falseDeaths: 2, ends: 1}
	})
	strict("f12 2 false deaths, end", func(s *scope) { s.budget = budgets{falseDeaths: 2, ends: 1} })
}

// standbysMore: what the first model left out.
func standbysMore(add adder) {
	add("i1 2 sessions, crash, start", func(s *scope) {
		s.sessions, s.noFind = 2, false
		s.budget = budgets{crashes: 1, starts: 1, works: 1}
	})
	add("i2 2 sessions, join, crash, start", func(s *scope) {
		s.sessions, s.noFind, s.joined, s.noJoin = 2, false, 2, false
		s.budget = budgets{crashes: 1, starts: 1}
	})
	add("i3 2 sessions, drain, crash, start", func(s *scope) {
		s.sessions, s.noFind, s.leave = 2, false, true
		s.budget = budgets{crashes: 1, starts: 1, drains: 1}
	})
	add("i4 2 sessions, end, crash, start", func(s *scope) {
		s.sessions, s.noFind, s.exist = 2, false, 2
		s.budget = budgets{crashes: 1, ends: 1, starts: 1}
	})
	add("j1 refusal, join, crash", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.budget = budgets{works: 1, refusals: 1, crashes: 1}
	})
	add("j2 refusal, drain, crash", func(s *scope) {
		s.leave = true
		s.budget = budgets{works: 1, refusals: 1, crashes: 1, drains: 1}
	})
	add("k1 restart in place, crash", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.slots = []int{0, 1, 1}
		s.budget = budgets{works: 1, crashes: 1}
	})
	add("m1 no room, crash", func(s *scope) {
		s.fills = true
		s.budget = budgets{works: 2, crashes: 1, refusals: 2}
	})
	add("m2 no room, drain, crash", func(s *scope) {
		s.fills, s.leave = true, true
		s.budget = budgets{works: 1, crashes: 1, drains: 1, refusals: 1}
	})
	add("l1 one that keeps none joins", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.plain[2] = true
		s.budget = budgets{works: 1}
	})
	add("l2 one that keeps none drains, crash", func(s *scope) {
		s.plain[2], s.leave = true, true
		s.budget = budgets{works: 1, crashes: 1, drains: 1}
	})
}

// standbysOwn: a session that moves gets other targets than it had.
func standbysOwn(add adder) {
	own := func(name string, change func(s *scope)) { add(name, func(s *scope) { s.own = true; change(s) }) }
	own("n1 own heirs, crash", func(s *scope) { s.budget = budgets{works: 2, crashes: 1} })
	own("n2 own heirs, join, crash", func(s *scope) {
		s.joined, s.noJoin = 2, false
		s.budget = budgets{works: 1, crashes: 1}
	})
	own("n3 own heirs, drain, crash", func(s *scope) {
		s.leave = true
		s.budget = budgets{works: 1, crashes: 1, drains: 1}
	})
	own("n4 own heirs, end, crash, start", func(s *scope) { s.budget = budgets{crashes: 1, ends: 1, starts: 1} })
	own("n5 own heirs, 2 false deaths", func(s *scope) {
		s.strict = true
		s.lies = []lie{{1, 0}, {2, 0}}
		s.budget = budgets{works: 2, falseDeaths: 2}
	})
	own("n6 own heirs, false death, crash", func(s *scope) {
		s.strict = true
		s.budget = budgets{works: 1, falseDeaths: 1, crashes: 1}
	})
}

// TestExploreStandbys is TestExplore for scopes with standbys.
func TestExploreStandbys(t *testing.T) {
	for i, s := range standbyScopes3() {
		exploreTables(t, s, standbyTables3(), []int{i % 3, 3 + i%2}, 8_000)
	}
}

func standbyTables3() []namedTable {
	return []namedTable{
		{"012", prefer(0, 1, 2)}, {"210", prefer(2, 1, 0)}, {"120", prefer(1, 2, 0)},
		{"odd1", odd(1, 2, 2, 1)}, {"odd2", odd(1, 2, 2, 0)},
	}
}
