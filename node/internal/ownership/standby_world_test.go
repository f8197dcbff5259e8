package ownership

import (
	"fmt"
	"slices"
)

// maxStreamed bounds what is on its way between two members.
const maxStreamed = 8

// keptWorld is what a world with standbys has beside the others: the streams, and what was
// acknowledged.
type keptWorld struct {
	streams [maxNodes][maxNodes][maxStreamed]uint32 // requests from, to
	answers [maxNodes][maxNodes][maxStreamed]uint32 // answers from, to
	acked   [maxSessions]uint16                     // changes that were acknowledged, of what has not ended
	lives   [maxSessions][maxLives]life
}

// maxLives bounds how often a session is started.
const maxLives = 4

// A life is one of a session: from a start to its end.
type life struct {
	changes uint16 // made in it, with the start
	end     uint16 // the change that is its end, or 0
	over    bool   // the end was acknowledged
}

func (k *keptWorld) begin(s *scope, x int) {
	k.lives[x][0].changes = 1
	if s.k > 0 && s.joined > s.k && s.plain == [maxNodes]bool{} {
		k.acked[x] = 1
	}
}

// of returns the life of a copy of x that has seen bits.
func (k *keptWorld) of(x int, bits uint16) *life {
	for i := maxLives - 1; i > 0; i-- {
		if bits&k.lives[x][i].changes != 0 {
			return &k.lives[x][i]
		}
	}
	return &k.lives[x][0]
}

// start notes that x is started by change b.
func (k *keptWorld) start(x int, b uint8) {
	for i := range k.lives[x] {
		if l := &k.lives[x][i]; l.changes == 0 || i == maxLives-1 {
			l.changes |= 1 << b
			return
		}
	}
}

// change notes change b of a copy of x that has seen bits.
func (k *keptWorld) change(x int, bits uint16, b uint8) { k.of(x, bits).changes |= 1 << b }

// end notes that such a copy ends, which is change b.
func (k *keptWorld) end(x int, bits uint16, b uint8) { k.of(x, bits).end |= 1 << b }

func (k *keptWorld) acknowledge(acked [maxSessions]uint16) {
	for x, changes := range acked {
		k.acked[x] |= changes
		for i := range k.lives[x] {
			l := &k.lives[x][i]
			l.over = l.over || changes&l.end != 0
			if k.acked[x] &^= l.end; l.over {
				k.acked[x] &^= l.changes
			}
		}
	}
}

// ghost reports whether a copy of x that runs and has seen bits has ended, as was acknowledged.
func (k *keptWorld) ghost(x int, bits uint16) bool {
	l := k.of(x, bits)
	return l.over && bits&l.end == 0
}

func (k *keptWorld) push(p *packet, number uint32) {
	queue := &k.streams[p.from][p.to]
	if p.stream.answer {
		queue = &k.answers[p.from][p.to]
	}
	for i := range queue {
		if queue[i] == 0 {
			queue[i] = number
			return
		}
	}
	panic("too much is on its way")
}

func pop(queue *[maxStreamed]uint32) {
	copy(queue[:], queue[1:])
	queue[maxStreamed-1] = 0
}

// vanish: a node has gone, and its streams with it.
func (k *keptWorld) vanish(i int) {
	for j := range maxNodes {
		k.cut(i, j)
		k.cut(j, i)
	}
}

// cut loses the stream from f to m.
func (k *keptWorld) cut(f, m int) {
	k.streams[f][m], k.answers[m][f] = [maxStreamed]uint32{}, [maxStreamed]uint32{}
}

func (k *keptWorld) hash(h uint64) uint64 {
	for f := range maxNodes {
		for m := range maxNodes {
			for i := range maxStreamed {
				if a, b := k.streams[f][m][i], k.answers[f][m][i]; a|b != 0 {
					h = mix(h, uint64(a)<<32|uint64(b))
					h = mix(h, uint64(f)<<16|uint64(m)<<8|uint64(i))
				}
			}
		}
	}
	for x := range maxSessions {
		for i, l := range k.lives[x] {
			if l.changes != 0 {
				h = mix(h, uint64(k.acked[x])<<48|uint64(l.changes)<<32|uint64(l.end)<<16|btoi(l.over)<<8|uint64(x)<<4|uint64(i))
			}
		}
	}
	return h
}

// streams are the deliveries of the streams, each in order.
func (es *edges) streams() {
	for f := range es.sp.s.nodes {
		for m := range es.sp.s.nodes {
			if k := es.from.kept.streams[f][m][0]; k != 0 {
				es.at(m, event{kind: evReceive, a: k}, true, func(w *world) { pop(&w.kept.streams[f][m]) })
				if es.noRoom(m, k) {
					es.at(m, event{kind: evRefuse, a: k}, false,
						func(w *world) { pop(&w.kept.streams[f][m]); w.left.refusals-- })
				}
			}
			if k := es.from.kept.answers[f][m][0]; k != 0 {
				es.at(m, event{kind: evReceive, a: k}, true, func(w *world) { pop(&w.kept.answers[f][m]) })
			}
			busy := es.from.kept.streams[f][m][0] != 0 || es.from.kept.answers[m][f][0] != 0
			if es.from.left.losses > 0 && busy {
				es.at(f, event{kind: evBreak, a: uint32(m)}, false,
					func(w *world) { w.left.losses--; w.kept.cut(f, m) })
			}
		}
	}
}

// noRoom: m may refuse the record in packet k, which would be a new standby there.
func (es *edges) noRoom(m int, k uint32) bool {
	s := es.sp.packets[k].stream
	may := es.sp.s.fills && es.from.left.refusals > 0 && s.say.What == ToKeep
	return may && !es.sp.nodes[es.from.node[m]].keeps[s.x].on
}

// heirs are the members that may have a partition's standbys if self runs its sessions: who owns
// it without self, then without that one too, and so on; or each in its own order.
func (s *scope) heirs(self int, v view, of said, p int) (names []string) {
	v[self] = Gone
	for {
		heir := s.owner(v, of, p)
		if heir < 0 {
			if s.own && len(names) > 0 {
				at := self % len(names)
				names = slices.Concat(names[at:], names[:at])
			}
			return names
		}
		names = append(names, memberName(heir))
		v[heir] = Gone
	}
}

func (s *scope) minimum() int {
	if s.strict {
		return s.k
	}
	return 0
}

// A lie is a member that may declare another one dead though it lives.
type lie struct{ by, of int }

func (s *scope) mayLie(by, of int) bool {
	for _, l := range s.lies {
		if l == (lie{by, of}) {
			return true
		}
	}
	return s.lies == nil
}

// checkStandbys is D1, D1u, D2 and D3.
func (sp *space) checkStandbys(w *world, x int) string {
	crashes := 0
	for _, c := range w.crashed {
		crashes += int(btoi(c))
	}
	if sp.s.fills && w.left.refusals < sp.s.budget.refusals {
		return "" // without room nothing is promised
	}
	acked, p := w.kept.acked[x], sp.s.part(x)
	somewhere, complete := uint16(0), acked == 0
	for i := range sp.s.nodes {
		if w.node[i] == 0 {
			continue
		}
		n := sp.nodes[w.node[i]]
		r := n.table[x]
		switch {
		case w.lied:
		case r.at == running && w.kept.ghost(x, r.bits):
			return fmt.Sprintf("D2: node %d runs session %d, whose end was acknowledged", i, x)
		case crashes > sp.s.k:
		case r.at == running && n.m.Full(p) && !covers(r.bits, acked):
			return fmt.Sprintf("D1: node %d runs session %d without %b of what was acknowledged", i, x, acked&^r.bits)
		case acked != 0 && sp.facts[w.node[i]].nowhere>>x&1 == 1:
			return fmt.Sprintf("D1n: node %d denies session %d, of which %b was acknowledged", i, x, acked)
		}
		if r.at != nowhere {
			somewhere |= r.bits
			complete = complete || covers(r.bits, acked)
		}
		if h := n.keeps[x]; h.on {
			somewhere |= h.bits
			complete = complete || covers(h.bits, acked)
		}
	}
	oneLine := !w.lied || sp.s.strict && 2*(sp.s.k+1) > sp.s.nodes
	switch {
	case crashes > sp.s.k:
		return ""
	case oneLine && !complete:
		return fmt.Sprintf("D1, D3: no copy of session %d has all that was acknowledged (%b)", x, acked)
	case (sp.s.strict || sp.s.budget.falseDeaths == 0) && !covers(somewhere, acked):
		return fmt.Sprintf("D1u: an acknowledged change of session %d is nowhere (%b)", x, acked&^somewhere)
	}
	return ""
}

// checkAcknowledged is D3 at the moment when node i acknowledges: no member that it counts on has
// reported to another node, which runs the session without the change, and promised nobody since.
func (sp *space) checkAcknowledged(before, w *world, i int) string {
	for x := range sp.s.sessions {
		fresh := w.kept.acked[x] &^ before.kept.acked[x]
		if fresh == 0 || w.node[i] == 0 || sp.nodes[w.node[i]].reps[x] == nil {
			continue
		}
		p := sp.s.part(x)
		for _, target := range sp.nodes[w.node[i]].m.Targets(p, sp.nodes[w.node[i]].reps[x]) {
			m := memberIndex(target)
			for j := range sp.s.nodes {
				if j == i || w.node[j] == 0 || w.node[m] == 0 {
					continue
				}
				o := sp.nodes[w.node[j]]
				obeys := o.witnesses[x]>>m&1 == 1 && sp.nodes[w.node[m]].m.parts[p].rel.to == memberName(j)
				if obeys && o.table[x].at == running && o.m.Full(p) && !covers(o.table[x].bits, fresh) {
					return fmt.Sprintf("D3: %d acknowledges %b with %d, which has reported to %d", i, fresh, m, j)
				}
			}
		}
	}
	return ""
}

// goodReplicated is D4 for a session: the owner runs it, or nobody has anything; its standbys have
// it, and nobody else.
func (sp *space) goodReplicated(w *world, x, owner int) bool {
	crashes := 0
	for _, c := range w.crashed {
		crashes += int(btoi(c))
	}
	o, p, acked := sp.nodes[w.node[owner]], sp.s.part(x), w.kept.acked[x]
	r := o.table[x]
	if sp.s.fills && w.left.refusals < sp.s.budget.refusals {
		acked = 0
	}
	promised := crashes <= sp.s.k && (sp.s.budget.falseDeaths == 0 || sp.s.strict)
	stays := o.m.stays(p, sessionName(x))
	switch {
	case o.reachable(x) && !stays, r.at == sealing, r.at == tomb && !o.waitsForTheGone(x):
		return false
	case stays:
		return sp.securedElsewhere(w, x)
	case r.at == nowhere && acked != 0 && crashes <= sp.s.k:
		return false
	case r.at == running && promised && !covers(r.bits, acked):
		return false
	case r.at == running && o.reps[x] != nil && !o.m.Tend(p, sessionName(x), o.reps[x].clone()).Secured:
		return false
	}
	var targets []string
	if o.reps[x] != nil {
		targets = o.m.Targets(p, o.reps[x])
	}
	for i := range sp.s.nodes {
		if w.node[i] == 0 || i == owner {
			continue
		}
		n := sp.nodes[w.node[i]]
		wanted := r.at != nowhere && indexOf(targets, memberName(i))
		if n.told[x].on || n.keeps[x].on && !wanted {
			return false
		}
	}
	return true
}

// waitsForTheGone: the tombstone of x is kept as members that are gone may come back.
func (n *node) waitsForTheGone(x int) bool {
	r := n.reps[x].clone()
	if r == nil || !n.m.Tend(n.s.part(x), sessionName(x), r).Secured && r.burial == 0 {
		return false
	}
	gone := false
	for _, s := range r.members {
		away := n.view[memberIndex(s.member)] == Gone
		if s.holds && !away && (!s.target || r.burial > 0) {
			return false
		}
		gone = gone || s.holds && away
	}
	return gone
}

// securedElsewhere: x has its standbys where it stays.
func (sp *space) securedElsewhere(w *world, x int) bool {
	for _, number := range w.node {
		if n := sp.nodes[number]; number != 0 && n.reps[x] != nil && n.table[x].at == running {
			return n.m.Tend(sp.s.part(x), sessionName(x), n.reps[x].clone()).Secured
		}
	}
	return true
}

func indexOf(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// stays: the session is at another member, which the holder does not take it from.
func (m *Machine) stays(p int, session string) bool {
	for _, s := range m.Stays(p) {
		if s.Session == session {
			return true
		}
	}
	return false
}
