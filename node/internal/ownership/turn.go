package ownership

import "slices"

func (t *turn) outline() outline {
	o := outline{
		tok: t.tok, full: t.full(), owner: t.owner, rel: t.rel,
		kept: t.kept.len(), cleared: t.cleared(), offer: t.offer(),
	}
	if t.rel.pulled {
		o.sealing = t.running + t.backups - t.kept.len()
	}
	return o
}

// applyRules draws the consequences of an event. The order matters: members
// that are away must be forgotten before the claims are counted, and counted
// before the election.
func (t *turn) applyRules() {
	if t.again { // levels of members change in views only
		t.partWithAway()
		if t.stopped {
			t.stopStandbys()
		}
	}
	t.wantToken()
	t.countPeers()
	t.elect()
	t.recover()
	t.tendTombs()
	if t.tok == held && t.backups > 0 || t.promotes() {
		t.do(RunBackups, "")
	}
}

// promotes reports whether a standby may have to run now.
func (t *turn) promotes() bool {
	if t.tok != held || !t.keeps {
		return false
	}
	return t.woke || t.again || t.full() != t.before.full || t.standbys.len() > 0 && t.full()
}

// partWithAway forgets the claims from and to members that are away, so that
// nothing waits for them. A session that was sent to such a member becomes a
// backup. Sessions accepted from one are forgotten, so that a late Active of an
// earlier claim deletes nothing.
func (t *turn) partWithAway() {
	lost := false
	for i := range t.peers {
		q := &t.peers[i]
		if t.level(q.name).away() {
			if q.ask != unasked {
				t.woke = true
				lost = lost || q.ask != clean || q.kept.len() > 0
			}
			q.set(unasked, 0)
			q.acc = roll[accepted]{}
		}
	}
	if lost && t.tok == held && t.keeps {
		t.widen()
	}
	if t.rel.to != "" && t.level(t.rel.to).away() {
		t.promise(release{})
	}
	for _, s := range t.sealed.those(func(s *sealed) bool { return t.level(s.to).away() }) {
		t.shelve(s)
	}
	t.peers = slices.DeleteFunc(t.peers, func(q peer) bool { return t.level(q.name) == Unknown })
	if len(t.peers) == 0 {
		t.peers = nil
	}
}

// wantToken claims the partition if this node owns it, and gives a claim up if
// it no longer does. A claim asks the present members, and the dead ones that
// may return. A member that joins in the meantime is asked too.
func (t *turn) wantToken() {
	if t.tok == claiming && t.owner != t.self {
		t.letGo()
	}
	if t.tok == none && t.owner == t.self && t.claims {
		t.tok = claiming
		t.promise(release{})
		t.last++
		for _, m := range t.members {
			if m.Name != t.self && (m.Level.present() || m.Level == Dead) {
				t.ask(m.Name, t.last)
			}
		}
	}
	if t.tok != claiming {
		return
	}
	for _, name := range t.present {
		if q := t.peer(name); q == nil || q.ask == unasked {
			t.last++
			t.ask(name, t.last)
		}
	}
}

// elect makes this node the holder when no member that it asks is without an
// answer. Only a holder pulls sessions: while this node is a mere claimer,
// another one may still become the holder, and it would not find the sessions
// that had moved here.
func (t *turn) elect() {
	if t.tok == claiming {
		missing := t.tally.asked
		if !t.on(rulePromiseFirst) {
			missing += t.tally.promised + t.tally.pulling
		}
		if !t.on(ruleHeirAsks) {
			missing = 0
		}
		if missing == 0 {
			t.tok = held
		}
	}
	if t.tok != held && t.on(rulePromiseFirst) {
		return
	}
	if t.tally.promised == 0 {
		return
	}
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == promised {
			q.ask = pulling
			t.tally.promised, t.tally.pulling = t.tally.promised-1, t.tally.pulling+1
			t.tell(q.name, Message{Kind: Pull, ID: q.id})
		}
	}
}

// close emits the effects for what has changed in this turn.
func (t *turn) close() {
	now := t.outline()
	if t.again {
		t.repeat(false)
	} else {
		if now.offer != t.before.offer {
			t.sendOffer(now.offer)
		}
		if now.sealing > 0 && (now.sealing > t.before.sealing || now.rel != t.before.rel) {
			t.handOver()
		}
	}
	if t.keeps && t.shifted(now) {
		t.do(Tend, "")
	}
	if now.cleared && now.rel.to != "" && now.rel == t.before.rel &&
		(!t.before.cleared || now.kept != t.before.kept) {
		t.answer()
	}
	if t.woke || now.tok != t.before.tok || now.full != t.before.full ||
		now.owner != t.before.owner || now.rel.to != t.before.rel.to {
		t.do(Wake, "")
	}
}

// shifted reports whether members may have to be told something else about standbys.
func (t *turn) shifted(now outline) bool {
	return t.again || t.woke || now.tok != t.before.tok || now.full != t.before.full || now.rel != t.before.rel ||
		now.kept != t.before.kept
}

// repeatClaims repeats the messages whose success depends on other nodes' views
// or on the sessions here, and not only on the network.
func (t *turn) repeatClaims() {
	for i := range t.peers {
		if q := &t.peers[i]; q.ask == asked {
			t.send(q.name, t.claim(q.id))
		}
	}
	if t.rel.pulled && t.running+t.backups > t.kept.len() {
		t.handOver()
	}
}

// repeat repeats every message whose answer is missing. If slow is set, it also
// asks members about sessions that stay with them: such a session may have
// ended or be free to move now, and no message says so by itself.
func (t *turn) repeat(slow bool) {
	t.repeatClaims()
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == recovering {
			t.send(q.name, t.recovery(q))
		}
		if q.ask == pulling || slow && q.ask >= done && q.kept.len()+q.acc.len() > 0 && t.on(rulePoll) {
			t.send(q.name, Message{Kind: Pull, ID: q.id})
		}
		for a := range q.acc.all() {
			if t.draining && !a.confirmed && !a.owed {
				t.send(q.name, Message{Kind: Active, ID: a.id, Session: a.session})
			}
		}
	}
	for s := range t.sealed.all() {
		if s.sent {
			t.transfer(*s)
		}
	}
	t.sendOffer(t.offer())
}

// offer returns the offer that is due. A node offers a partition to its owner
// if it has the token or a copy and is not the owner. It does not repeat the
// offer if all that is left stays here and the owner knows that.
func (t *turn) offer() offer {
	if !t.on(ruleOffer) || t.owner == "" || t.owner == t.self || t.tok != held && !t.copies() && !t.foreign() {
		return offer{}
	}
	o := offer{to: t.owner}
	if q := t.peer(t.owner); q != nil {
		o.seen = q.seen
	}
	if t.rel.to == t.owner {
		o.rel = t.rel.id
		if !t.on(ruleOfferKept) && t.kept.len() > 0 && t.cleared() {
			return offer{}
		}
	}
	o.more = t.keeps && !t.cleared() && t.on(ruleMore)
	return o
}

func (t *turn) sendOffer(o offer) {
	if o.to != "" {
		t.send(o.to, Message{Kind: Offer, ID: o.seen, Rel: o.rel, Flag: o.more})
	}
}

func (t *turn) handOver() {
	t.out = append(t.out, Effect{Do: HandOver, Partition: t.number, To: t.rel.to, ID: t.rel.id})
}

// begin prepares the slice of effects for a call.
func (m *Machine) begin() {
	m.out = m.out[:0]
	if cap(m.out) > maxKeptEffects {
		m.out = nil
	}
}

// turn opens a turn at partition p; finishTurn closes it. There is one turn at
// a time.
func (m *Machine) turn(p int) *turn {
	t := &m.now
	*t = turn{shared: &m.shared, partition: &m.parts[p], out: m.out}
	t.before = t.outline()
	return t
}

// finishTurn draws the consequences of the event that t has handled, and emits
// the effects for all that has changed since the turn was opened.
func (m *Machine) finishTurn(t *turn) {
	t.applyRules()
	t.close()
	m.out = t.out
}

// maxKeptEffects is the longest slice of effects that is kept for the next
// call. The first view of a big cluster yields tens of thousands of effects,
// and hardly any other call more than a few.
const maxKeptEffects = 1 << 12
