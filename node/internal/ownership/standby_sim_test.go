package ownership

import "slices"

// reachable: a standby of x is known here, and will run.
func (n *node) reachable(x int) bool { return n.keeps[x].on || n.told[x].on }

// replicated gives a node what it has at the start: the owner its replicas, others the standbys.
func (n *node) replicated(v view) {
	if n.s.plain != [maxNodes]bool{} {
		return // nobody keeps standbys, or has not yet
	}
	n.m.heirs = n.s.view(n.self, v, said{}).Heirs
	for j := range n.s.joined {
		if j != n.self {
			n.m.knows(memberName(j), n.m.asks)
		}
	}
	n.m.bye.number, n.m.bye.names, n.m.bye.known = 1, n.m.present, slices.Clone(n.m.present)
	n.m.chooseEligible()
	for x := range n.s.exist {
		p := n.s.part(x)
		owner := n.s.owner(v, said{}, p)
		targets := n.s.heirs(owner, v, said{}, p)
		targets = targets[:min(n.s.k, len(targets))]
		slices.Sort(targets)
		if n.self == owner {
			n.m.parts[p].lead = memberName(n.self)
			n.runs(x, content{on: true, bits: 1}, targets)
			for i := range n.reps[x].members {
				n.reps[x].members[i].acked = 1
			}
		} else if slices.Contains(targets, memberName(n.self)) {
			n.m.parts[p].setWriter(sessionName(x), memberName(owner))
			n.keeps[x] = content{on: true, bits: 1, hold: targets}
		}
	}
}

// runs makes x run here, or its tombstone be here.
func (n *node) runs(x int, h content, hold []string) {
	n.table[x] = record{at: running, bits: h.bits, hold: hold}
	if h.tomb {
		n.table[x].at = tomb
	}
	n.rerun(x)
}

// rerun gives a copy a replica, in which nothing is acknowledged yet.
func (n *node) rerun(x int) {
	if n.s.k == 0 || n.s.plain[n.self] {
		return
	}
	r := &n.table[x]
	hold := dropName(slices.Clone(r.hold), memberName(n.self))
	n.reps[x] = NewReplica(n.s.k, n.s.minimum(), hold)
	n.reps[x].Ended = r.at == tomb
	n.gen[x] = (n.gen[x] + 1) % maxStreamed
	n.past[x] = []uint16{r.bits}
	r.hold = nil
}

// unrun takes the replica of a copy that is sealed.
func (n *node) unrun(x int) {
	if r := n.reps[x]; r != nil {
		n.table[x].hold, n.reps[x], n.past[x] = r.Hold(), nil, nil
	}
}

func (n *node) changed(x int) {
	if r := n.reps[x]; r != nil {
		r.Change()
		n.past[x] = append(n.past[x], n.table[x].bits)
	}
}

// start begins x anew; over a tombstone it inherits what that has seen, and its standbys.
func (n *node) start(x int, b uint8) {
	n.do(n.m.Started(n.s.part(x), sessionName(x)))
	r := &n.table[x]
	if r.at == tomb && n.reps[x] != nil {
		r.at, r.bits, n.reps[x].Ended = running, r.bits|1<<b, false
		n.changed(x)
		return
	}
	n.runs(x, content{on: true, bits: r.bits | 1<<b}, nil)
}

func (n *node) end(x int, b uint8) {
	r := &n.table[x]
	r.at, r.bits = tomb, r.bits|1<<b
	remember, effects := n.m.Ended(n.s.part(x), sessionName(x), !n.s.plain[n.self])
	if !remember {
		n.acked[x] |= r.bits
		*r, n.reps[x] = record{}, nil
	} else if n.reps[x] != nil {
		n.reps[x].Ended = true
		n.changed(x)
	}
	n.do(effects)
}

// holders is what travels with a session.
func (n *node) holders(x int) *report {
	if n.s.k == 0 {
		return nil
	}
	return &report{hold: n.table[x].hold}
}

func (n *node) takeReplicated(k packet, x int) {
	p, from := n.s.part(x), memberName(k.from)
	comes := content{on: true, bits: k.bits, tomb: k.in.Form == Ended, hold: union(k.report.hold, []string{from})}
	here := n.table[x]
	mine := content{on: here.at != nowhere, bits: here.bits, tomb: here.at == tomb, hold: here.hold}
	back := n.m.parts[p].sealed.find(k.in.Session) != nil
	joined := mine.join(comes)
	k.in.Replicated = !n.s.plain[n.self]
	ok, effects := n.m.Accept(p, k.in, joined.tomb)
	if ok {
		switch {
		case back || !mine.on:
			n.witnesses[x] = 0
			n.runs(x, joined, joined.hold)
		case n.reps[x] == nil:
			n.runs(x, joined, joined.hold)
		default:
			n.reps[x].Join(comes.hold)
			n.become(x, joined)
		}
	}
	n.do(effects)
	if ok && n.keeps[x].on && covers(n.table[x].bits, n.keeps[x].bits) {
		n.keeps[x] = content{}
		n.do(n.m.Promoted(p, k.in.Session, n.table[x].at == tomb))
	}
}

// become changes what runs here to what it was joined to.
func (n *node) become(x int, h content) {
	r := &n.table[x]
	if covers(r.bits, h.bits) {
		return
	}
	r.at, r.bits = running, h.bits
	if h.tomb {
		r.at = tomb
	}
	n.reps[x].Ended = h.tomb
	n.changed(x)
}

// promote runs the standbys that may run.
func (n *node) promote(p int) {
	for x := range n.s.sessions {
		if n.s.part(x) != p || !n.reachable(x) {
			continue
		}
		if !n.m.FullFor(p, sessionName(x)) && !(n.m.Joins(p) && n.table[x].at == running) {
			continue
		}
		h := n.keeps[x].join(n.told[x])
		switch n.table[x].at {
		case nowhere:
			n.runs(x, h, h.hold)
			for j := range n.view {
				if n.view[j].present() {
					n.witnesses[x] |= 1 << j
				}
			}
		case running, tomb:
			if n.reps[x] == nil && (n.table[x].at == running || contains(n.m.parts[p].ends, sessionName(x))) {
				n.rerun(x)
			}
			if n.reps[x] == nil {
				continue
			}
			n.reps[x].Join(h.hold)
			n.become(x, content{on: true, bits: n.table[x].bits, tomb: n.table[x].at == tomb}.join(h))
		default:
			continue
		}
		n.keeps[x], n.told[x] = content{}, content{}
		n.do(n.m.Promoted(p, sessionName(x), n.table[x].at == tomb))
	}
}

func (n *node) shelve(x int) {
	r := n.table[x]
	n.keeps[x] = n.keeps[x].join(content{on: true, bits: r.bits, tomb: r.at == tomb, hold: r.hold})
	n.table[x], n.reps[x] = record{}, nil
}

func (n *node) purge(p int) {
	for x := range n.s.sessions {
		if n.s.part(x) == p {
			n.keeps[x], n.told[x] = content{}, content{}
		}
	}
}

// report sends what Recover or Find asks for.
func (n *node) report(e Effect) {
	r := &report{partition: e.Partition, id: e.ID, round: e.Round, session: e.Session}
	for x := range n.s.sessions {
		if n.s.part(x) == e.Partition && n.keeps[x].on && (e.Session == "" || sessionName(x) == e.Session) {
			r.items[x] = n.keeps[x]
			if !n.m.on(ruleKeepReported) {
				n.keeps[x] = content{}
				n.m.parts[e.Partition].forget(sessionName(x))
			}
		}
	}
	n.out = append(n.out, packet{from: n.self, to: memberIndex(e.To), report: r})
}

func (n *node) reported(k packet) {
	r, from := k.report, memberName(k.from)
	if !n.m.Awaits(r.partition, from, r.id, r.round, r.session) {
		return
	}
	for x, h := range r.items {
		if !h.on {
			continue
		}
		h.hold = addName(dropName(slices.Clone(h.hold), memberName(n.self)), from)
		if n.reps[x] != nil && covers(n.table[x].bits, h.bits) {
			n.reps[x].Join(h.hold)
		} else {
			n.told[x] = n.told[x].join(h)
		}
	}
	n.do(n.m.Reported(r.partition, from, r.id, r.round, r.session))
	if r.session != "" {
		n.promote(r.partition)
	}
}

// tend tells the members what they have to know.
func (n *node) tend() {
	if n.s.k == 0 || n.s.plain[n.self] {
		return
	}
	for x := range n.s.sessions {
		p, name := n.s.part(x), sessionName(x)
		if at := n.table[x].at; n.reps[x] == nil && (at == running || at == tomb && contains(n.m.parts[p].ends, name)) {
			n.rerun(x)
		}
		if n.reps[x] == nil {
			if n.table[x].at == nowhere {
				n.do(n.m.Secured(p, name))
			}
			continue
		}
		now := n.m.Tend(p, name, n.reps[x])
		if n.acknowledges(p, x) && now.Acked > 0 {
			n.acked[x] |= n.past[x][now.Acked-1]
		}
		if n.reps[x].burial > 0 {
			n.acked[x] |= n.table[x].bits // nobody has an older standby, however few there are
		}
		for _, say := range now.Say {
			n.out = append(n.out, packet{from: n.self, to: memberIndex(say.To), stream: &streamed{x: x, gen: n.gen[x], say: say,
				content: content{on: true, bits: n.table[x].bits, tomb: n.table[x].at == tomb, hold: say.Hold}}})
		}
		if now.Secured {
			n.do(n.m.Secured(p, name))
		}
		if now.Buried {
			if ok, effects := n.m.Buried(p, name); ok {
				n.table[x], n.reps[x] = record{}, nil
				n.do(effects)
			}
		}
	}
}

// acknowledges: with fewer standbys than wanted nothing is promised.
func (n *node) acknowledges(p, x int) bool {
	return len(n.m.Targets(p, n.reps[x])) >= n.s.k || !n.m.on(ruleAcked)
}

// streamed takes in a message of a stream.
func (n *node) streamed(k packet, full bool) {
	s, p, from := k.stream, n.s.part(k.stream.x), memberName(k.from)
	if s.answer {
		if n.gen[s.x] == s.gen && n.reps[s.x] != nil {
			told := s.say
			if n.s.quick {
				n.checkHeard(p, s.x, told, s.verdict, s.stamp)
			}
			told.by = n.reps[s.x]
			n.do(n.m.Answered(p, sessionName(s.x), n.reps[s.x], told, s.verdict, s.stamp))
		}
		return
	}
	var effects []Effect
	answer := *s
	answer.answer, answer.content = true, content{}
	mine := &n.keeps[s.x]
	fits := (!mine.on || covers(s.content.bits, mine.bits)) && covers(s.content.bits, n.table[s.x].bits)
	if s.say.What == ToKeep && n.atRest(p, s.x) && s.content.bits == n.table[s.x].bits {
		fits = false
	}
	if full {
		answer.verdict = NoRoom
	} else if s.say.What == ToKeep {
		if n.s.quick {
			n.checkRecord(p, from, s.say.Stamp, sessionName(s.x), fits)
		}
		if answer.verdict, effects = n.m.Record(p, from, s.say.Stamp, sessionName(s.x), fits); answer.verdict == Taken {
			*mine = s.content
		}
	} else {
		answer.verdict, effects = n.m.Discard(p, from, s.say.Stamp, sessionName(s.x), fits)
		if answer.verdict == Cleared {
			*mine = content{}
		}
	}
	answer.stamp = n.m.Stamp(p, from)
	n.out = append(n.out, packet{from: n.self, to: k.from, stream: &answer})
	n.do(effects)
}

// atRest: a copy of x is here that runs, or its tombstone, and is not on its way.
func (n *node) atRest(p, x int) bool {
	at := n.table[x].at
	return (at == running || at == tomb) && n.m.parts[p].sealed.find(sessionName(x)) == nil
}

// retry says again what was refused for the moment.
func (n *node) retry() {
	for _, r := range n.reps {
		if r != nil {
			r.Retry()
			r.Room()
		}
	}
}

// broken: the stream to a member has been lost.
func (n *node) broken(to int) {
	for x := range n.reps {
		if n.reps[x] != nil {
			n.reps[x].Broken(memberName(to))
		}
	}
}
