package ownership

import "slices"

// turn is one event at one partition: the handler changes the state, then settle
// draws the consequences, and close says what has become new by it.
type turn struct {
	*shared
	*partition
	out    []Effect
	again  bool // say everything that is waited for, not only what is new
	woke   bool // what who answers may have changed, though nothing in before tells
	before outline
}

// outline is what others may notice of a partition. What differs from the start of
// a turn to its end is told.
type outline struct {
	tok     token
	full    bool
	owner   string
	rel     release
	kept    int
	settled bool
	sealing int // copies that may be sealed
	offer   offer
}

type offer struct {
	to        string
	seen, rel uint64
}

func (t *turn) outline() outline {
	o := outline{tok: t.tok, full: t.full(), owner: t.owner, rel: t.rel, kept: t.kept.len(), settled: t.settled(), offer: t.offer()}
	if t.rel.pulled {
		o.sealing = t.running + t.backups - t.kept.len()
	}
	return o
}

// settle is R1 to R4.
func (t *turn) settle() {
	if t.again { // the levels of members change in views only
		t.partWithAway()
	}
	t.wantToken()
	t.countPeers()
	t.elect()
	t.tendTombs()
	if t.tok == held && t.backups > 0 {
		t.do(RunBackups, "")
	}
}

// partWithAway is R1: members that are away are not waited for, and what was sent
// to them is a backup. It forgets their claim, so that a late Active cannot delete
// it.
func (t *turn) partWithAway() {
	for i := range t.peers {
		q := &t.peers[i]
		if t.level(q.name).away() {
			if q.ask != unasked {
				t.woke = true
			}
			q.set(unasked, 0)
			q.acc = roll[accepted]{}
		}
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

// wantToken is R2.
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

// elect is R3.
func (t *turn) elect() {
	if t.tok == claiming {
		missing := t.tally.asked
		if !t.on(rulePromiseFirst) {
			missing += t.tally.promised + t.tally.pulling
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

// letGo voids the claim or the token.
func (t *turn) letGo() {
	t.tok = none
	for i := range t.peers {
		t.peers[i].set(unasked, 0)
	}
}

// promise binds the partition to a claim, or to none. Copies that were being
// sealed for another claim, and have not been sent, run on.
func (t *turn) promise(to release) {
	t.rel, t.kept = to, roll[Kept]{}
	for _, s := range t.sealed.those(func(s *sealed) bool { return !s.sent }) {
		t.resume(s, false)
	}
}

// ask starts asking a member under a fresh id.
func (t *turn) ask(name string, id uint64) {
	q := t.meet(name)
	q.set(asked, id)
	t.woke = true
	t.tell(name, Message{Kind: Claim, ID: id, Names: t.asks})
}

// askAgain asks a member that was asked before.
func (t *turn) askAgain(name string) {
	t.last++
	t.ask(name, t.last)
}

// close tells what has become new in this turn.
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
	if now.settled && now.rel.to != "" && now.rel == t.before.rel && (!t.before.settled || now.kept != t.before.kept) {
		t.answer()
	}
	if t.woke || now.tok != t.before.tok || now.full != t.before.full || now.owner != t.before.owner || now.rel.to != t.before.rel.to {
		t.do(Wake, "")
	}
}

// repeatClaims is the part of repeat that depends on the others' views, and on what
// becomes of the sessions here.
func (t *turn) repeatClaims() {
	for i := range t.peers {
		if q := &t.peers[i]; q.ask == asked {
			t.send(q.name, Message{Kind: Claim, ID: q.id, Names: t.asks})
		}
	}
	if t.rel.pulled && t.running+t.backups > t.kept.len() {
		t.handOver()
	}
}

// repeat is R5: it says everything that is waited for. Polls of what stays
// elsewhere, or has ended there, only if slow.
func (t *turn) repeat(slow bool) {
	t.repeatClaims()
	for i := range t.peers {
		q := &t.peers[i]
		if q.ask == pulling || slow && q.ask == done && q.kept.len()+q.acc.len() > 0 && t.on(rulePoll) {
			t.send(q.name, Message{Kind: Pull, ID: q.id})
		}
		for a := range q.acc.all() {
			if t.draining && !a.confirmed {
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

// offer is what is to be offered, and to whom.
func (t *turn) offer() offer {
	if !t.on(ruleOffer) || t.owner == "" || t.owner == t.self || t.tok != held && !t.copies() {
		return offer{}
	}
	o := offer{to: t.owner}
	if q := t.peer(t.owner); q != nil {
		o.seen = q.seen
	}
	if t.rel.to == t.owner {
		o.rel = t.rel.id
		if !t.on(ruleOfferKept) && t.kept.len() > 0 && t.settled() {
			return offer{}
		}
	}
	return o
}

func (t *turn) sendOffer(o offer) {
	if o.to != "" {
		t.send(o.to, Message{Kind: Offer, ID: o.seen, Rel: o.rel})
	}
}

func (t *turn) handOver() {
	t.out = append(t.out, Effect{Do: HandOver, Partition: t.number, To: t.rel.to, ID: t.rel.id})
}

func (t *turn) transfer(s sealed) {
	t.out = append(t.out, Effect{Do: Transfer, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form})
}

// tell is send, left to repeat if that comes anyway.
func (t *turn) tell(to string, m Message) {
	if !t.again {
		t.send(to, m)
	}
}

func (t *turn) send(to string, m Message) {
	m.Partition = t.number
	t.out = append(t.out, Effect{Do: Send, Partition: t.number, To: to, Message: m})
}

func (t *turn) do(what Do, session string) {
	t.out = append(t.out, Effect{Do: what, Partition: t.number, Session: session})
}
