package ownership

import "fmt"

// live: the copy of x at i may still run somewhere: it has not been passed on.
func (sp *space) live(w *world, i, x int) bool {
	if w.node[i] == 0 || sp.facts[w.node[i]].copies>>x&1 == 0 {
		return false
	}
	n := sp.nodes[w.node[i]]
	p := sp.s.part(x)
	s := n.m.parts[p].sealed.find(sessionName(x))
	if s == nil || !s.sent {
		return true
	}
	t := sp.nodes[w.node[memberIndex(s.to)]]
	if t == nil {
		return true
	}
	q := t.m.parts[p].peer(memberName(i))
	if q == nil {
		return true
	}
	a := q.accepted(sessionName(x))
	return a == nil || a.id != s.id
}

func (sp *space) liveAnywhere(w *world, x int) bool {
	for i := range sp.s.nodes {
		if sp.live(w, i, x) {
			return true
		}
	}
	return false
}

// survives is I6: a copy is at a live node that has not been sent Active for it.
func (sp *space) survives(w *world, x int) bool {
	p, name := sp.s.part(x), sessionName(x)
	for i := range sp.s.nodes {
		if w.node[i] == 0 || sp.facts[w.node[i]].copies>>x&1 == 0 {
			continue
		}
		told := false
		for _, k := range w.net {
			c := &sp.packets[k]
			for _, m := range c.messages {
				told = told || c.to == i && m.Kind == Active && m.Session == name &&
					sp.nodes[w.node[i]].sends(p, c.from, m.ID, name)
			}
		}
		if !told {
			return true
		}
	}
	return false
}

// checkElection is I1.
func (sp *space) checkElection(before, w *world) string {
	for i := range sp.s.nodes {
		if w.node[i] == before.node[i] || w.node[i] == 0 || !sp.facts[w.node[i]].holds[0] ||
			before.node[i] != 0 && sp.facts[before.node[i]].holds[0] {
			continue
		}
		for j := range sp.s.nodes {
			if j != i && w.node[j] != 0 && sp.facts[w.node[j]].holds[0] && sp.nodes[w.node[i]].elected[j] &&
				sp.nodes[w.node[j]].elected[i] {
				return fmt.Sprintf("I1: %d becomes holder while %d holds, and each saw the other when it was elected", i, j)
			}
		}
	}
	return ""
}

// check is I2, I3, I3f and I7.
func (sp *space) check(w *world) string {
	if w.lied {
		return "" // after a false death two sides may be at work
	}
	for p := range sp.s.partitions() {
		holders := 0
		for i := range sp.s.nodes {
			if sp.facts[w.node[i]].holds[p] {
				holders++
			}
		}
		if holders > 1 {
			return "I2: two holders"
		}
	}
	for x := range sp.s.sessions {
		if v := sp.checkSession(w, x); v != "" {
			return v
		}
	}
	return ""
}

// checkAll is check, and what must hold of standbys, which is more: also after false deaths.
func (sp *space) checkAll(w *world) string {
	if v := sp.check(w); v != "" || sp.s.k == 0 {
		return v
	}
	for x := range sp.s.sessions {
		if v := sp.checkStandbys(w, x); v != "" {
			return v
		}
	}
	return ""
}

func (sp *space) checkSession(w *world, x int) string {
	bit := uint8(1) << x
	runs, lives, free := 0, 0, -1
	for i := range sp.s.nodes {
		f := &sp.facts[w.node[i]]
		if f.running&bit != 0 {
			runs++
		}
		if f.nowhere&bit != 0 {
			free = i
		}
		if !w.death && sp.live(w, i, x) {
			lives++
		}
	}
	switch {
	case runs > 1:
		return fmt.Sprintf("I2: two running copies of session %d", x)
	case runs > 0 && (w.ended&^w.known)&bit != 0 && sp.s.k == 0: // an end may be undone until it is acknowledged
		return fmt.Sprintf("I7: session %d has ended and runs", x)
	case w.death:
		return ""
	case lives == 0 && (w.born&^w.lost)&bit != 0:
		return fmt.Sprintf("I3: session %d is lost", x)
	case lives > 0 && free >= 0:
		return fmt.Sprintf("I3f: node %d may start or deny session %d, of which a copy exists", free, x)
	}
	return ""
}

// good is what I4 and I5 want to come in the end.
func (sp *space) good(w *world) bool {
	for p := range sp.s.partitions() {
		if !sp.goodPartition(w, p) {
			return false
		}
	}
	return true
}

func (sp *space) goodPartition(w *world, p int) bool {
	owner, ok := sp.agreed(w, p)
	if !ok || owner < 0 {
		return ok // nobody serves: things stay where they are
	}
	o := sp.nodes[w.node[owner]]
	if !o.m.join.over {
		return true // it waits for JoinTimeout: the bootstrap
	}
	if !o.m.Full(p) || len(o.m.parts[p].tombs) > 0 {
		return false
	}
	for i := range sp.s.nodes {
		if w.node[i] != 0 && i != owner && !sp.goodOther(w, p, i, o) {
			return false
		}
	}
	for x := range sp.s.sessions {
		if sp.s.k > 0 && sp.s.part(x) == p {
			if !sp.goodReplicated(w, x, owner) {
				return false
			}
			continue
		}
		if sp.s.part(x) == p && !sp.goodSession(w, x, owner) {
			return false
		}
	}
	return true
}

// agreed: all views are true, so that there is one owner. -1 if there is none.
func (sp *space) agreed(w *world, p int) (owner int, ok bool) {
	owner = -1
	for i := range sp.s.nodes {
		if w.node[i] == 0 {
			continue
		}
		n := sp.nodes[w.node[i]]
		for j := range sp.s.nodes {
			v, truth := n.view[j], w.truth[j]
			switch {
			case w.crashed[j]:
				ok = v == Gone || v == Unknown
			case truth == Left:
				ok = !v.present() && v != Dead
			default:
				ok = v == truth && n.said[j] == w.said[j]
			}
			if !ok {
				return -1, false
			}
		}
		owner = sp.s.owner(n.view, n.said, p)
	}
	return owner, true
}

// goodOther: a node that is not the owner has nothing but what stays there with the
// owner's knowledge.
func (sp *space) goodOther(w *world, p, i int, o *node) bool {
	n := sp.nodes[w.node[i]]
	part := &n.m.parts[p]
	if part.tok != none || !part.cleared() {
		return false
	}
	var there []Kept
	q := o.m.parts[p].peer(memberName(i))
	if q != nil {
		there = q.kept.list()
	}
	if !keptWithin(there, part.kept.list()) || !keptWithin(part.kept.list(), there) {
		return false
	}
	if part.kept.len() > 0 {
		return q.ask >= done && q.id == part.rel.id // it stays until the deadline
	}
	return !sp.s.leave || n.view[i] != Draining || sp.facts[w.node[i]].mayLeave || sp.keepsOther(n, p)
}

// keepsOther: something of another partition stays here.
func (sp *space) keepsOther(n *node, p int) bool {
	for i := range n.m.parts {
		if i != p && n.m.parts[i].kept.len() > 0 {
			return true
		}
	}
	return false
}

func (sp *space) goodSession(w *world, x, owner int) bool {
	bit := uint8(1) << x
	runs, stays := 0, false
	var bits uint16
	for i := range sp.s.nodes {
		if w.node[i] == 0 {
			continue
		}
		r := sp.nodes[w.node[i]].table[x]
		switch {
		case r.at == running:
			runs++
			bits = r.bits
		case i != owner && r.at != nowhere:
			stays = true
		}
	}
	switch at := sp.nodes[w.node[owner]].table[x].at; {
	case at == backup && runs == 0 && !stays, at == sealing, at == starting, at == tomb:
		return false
	case runs > 1:
		return false
	case runs == 0 && w.born&bit != 0 && w.lost&bit == 0 && !stays:
		return false
	}
	crashes := w.left.crashes != sp.s.budget.crashes
	return runs == 0 || crashes || w.lost&bit != 0 || stays || w.all[x]&^bits == 0
}
