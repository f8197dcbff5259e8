package ownership

// sessions are the steps of the sessions at a node.
func (es *edges) sessions(i int) {
	for x := range es.sp.s.sessions {
		es.session(i, x)
	}
	es.askAgain(i)
}

func (es *edges) session(i, x int) {
	sp, w := es.sp, es.from
	n, bit := sp.nodes[w.node[i]], uint8(1)<<x
	p, a := sp.s.part(x), uint32(x)
	switch r := n.table[x]; r.at {
	case nowhere, tomb:
		es.wanted(i, x)
	case starting:
		es.at(i, event{kind: evStarted, a: a}, true, nil)
		if w.left.fails > 0 && !w.death {
			es.at(i, event{kind: evStartFail, a: a}, false, func(w *world) { w.left.fails--; w.born &^= bit; w.all[x] = 0 })
		}
	case running, backup:
		if w.left.works > 0 && r.at == running {
			es.at(i, event{kind: evWork, a: a, b: w.next}, false,
				func(w *world) { w.left.works--; w.all[x] |= 1 << w.next; w.kept.change(x, r.bits, w.next); w.next++ })
		}
		if w.left.ends > 0 && r.at == running {
			es.ends(i, x)
		}
		if n.m.at(p).mayBeSealed(sessionName(x)) {
			es.at(i, event{kind: evSeal, a: a}, true, nil)
			if w.left.refusals > 0 && !sp.s.chunks && !sp.s.fills {
				es.at(i, event{kind: evSealFailed, a: a}, false, func(w *world) { w.left.refusals-- })
			}
		}
	case sealing:
		if n.isSent(x) {
			return
		}
		es.at(i, event{kind: evCommit, a: a}, true, nil)
		if w.left.refusals > 0 {
			es.at(i, event{kind: evSealFailed, a: a}, false, func(w *world) { w.left.refusals-- })
		}
		if w.left.ends > 0 {
			es.ends(i, x)
		}
	}
}

func (es *edges) ends(i, x int) {
	bit := uint8(1) << x
	d := es.begin()
	e := event{kind: evEnd, node: uint8(i), a: uint32(x)}
	d.w.left.ends--
	if es.sp.s.k > 0 {
		e.b = d.w.next
		d.w.kept.end(x, es.sp.nodes[es.from.node[i]].table[x].bits, d.w.next)
		d.w.next++
	}
	es.sp.apply(&d.w, i, e)
	d.w.born &^= bit
	d.w.lost |= bit
	d.w.ended |= bit
	d.w.known &^= bit
	d.w.all[x] = 0
	if !d.w.death && es.sp.s.k == 0 && es.sp.liveAnywhere(&d.w, x) {
		d.violation = "a session ends while another live copy exists, no death declared"
	}
	es.end(d, e, false)
}

// wanted: somebody calls a session that is not here.
func (es *edges) wanted(i, x int) {
	sp, w := es.sp, es.from
	n, bit := sp.nodes[w.node[i]], uint8(1)<<x
	switch place := n.m.Who(sp.s.part(x), sessionName(x)).Place; {
	case place == Nowhere && n.reachable(x):
	case place == Nowhere && w.left.starts > 0:
		es.at(i, event{kind: evStart, a: uint32(x), b: w.next}, false, func(w *world) {
			w.left.starts--
			if w.lost&bit != 0 {
				w.all[x] = 0 // what was lost is not asked for any more
			}
			w.all[x] |= 1 << w.next
			w.kept.start(x, w.next)
			w.next++
			w.born |= bit
			w.ended &^= bit
			w.lost &^= bit
		})
	case place == Wait && n.holds(sp.s.part(x)) && !sp.s.noFind:
		es.at(i, event{kind: evWant, a: uint32(x)}, false, nil)
	}
}

// askAgain: what stays elsewhere and is at a second place is tried again.
func (es *edges) askAgain(i int) {
	sp, w := es.sp, es.from
	n := sp.nodes[w.node[i]]
	for j := range sp.s.nodes {
		fair, any := false, false
		for p := range n.m.parts {
			for _, stay := range n.m.Stays(p) {
				if stay.Member == memberName(j) {
					any = true
					fair = fair || n.twoPlaces(p, stay.Session)
				}
			}
		}
		if fair && !sp.s.bad[i] && !sp.s.noRetry {
			es.at(i, event{kind: evAskAgain, a: uint32(j)}, true, nil)
		}
		if any && w.left.retries > 0 {
			es.at(i, event{kind: evAskAgain, a: uint32(j)}, false, func(w *world) { w.left.retries-- })
		}
	}
}

func (n *node) twoPlaces(p int, session string) bool {
	places := 0
	if at := n.table[sessionIndex(session)].at; at == running || at == backup || at == tomb {
		places++
	}
	for _, stay := range n.m.Stays(p) {
		if stay.Session == session {
			places++
		}
	}
	return places > 1
}
