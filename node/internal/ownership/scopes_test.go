package ownership

// scopes3 are explored with each owner table of three members.
func scopes3() []scope {
	none := scope{nodes: 3, exist: 1, sessions: 1, sticky: true, maxID: 14}
	var list []scope
	add := func(name string, change func(s *scope)) {
		s := none
		s.name = name
		change(&s)
		list = append(list, s)
	}
	plain3(add)
	find3(add)
	refuse3(add)
	refuseFaults3(add)
	open3(add)
	assign3(add)
	strangers3(add)
	return list
}

type adder func(name string, change func(s *scope))

// plain3: members come, go and die.
func plain3(add adder) {
	add("2 joins", func(s *scope) { s.joined = 1 })
	add("drain, leave", func(s *scope) { s.joined = 3; s.leave = true; s.budget = budgets{drains: 1} })
	add("2 joins, drain, leave", func(s *scope) { s.joined = 1; s.leave = true; s.budget = budgets{drains: 1} })
	add("2 drains, leaves", func(s *scope) { s.joined = 3; s.leave = true; s.budget = budgets{drains: 2} })
	add("2 joins, 2 drains, leaves", func(s *scope) { s.joined = 1; s.leave = true; s.budget = budgets{drains: 2} })
	add("2 sessions, 2 joins, drain, leave", func(s *scope) {
		s.joined = 1
		s.exist = 2
		s.sessions = 2
		s.leave = true
		s.budget = budgets{drains: 1}
	})
	add("2 nodes, 5 false deaths", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{falseDeaths: 5, starts: 2, works: 2}
	})
	add("2 false deaths, start, change",
		func(s *scope) { s.joined = 3; s.budget = budgets{falseDeaths: 2, starts: 1, works: 1} })
	add("3 false deaths, start, change",
		func(s *scope) { s.joined = 3; s.budget = budgets{falseDeaths: 3, starts: 1, works: 1} })
	add("4 false deaths, drain", func(s *scope) {
		s.joined = 3
		s.safety = true
		s.budget = budgets{falseDeaths: 4, drains: 1}
	})
	add("join, 3 false deaths", func(s *scope) {
		s.joined = 2
		s.safety = true
		s.budget = budgets{falseDeaths: 3, works: 1}
	})
	add("2 joins, 2 false deaths", func(s *scope) { s.joined = 1; s.safety = true; s.budget = budgets{falseDeaths: 2} })
	add("false death, join, change",
		func(s *scope) { s.joined = 1; s.nodes = 2; s.budget = budgets{falseDeaths: 1, works: 1} })
	add("crash, drain, leave", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 1, works: 1}
	})
	add("crash, join", func(s *scope) { s.joined = 2; s.budget = budgets{crashes: 1, works: 1, starts: 1} })
	add("crash, 2 drains, leaves", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 2}
	})
	add("crash, false death", func(s *scope) { s.joined = 3; s.budget = budgets{crashes: 1, falseDeaths: 1} })
	add("restart in place, crash", func(s *scope) {
		s.joined = 2
		s.slots = []int{0, 1, 1}
		s.budget = budgets{crashes: 1, starts: 1}
	})
	add("restart in place, drain, leave", func(s *scope) {
		s.joined = 2
		s.slots = []int{0, 1, 1}
		s.leave = true
		s.budget = budgets{drains: 1, works: 1}
	})
	add("removing network, 2 joins",
		func(s *scope) { s.joined = 1; s.sticky = false; s.budget = budgets{losses: 2, repeats: 1} })
	add("removing network, drain, leave", func(s *scope) {
		s.joined = 3
		s.sticky = false
		s.leave = true
		s.budget = budgets{losses: 2, repeats: 1, drains: 1}
	})
	add("removing network, 2 false deaths", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.sticky = false
		s.maxID = 8
		s.budget = budgets{losses: 2, repeats: 1, falseDeaths: 2}
	})
	add("2 joins whose seed learns later",
		func(s *scope) { s.joined = 1; s.seedLater = true; s.leave = true; s.budget = budgets{drains: 1} })
}

// find3: sessions are called while they move. Session 1 does not exist at first.
func find3(add adder) {
	add("find: join", func(s *scope) { s.sessions = 2; s.joined = 2; s.budget = budgets{starts: 1, fails: 1} })
	add("find: 2 joins", func(s *scope) { s.sessions = 2; s.joined = 1; s.budget = budgets{starts: 1} })
	add("find: drain, leave", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.budget = budgets{drains: 1, starts: 1, fails: 1}
	})
	add("find: 2 drains, leaves, 2 starts, end", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.budget = budgets{starts: 2, ends: 1, drains: 2}
	})
	add("find: 2 nodes, 2 false deaths", func(s *scope) {
		s.sessions = 2
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{falseDeaths: 2, starts: 2, works: 1}
	})
	add("find: false death", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.budget = budgets{falseDeaths: 1, starts: 2}
	})
	add("find: crash, drain, leave", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 1, starts: 1}
	})
	add("find: crash, join", func(s *scope) {
		s.sessions = 2
		s.joined = 2
		s.budget = budgets{crashes: 1, starts: 1, works: 1}
	})
	add("find: false death, drain", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.budget = budgets{falseDeaths: 1, drains: 1, starts: 1}
	})
	add("find: false death, join", func(s *scope) {
		s.sessions = 2
		s.joined = 2
		s.budget = budgets{falseDeaths: 1, starts: 1}
	})
	add("find: removing network, join", func(s *scope) {
		s.sessions = 2
		s.joined = 2
		s.sticky = false
		s.budget = budgets{losses: 1, repeats: 1, starts: 1}
	})
	add("find: 2 joins, earlier release",
		func(s *scope) { s.sessions = 2; s.joined = 1; s.unlisted = true; s.budget = budgets{starts: 1} })
	add("find: crash, join, earlier release", func(s *scope) {
		s.sessions = 2
		s.joined = 2
		s.unlisted = true
		s.budget = budgets{crashes: 1, starts: 1, works: 1}
	})
	add("find: drain, leave, earlier release", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.unlisted = true
		s.budget = budgets{drains: 1, starts: 1, fails: 1}
	})
}

// refuse3: sessions that cannot be taken, or not be sealed.
func refuse3(add adder) {
	add("refuse: join", func(s *scope) { s.joined = 2; s.budget = budgets{refusals: 1, works: 1} })
	add("refuse: 2 joins", func(s *scope) { s.joined = 1; s.budget = budgets{refusals: 2} })
	add("refuse: 2 drains, deadline", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{refusals: 2, drains: 2, deadlines: 1, starts: 1, works: 1}
	})
	add("refuse: 2 joins, drain, leave",
		func(s *scope) { s.joined = 1; s.leave = true; s.budget = budgets{refusals: 2, drains: 1} })
	add("refuse: join, end, retry, drain", func(s *scope) {
		s.joined = 2
		s.leave = true
		s.budget = budgets{refusals: 1, ends: 1, starts: 1, retries: 1, drains: 1}
	})
	add("refuse: only 0 can take it, 2 drains", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.bad = [maxNodes]bool{false, true, true}
		s.budget = budgets{drains: 2, works: 1}
	})
	add("refuse: only 1 can take it, 2 drains", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.bad = [maxNodes]bool{true, false, true}
		s.budget = budgets{drains: 2, works: 1}
	})
	add("refuse: only 0 can take it, 2 joins, drain", func(s *scope) {
		s.joined = 1
		s.leave = true
		s.bad = [maxNodes]bool{false, true, true}
		s.budget = budgets{drains: 1, works: 1}
	})
}

// refuseFaults3: the same with deaths, losses and several sessions.
func refuseFaults3(add adder) {
	add("refuse: 2 nodes, 2 false deaths", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{refusals: 1, falseDeaths: 2, starts: 1, works: 1}
	})
	add("refuse: false death, drain",
		func(s *scope) { s.joined = 3; s.budget = budgets{refusals: 1, falseDeaths: 1, starts: 1, drains: 1} })
	add("refuse: 2 false deaths", func(s *scope) {
		s.joined = 3
		s.budget = budgets{refusals: 1, falseDeaths: 2, starts: 1}
	})
	add("refuse: crash, 2 drains", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{refusals: 1, crashes: 1, drains: 2, starts: 1}
	})
	add("refuse: crash, drain, end", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{refusals: 2, crashes: 1, drains: 1, ends: 1}
	})
	add("refuse: crash, 2 joins, end",
		func(s *scope) { s.joined = 1; s.budget = budgets{refusals: 1, crashes: 1, ends: 1} })
	add("refuse: join, crash", func(s *scope) {
		s.joined = 2
		s.budget = budgets{refusals: 1, crashes: 1, starts: 1, works: 1}
	})
	add("refuse: removing network, drain, end", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.sticky = false
		s.leave = true
		s.budget = budgets{losses: 2, repeats: 1, refusals: 1, drains: 1, ends: 1, starts: 1}
	})
	add("refuse: removing network, drain, false death", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.sticky = false
		s.maxID = 8
		s.budget = budgets{losses: 2, refusals: 1, falseDeaths: 1, drains: 1, starts: 1}
	})
	add("refuse: 2 sessions, join, end", func(s *scope) {
		s.exist = 2
		s.sessions = 2
		s.joined = 2
		s.budget = budgets{refusals: 2, ends: 1, starts: 1}
	})
	add("refuse: 2 sessions, drain, end", func(s *scope) {
		s.exist = 2
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.budget = budgets{refusals: 1, ends: 1, starts: 1, drains: 1}
	})
	add("refuse: 2 sessions, 2 nodes, false death", func(s *scope) {
		s.exist = 2
		s.sessions = 2
		s.joined = 2
		s.noJoin = true
		s.budget = budgets{refusals: 1, falseDeaths: 1, starts: 1}
	})
	add("refuse: find, drain, leave", func(s *scope) {
		s.sessions = 2
		s.joined = 3
		s.leave = true
		s.budget = budgets{refusals: 1, starts: 1, drains: 1}
	})
}

// open3: what the design left open.
func open3(add adder) {
	add("chunks: drain, leave", func(s *scope) {
		s.joined = 3
		s.chunks = true
		s.leave = true
		s.budget = budgets{refusals: 1, drains: 1, ends: 1, starts: 1}
	})
	add("chunks: 2 joins", func(s *scope) { s.joined = 1; s.chunks = true; s.budget = budgets{refusals: 1, works: 1} })
	add("chunks: crash, 2 drains", func(s *scope) {
		s.joined = 3
		s.chunks = true
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 2, works: 1}
	})
	add("chunks: 2 nodes, 2 false deaths", func(s *scope) {
		s.joined = 2
		s.noJoin = true
		s.chunks = true
		s.budget = budgets{falseDeaths: 2, refusals: 1, works: 2}
	})
	add("chunks: false death, join",
		func(s *scope) { s.joined = 2; s.chunks = true; s.budget = budgets{falseDeaths: 1, works: 1} })
	add("batch: 2 partitions, 2 joins", func(s *scope) {
		s.exist = 2
		s.sessions = 2
		s.joined = 1
		s.batch = true
		s.parts = 2
	})
	add("batch: 2 partitions, drain, leave", func(s *scope) {
		s.exist = 2
		s.sessions = 2
		s.joined = 3
		s.batch = true
		s.leave = true
		s.parts = 2
		s.budget = budgets{drains: 1}
	})
	add("deadline: drain, leave", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{drains: 1, deadlines: 1, starts: 1, works: 1}
	})
	add("deadline: 2 joins, drain, leave",
		func(s *scope) { s.joined = 1; s.leave = true; s.budget = budgets{drains: 1, deadlines: 1} })
	add("deadline: 2 drains, leaves, join",
		func(s *scope) { s.joined = 2; s.leave = true; s.budget = budgets{drains: 2, deadlines: 2} })
	add("bye: join, 2 drains", func(s *scope) {
		s.joined = 2
		s.leave = true
		s.talkBye = true
		s.budget = budgets{drains: 2}
	})
	add("tomb: crash, drain, end", func(s *scope) {
		s.joined = 3
		s.leave = true
		s.budget = budgets{crashes: 1, drains: 1, ends: 1, starts: 1}
	})
	add("tomb: crash, 2 drains, end",
		func(s *scope) { s.joined = 3; s.leave = true; s.budget = budgets{crashes: 1, drains: 2, ends: 1} })
	add("tomb: crash, 2 joins, end", func(s *scope) { s.joined = 1; s.budget = budgets{crashes: 1, ends: 1} })
	add("tomb: crash, join, end", func(s *scope) { s.joined = 2; s.budget = budgets{crashes: 1, ends: 1, starts: 1} })
	add("tomb: 2 joins, drain, end",
		func(s *scope) { s.joined = 1; s.leave = true; s.budget = budgets{drains: 1, ends: 1} })
	add("tomb: removing network, crash, drain, end", func(s *scope) {
		s.joined = 3
		s.sticky = false
		s.budget = budgets{losses: 1, crashes: 1, drains: 1, ends: 1}
	})
}

// assign3: a member that drains, and whose sessions some cannot take, has one that can
// own the partition for a while.
func assign3(add adder) {
	drains := func(assigns uint8, more func(s *scope)) func(s *scope) {
		return func(s *scope) {
			s.joined, s.leave, s.assignTo = 3, true, 2
			s.budget = budgets{drains: 1, assigns: assigns}
			more(s)
		}
	}
	add("assign: drain, leave", drains(3, func(s *scope) { s.budget.refusals, s.budget.works = 2, 1 }))
	add("assign: only 2 can take it", drains(2, func(s *scope) { s.bad, s.budget.works = [maxNodes]bool{true, true}, 1 }))
	add("assign: only 2 can take it, 2 drains", drains(3, func(s *scope) {
		s.bad, s.budget.drains = [maxNodes]bool{true, true}, 2
	}))
	add("assign: 2 sessions, end, start", drains(2, func(s *scope) {
		s.exist, s.sessions = 2, 2
		s.budget.refusals, s.budget.ends, s.budget.starts = 1, 1, 1
	}))
	add("assign: find", drains(2, func(s *scope) { s.sessions, s.budget.starts, s.budget.refusals = 2, 1, 1 }))
	add("assign: join", drains(2, func(s *scope) { s.joined, s.budget.refusals = 2, 1 }))
	add("assign: crash", drains(2, func(s *scope) { s.budget.crashes, s.budget.refusals, s.budget.works = 1, 1, 1 }))
	add("assign: false death", drains(2, func(s *scope) { s.leave, s.budget.falseDeaths, s.budget.works = false, 1, 1 }))
	add("assign: deadline", drains(2, func(s *scope) { s.bad, s.budget.deadlines = [maxNodes]bool{true, false, true}, 1 }))
	add("assign: removing network", drains(2, func(s *scope) {
		s.sticky, s.budget.losses, s.budget.repeats, s.budget.refusals = false, 1, 1, 1
	}))
	add("assign: chunks", drains(2, func(s *scope) { s.chunks, s.budget.refusals, s.budget.ends = true, 1, 1 }))
}
