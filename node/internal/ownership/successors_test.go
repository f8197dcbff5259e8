package ownership

import "slices"

// edge leads from one world to another.
type edge struct {
	w         world
	e         event
	fair      bool // it happens in the end if it can all the time
	violation string
}

// edges are the successors of a world, in an order that depends on it only. Their
// memory is used again.
type edges struct {
	sp   *space
	from *world
	list []edge
	n    int
}

func (es *edges) of(w *world) []edge {
	es.from, es.n = w, 0
	es.deliveries()
	if es.sp.s.k > 0 {
		es.streams()
	}
	for i := range es.sp.s.nodes {
		if w.node[i] == 0 {
			es.joins(i)
			continue
		}
		es.ownSteps(i)
		es.sessions(i)
		es.partings(i)
		es.views(i)
	}
	return es.list[:es.n]
}

// begin opens an edge, a copy of the present world. end keeps it, if it leads
// anywhere.
func (es *edges) begin() *edge {
	if es.n == len(es.list) {
		es.list = append(es.list, edge{})
	}
	d := &es.list[es.n]
	d.w.copyFrom(es.from)
	d.violation = ""
	return d
}

func (es *edges) end(d *edge, e event, fair bool) {
	d.e, d.fair = e, fair
	if es.sp.s.maxID > 0 {
		for _, n := range d.w.node {
			if es.sp.facts[n].lastID > es.sp.s.maxID {
				return
			}
		}
	}
	es.sp.tidy(&d.w)
	if d.violation == "" {
		if d.w.equal(es.from) {
			return
		}
		d.violation = es.sp.checkElection(es.from, &d.w)
		if d.violation == "" && es.sp.s.k > 0 {
			d.violation = es.sp.checkAcknowledged(es.from, &d.w, int(e.node))
		}
	}
	es.n++
}

// at is an event at a node that is up: the usual edge.
func (es *edges) at(i int, e event, fair bool, change func(w *world)) {
	d := es.begin()
	if change != nil {
		change(&d.w)
	}
	e.node = uint8(i)
	es.sp.apply(&d.w, i, e)
	es.end(d, e, fair)
}

// apply makes the step of a node and sends what comes of it.
func (sp *space) apply(w *world, i int, e event) {
	r := sp.step(w.node[i], e)
	w.node[i] = r.node
	w.kept.acknowledge(r.acked)
	for _, k := range r.out {
		sp.send(w, k)
	}
}

// send puts a packet into the network, if there is somebody to get it. A repeated
// one is the same packet.
func (sp *space) send(w *world, k uint32) {
	p := &sp.packets[k]
	if w.node[p.to] == 0 {
		return
	}
	if p.stream != nil {
		w.kept.push(p, k)
		return
	}
	if !sp.s.talkBye && len(p.messages) == 1 && (p.messages[0].Kind == Bye || p.messages[0].Kind == Known) {
		sp.apply(w, p.to, event{kind: evReceive, node: uint8(p.to), a: k})
		return
	}
	if i, ok := slices.BinarySearch(w.net, k); !ok {
		w.net = slices.Insert(w.net, i, k)
	}
}

func (w *world) take(k uint32) {
	if i, ok := slices.BinarySearch(w.net, k); ok {
		w.net = slices.Delete(w.net, i, i+1)
	}
}

func (es *edges) deliveries() {
	s := es.sp.s
	for _, k := range es.from.net {
		p := &es.sp.packets[k]
		receive := event{kind: evReceive, a: k, again: s.sticky}
		es.at(p.to, receive, true, func(w *world) { es.used(w, receive) })
		if p.transfer && p.in.Form != Ended && !s.fills && es.from.left.refusals > 0 {
			refuse := event{kind: evRefuse, a: k, again: s.sticky}
			es.at(p.to, refuse, false, func(w *world) { es.used(w, refuse); w.left.refusals-- })
		}
		if s.sticky {
			continue
		}
		if es.from.left.repeats > 0 {
			es.at(p.to, event{kind: evReceive, a: k, again: true}, false, func(w *world) { w.left.repeats-- })
		}
		if es.from.left.losses > 0 {
			d := es.begin()
			d.w.left.losses--
			d.w.take(k)
			es.end(d, event{kind: evLose, node: uint8(p.to), a: k}, false)
		}
	}
}

func (es *edges) used(w *world, e event) {
	if !e.again {
		w.take(e.a)
	}
}

// joins: a node starts and joins through a seed.
func (es *edges) joins(i int) {
	sp, w := es.sp, es.from
	if w.truth[i] != Unknown || i < sp.s.joined || sp.s.noJoin {
		return
	}
	for seed := range sp.s.nodes {
		if w.node[seed] == 0 || seed == i || sp.s.via != nil && sp.s.via[i] != seed {
			continue
		}
		d := es.begin()
		v := sp.nodes[w.node[seed]].view
		for j := range v {
			if v[j] == Dead {
				v[j] = Gone // it was never alive for the joiner
			}
		}
		v[i] = Serving
		d.w.truth[i] = Serving
		n := sp.s.newNode(i, v)
		n.joinsVia(seed, &v, sp.nodes[w.node[seed]])
		n.said = sp.nodes[w.node[seed]].said
		n.look()
		d.w.node[i] = sp.keep(n)
		if !sp.s.seedLater {
			sp.apply(&d.w, seed, event{kind: evLearn, node: uint8(seed), a: uint32(i), b: uint8(Serving)})
			if sp.s.hellos && !sp.s.noProof {
				sp.apply(&d.w, seed, event{kind: evMeet, node: uint8(seed), a: uint32(i)})
			}
			sp.welcome(&d.w, seed, i, true)
		}
		es.end(d, event{kind: evJoin, node: uint8(i), a: uint32(seed)}, false)
	}
}

// welcome has a member that sees a joiner tell it so; at once, or by a packet.
func (sp *space) welcome(w *world, by, to int, now bool) {
	k := sp.pack(packet{from: by, to: to, welcome: sp.nodes[w.node[by]].m.Present()})
	if now {
		sp.apply(w, to, event{kind: evReceive, node: uint8(to), a: k})
	} else {
		sp.send(w, k)
	}
}

func (es *edges) ownSteps(i int) {
	sp, w := es.sp, es.from
	n := sp.nodes[w.node[i]]
	if !n.m.join.over {
		for by := range sp.s.nodes {
			if by != i && w.node[by] != 0 && n.view[by].present() && sp.nodes[w.node[by]].view[i].present() {
				d := es.begin()
				sp.welcome(&d.w, by, i, false)
				es.end(d, event{kind: evWelcome, node: uint8(by), a: uint32(i)}, true)
			}
		}
	}
	es.at(i, event{kind: evRetry}, true, nil)
	if w.left.deadlines > 0 && n.view[i] == Draining && !n.m.bye.abandoned {
		d := es.begin()
		d.w.left.deadlines--
		es.abandon(d, i, n)
	}
}

// abandon: the deadline of a leave. What is here may be lost.
func (es *edges) abandon(d *edge, i int, n *node) {
	e := event{kind: evAbandon, node: uint8(i)}
	es.sp.apply(&d.w, i, e)
	for x := range es.sp.s.sessions {
		if n.copyHere(x) && !es.sp.nodes[d.w.node[i]].copyHere(x) {
			es.lose(d, x)
		}
		if n.table[x].at == tomb {
			d.w.known |= 1 << x
		}
	}
	es.end(d, e, false)
}

// lose: a copy of x has gone otherwise than by the rules.
func (es *edges) lose(d *edge, x int) {
	d.w.lost |= 1 << x
	if !es.sp.liveAnywhere(&d.w, x) {
		d.w.born &^= 1 << x
		d.w.all[x] = 0
	}
}

// partings: drain, leave, crash.
func (es *edges) partings(i int) {
	sp, w := es.sp, es.from
	if sp.s.later && slices.Contains(w.truth[:sp.s.nodes], Unknown) {
		return
	}
	if w.truth[i] == Serving && w.left.drains > 0 {
		es.at(i, event{kind: evLearn, a: uint32(i), b: uint8(Draining)}, false,
			func(w *world) { w.left.drains--; w.truth[i] = Draining })
	}
	if w.truth[i] == Draining && w.left.assigns > 0 {
		next := w.said[i] + 1
		es.at(i, event{kind: evHear, a: uint32(i), b: next}, false, func(w *world) { w.left.assigns--; w.said[i] = next })
	}
	if sp.s.leave && sp.facts[w.node[i]].mayLeave {
		d := es.begin()
		d.w.truth[i] = Left
		es.vanish(d, i)
		es.end(d, event{kind: evLeave, node: uint8(i)}, false)
	}
	if w.left.crashes > 0 {
		d := es.begin()
		d.w.left.crashes--
		d.w.death = true
		d.w.crashed[i] = true
		es.vanish(d, i)
		es.end(d, event{kind: evCrash, node: uint8(i)}, false)
	}
}

// vanish takes a node away, and notes what may be lost with it (I6).
func (es *edges) vanish(d *edge, i int) {
	n := es.sp.nodes[d.w.node[i]]
	d.w.node[i] = 0
	d.w.kept.vanish(i)
	for x := range es.sp.s.sessions {
		bit := uint8(1) << x
		if d.w.crashed[i] && !es.sp.survives(&d.w, x) {
			d.w.lost |= bit
		}
		if !d.w.crashed[i] && n.copyHere(x) {
			es.lose(d, x)
		}
		if n.table[x].at == tomb || n.table[x].at == sealing && n.table[x].form == Ended || d.w.ended&bit != 0 &&
			n.knowsEnd(x) {
			d.w.known |= bit
		}
	}
}

// knowsEnd: the node took the session and nobody else may know that it did.
func (n *node) knowsEnd(x int) bool {
	p := &n.m.parts[n.s.part(x)]
	for i := range p.peers {
		if a := p.peers[i].accepted(sessionName(x)); a != nil && !a.confirmed {
			return true
		}
	}
	return false
}

// views: what a node may learn of another member.
func (es *edges) views(i int) {
	sp, w := es.sp, es.from
	n := sp.nodes[w.node[i]]
	for j := range sp.s.nodes {
		if j == i {
			continue
		}
		v, truth := n.gossip(j), w.truth[j]
		if sp.s.hellos {
			es.meetings(i, j)
			if n.ghost[j] && n.gone[j] {
				continue // it is raised again whenever it is buried
			}
		}
		crashed := w.crashed[j]
		learn := func(to Level) event { return event{kind: evLearn, a: uint32(j), b: uint8(to)} }
		if v < Dead {
			for l := v + 1; l <= truth; l++ {
				es.at(i, learn(l), true, nil)
			}
		}
		if v.present() {
			for said := n.said[j] + 1; said <= w.said[j]; said++ {
				es.at(i, event{kind: evHear, a: uint32(j), b: said}, true, nil)
			}
		}
		if v.present() && (crashed || w.left.falseDeaths > 0 && w.node[j] != 0 && sp.s.mayLie(i, j)) {
			es.at(i, learn(Dead), crashed, func(w *world) {
				w.death = true
				if !crashed {
					w.left.falseDeaths--
					w.lied = true
				}
			})
		}
		if v == Dead {
			es.at(i, learn(Gone), crashed, nil)
		}
		if v >= Dead && !crashed {
			es.at(i, learn(truth), true, nil)
		}
	}
}
