package ownership

// tidy drops the packets that can have no effect any more, whatever happens. It only
// makes equal what differs in nothing but that.
func (sp *space) tidy(w *world) {
	kept := w.net[:0]
	for _, k := range w.net {
		p := &sp.packets[k]
		if w.node[p.to] != 0 && sp.useful(w, p) {
			kept = append(kept, k)
		}
	}
	w.net = kept
}

func (sp *space) useful(w *world, k *packet) bool {
	to, from := sp.nodes[w.node[k.to]], sp.nodes[w.node[k.from]] // from is nil if it is not up
	switch {
	case k.welcome != nil:
		return !to.m.join.over
	case k.transfer:
		p := sp.s.part(sessionIndex(k.in.Session))
		return from.sends(p, k.to, k.in.ID, k.in.Session) || to.asks(p, k.from, k.in.ID) == pulling
	case k.report != nil:
		return to.m.Awaits(k.report.partition, memberName(k.from), k.report.id, k.report.round, k.report.session)
	}
	for _, m := range k.messages {
		if usefulMessage(to, from, k, m) {
			return true
		}
	}
	return false
}

// asks is how far a node, which may not be up, asks a member under an id.
func (n *node) asks(p, member int, id uint64) state {
	if n != nil {
		if q := n.m.parts[p].entry(memberName(member), id); q != nil {
			return q.ask
		}
	}
	return unasked
}

// stampMatters: a promise tells more than the node knows.
func (n *node) stampMatters(q *peer, id uint64) bool { return n.m.keeps && q != nil && id > q.my }

// waitsFor: an answer about a single session may matter.
func (n *node) waitsFor(p, member int, id uint64) bool {
	ask := n.asks(p, member, id)
	return ask == pulling || n != nil && n.m.keeps && ask > pulling && ask != clean
}

func (n *node) sends(p, to int, id uint64, session string) bool {
	if n == nil {
		return false
	}
	s := n.m.parts[p].sealed.find(session)
	return s != nil && s.to == memberName(to) && s.id == id
}

// unconfirmed: the node has taken a session, and does not know that its source
// knows.
func (n *node) unconfirmed(p, source int, id uint64, session string) bool {
	if n == nil {
		return false
	}
	q := n.m.parts[p].peer(memberName(source))
	if q == nil {
		return false
	}
	a := q.accepted(session)
	return a != nil && a.id == id && !a.confirmed
}

func usefulMessage(to, from *node, k *packet, m Message) bool {
	switch m.Kind {
	case Bye:
		return from != nil && from.m.bye.number == m.ID
	case Known:
		return to.m.bye.number == m.ID
	}
	p := m.Partition
	part := &to.m.parts[p]
	var seen uint64
	q := part.peer(memberName(k.from))
	if q != nil {
		seen = q.seen
	}
	var e peer // the entry that the message answers
	if q := part.entry(memberName(k.from), m.ID); q != nil {
		e = *q
	}
	switch m.Kind {
	case Claim:
		ask := from.asks(p, k.to, m.ID)
		return m.ID > seen || ask == asked || ask != unasked && !to.m.on(ruleSpent)
	case NotYet:
		return m.Flag && (e.ask == asked || e.ask == recovering)
	case Promise:
		return e.ask == asked || to.stampMatters(q, m.ID)
	case Done:
		return to.stampMatters(q, m.ID) || e.ask != unasked && (e.ask < done || e.acc.len() > 0 ||
			!keptWithin(e.kept.list(), m.Kept))
	case Pull:
		return usefulPull(to, from, k, m, seen)
	case Find:
		return from.waitsFor(p, k.to, m.ID)
	case Absent, Here:
		return to.waitsFor(p, k.from, m.ID)
	case Recover:
		mine := part.rel.to == memberName(k.from) && part.rel.id == m.ID
		return from.asks(p, k.to, m.ID) == recovering || mine && part.lead != memberName(k.from)
	case Forgot:
		return to.unconfirmed(p, k.from, m.ID, m.Session)
	case Active:
		return to.sends(p, k.from, m.ID, m.Session) || from.unconfirmed(p, k.to, m.ID, m.Session) && from.m.draining
	case Refused:
		return to.sends(p, k.from, m.ID, m.Session)
	case Offer:
		return q == nil || q.ask == unasked || m.ID >= q.id
	}
	return true
}

func usefulPull(to, from *node, k *packet, m Message, seen uint64) bool {
	part := &to.m.parts[m.Partition]
	mine := part.rel.to == memberName(k.from) && part.rel.id == m.ID
	ask := from.asks(m.Partition, k.to, m.ID)
	switch {
	case mine && !part.rel.pulled:
		return true
	case ask < pulling:
		return false
	case mine:
		return part.cleared()
	}
	return m.ID == seen && !part.copies()
}

func keptWithin(a, b []Kept) bool {
	for _, k := range a {
		if _, ok := findKept(b, k.Session); !ok {
			return false
		}
	}
	return true
}
