package ownership

// scopes4 are explored with four members and priority orders.
func scopes4() []scope {
	var list []scope
	add := func(name string, change func(s *scope)) {
		s := scope{name: "4 nodes: " + name, nodes: 4, exist: 1, sessions: 1, sticky: true, maxID: 14}
		change(&s)
		list = append(list, s)
	}
	add("2 joins", func(s *scope) { s.joined = 2 })
	add("2 joins, drain, leave", func(s *scope) { s.joined = 2; s.leave = true; s.budget = budgets{drains: 1} })
	add("2 joins, 2 drains, leaves",
		func(s *scope) { s.joined = 2; s.leave = true; s.safety = true; s.budget = budgets{drains: 2} })
	add("2 joins by 2 seeds that leave", func(s *scope) {
		s.joined = 2
		s.draining = 1
		s.via = []int{0, 0, 0, 1}
		s.leave = true
		s.safety = true
		s.budget = budgets{drains: 1}
	})
	add("2 joins, crash", func(s *scope) { s.joined = 2; s.budget = budgets{crashes: 1} })
	add("2 joins whose seed learns later, drain, leave", func(s *scope) {
		s.joined = 2
		s.seedLater = true
		s.leave = true
		s.safety = true
		s.budget = budgets{drains: 1}
	})
	add("join, 2 false deaths", func(s *scope) { s.joined = 3; s.budget = budgets{falseDeaths: 2} })
	add("restart in place, crash, drain", func(s *scope) {
		s.joined = 3
		s.slots = []int{0, 1, 2, 2}
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 1}
	})
	add("2 drains, leaves", func(s *scope) { s.joined = 4; s.leave = true; s.budget = budgets{drains: 2} })
	add("crash, drain, leave", func(s *scope) { s.joined = 4; s.leave = true; s.budget = budgets{crashes: 1, drains: 1} })
	add("false death", func(s *scope) { s.joined = 4; s.budget = budgets{falseDeaths: 1, starts: 1, works: 1} })
	add("find: 2 joins", func(s *scope) { s.joined = 2; s.sessions = 2; s.budget = budgets{starts: 1} })
	add("find: drain, leave", func(s *scope) {
		s.joined = 4
		s.sessions = 2
		s.leave = true
		s.budget = budgets{starts: 1, drains: 1}
	})
	add("refuse: 2 drains, deadline", func(s *scope) {
		s.joined = 4
		s.leave = true
		s.budget = budgets{refusals: 1, drains: 2, deadlines: 1}
	})
	add("refuse: join, drain", func(s *scope) { s.joined = 3; s.leave = true; s.budget = budgets{refusals: 1, drains: 1} })
	add("refuse: crash, 2 drains", func(s *scope) {
		s.joined = 4
		s.leave = true
		s.budget = budgets{refusals: 1, crashes: 1, drains: 2}
	})
	add("refuse: false death", func(s *scope) { s.joined = 4; s.budget = budgets{refusals: 1, falseDeaths: 1} })
	add("tomb: crash, 2 drains, end",
		func(s *scope) { s.joined = 4; s.leave = true; s.budget = budgets{crashes: 1, drains: 2, ends: 1} })
	add("assign: drain, leave", func(s *scope) {
		s.joined, s.leave, s.assignTo = 4, true, 2
		s.budget = budgets{drains: 1, assigns: 2, refusals: 1}
	})
	add("assign: 2 drains, only 2 can take it", func(s *scope) {
		s.joined, s.leave, s.assignTo = 4, true, 2
		s.bad = [maxNodes]bool{true, true, false, true}
		s.budget = budgets{drains: 2, assigns: 2}
	})
	return list
}
