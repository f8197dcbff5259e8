package ownership

import "slices"

// recover asks the members for their standbys once none of them has copies any more. From then on
// this node alone writes standbys, here too: what was acknowledged before is known when all have
// reported, and nothing more is acknowledged without it.
func (t *turn) recover() {
	if t.tok != held || !t.keeps || t.tally.asked+t.tally.promised+t.tally.pulling > 0 {
		return
	}
	if t.lead != t.self {
		t.leadBy(t.self, t.stays())
	}
	if t.tally.dirty == 0 {
		return
	}
	for i := range t.peers {
		if q := &t.peers[i]; q.ask == done {
			q.ask = recovering
			q.round++
			t.woke = true
			t.tell(q.name, t.recovery(q))
		}
	}
}

func (t *turn) recovery(q *peer) Message {
	m := Message{Kind: Recover, ID: q.id, Rel: q.round}
	if t.on(ruleKeeper) {
		m.Kept = t.stays()
	}
	for _, k := range m.Kept {
		m.Names = addName(m.Names, k.Keeper)
	}
	return m
}

// stays returns the sessions that stay at other members, with their keepers, sorted.
func (t *turn) stays() (kept []Kept) {
	if t.tally.loose == 0 {
		return nil
	}
	for i := range t.peers {
		q := &t.peers[i]
		for k := range q.kept.all() {
			if at, ok := findKept(kept, k.Session); !ok {
				kept = slices.Insert(kept, at, Kept{Session: k.Session, Keeper: q.name})
			}
		}
	}
	return kept
}

// onRecover obeys the holder from now on, and reports. Where the promise is void the holder must
// ask again: it must not wait for a report that nobody makes.
func (t *turn) onRecover(from string, m Message) {
	switch {
	case t.tok != none:
	case t.rel.to == from && t.rel.id == m.ID:
		if t.on(ruleFence) {
			t.leadBy(from, m.Kept)
		}
		t.out = append(t.out, Effect{Do: Report, Partition: t.number, To: from, ID: m.ID, Round: m.Rel})
	case t.on(ruleVoid):
		t.send(from, Message{Kind: NotYet, ID: m.ID, Flag: true})
	}
}

// reported records that a member has reported its standby of session, or all if session is "".
func (t *turn) reported(from string, id, round uint64, session string) {
	switch q := t.entry(from, id); {
	case !q.awaits(round, session):
	case session != "":
		t.answers(q, session)
	default:
		q.ask, q.absent, t.woke = clean, nil, true
	}
}

// widen asks every present member that is not asked, and the others for another report. A member
// has gone before it had reported, and may have written standbys at members that this node does not
// ask; or sessions stayed there, and it has written theirs since the others have reported.
func (t *turn) widen() {
	if t.on(ruleKeeperGone) {
		t.recoverAgain()
	}
	if !t.on(ruleWiden) {
		return
	}
	for _, name := range t.present {
		if q := t.peer(name); q == nil || q.ask == unasked {
			t.askAgain(name)
		}
	}
}

// stopStandbys goes on as if there had never been standbys, since a member keeps none.
func (t *turn) stopStandbys() {
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask > done {
			q.ask, q.absent = done, nil
		}
		for a := range q.acc.all() {
			if a.owed {
				a.owed = false
				t.tell(q.name, Message{Kind: Active, ID: a.id, Session: a.session})
			}
		}
	}
	for _, session := range t.ends {
		t.tombs = addName(t.tombs, session)
	}
	t.ends = nil
}

func (q *peer) awaits(round uint64, session string) bool {
	switch {
	case q == nil:
		return false
	case session == "":
		return q.ask == recovering && q.round == round
	}
	return q.ask == pulling || q.ask == done || q.ask == recovering
}

// recoverAgain tells those that have reported, in another round, who keeps sessions now.
func (t *turn) recoverAgain() {
	for i := range t.peers {
		if q := &t.peers[i]; q.ask > done {
			q.ask = done
		}
	}
	t.lead = ""
}
