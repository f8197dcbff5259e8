package ownership

import "slices"

// receive handles a message that concerns a partition.
func (t *turn) receive(from string, m Message) {
	switch m.Kind {
	case Claim:
		t.onClaim(from, m)
	case NotYet:
		// Without Flag the claim stands and is repeated: the member may see by then
		// what it does not see now.
		if q := t.entry(from, m.ID); q != nil && m.Flag && (q.ask == asked || t.keeps && q.ask != clean) {
			t.askAgain(from)
		}
	case Promise:
		t.stamps(from, m.ID)
		if q := t.entry(from, m.ID); q != nil && q.ask == asked {
			q.ask, q.filter = promised, m.Filter
			t.woke = true
		}
	case Done:
		t.onDone(from, m)
	case Pull:
		t.onPull(from, m)
	case Active:
		t.onActive(from, m)
	case Refused:
		t.onRefused(from, m)
	case Forgot:
		t.onForgot(from, m)
	case Offer:
		t.onOffer(from, m)
	case Find:
		t.onFind(from, m)
	case Absent, Here:
		t.onFound(from, m)
	case Recover:
		t.onRecover(from, m)
	}
}

// onClaim promises the partition to the claimer, or answers NotYet. A promise has three
// conditions, which together rule out two holders while no live member is declared dead:
//
//   - The ID is new. An ID that was let go is never honoured again. Its claimer may have taken
//     sessions under it that have changed here since, and would take a new Transfer under the
//     same ID for a repetition.
//   - The claimer is the owner in this node's view too. So two claimers do not both get the
//     promise of this node, unless its view has changed between them.
//   - The claimer asks every member that this node sees. Otherwise the claimer could become
//     holder without the promise of a member that it has not heard of, and which may hold
//     the partition itself.
//
// The promise voids this node's own token or claim (letGo).
func (t *turn) onClaim(from string, m Message) {
	q := t.peer(from)
	if q != nil && m.ID <= q.seen && (t.on(ruleSpent) || m.ID < q.seen) {
		if t.rel.to == from && t.rel.id == m.ID {
			t.answer()
		} else {
			t.send(from, Message{Kind: NotYet, ID: m.ID, Flag: true})
		}
		return
	}
	if !t.level(from).present() || t.owner != from || t.on(ruleAsksAll) && !t.asksAll(m.Names) {
		t.send(from, Message{Kind: NotYet, ID: m.ID})
		return
	}
	t.letGo()
	q = t.meet(from)
	q.seen, q.rid = m.ID, 0
	t.promise(release{to: from, id: m.ID, recovers: m.Flag || !t.on(ruleRecovers)})
	t.relAsks, t.fences = m.Names, roll[standby]{}
	t.answer()
}

// answer sends the promise: Promise while copies are here that the claimer has
// to pull, else Done with the list of those that stay.
func (t *turn) answer() {
	m := Message{Kind: Promise, ID: t.rel.id}
	if t.cleared() {
		m.Kind, m.Kept = Done, t.kept.list()
	}
	t.send(t.rel.to, m)
}

// onDone records that a member has nothing more to send under a claim, and which sessions stay
// there. A second Done may come after more sessions stayed or ended, or may be a late copy of
// an earlier one. So its list can only shrink the known one, and a session about which the
// member has answered Absent in the meantime does not come back.
func (t *turn) onDone(from string, m Message) {
	t.stamps(from, m.ID)
	q := t.entry(from, m.ID)
	if q == nil {
		return
	}
	t.woke = true
	stays := m.Kept
	if q.ask >= done {
		stays = q.kept.list()
	}
	q.kept = roll[Kept]{}
	for _, k := range stays {
		_, still := findKept(m.Kept, k.Session)
		_, absent := slices.BinarySearch(q.absent, k.Session)
		if still && !(absent && t.on(ruleStale)) {
			q.kept.add(k)
		}
	}
	q.filter, q.acc = "", roll[accepted]{}
	if q.ask >= done {
		return
	}
	q.ask, q.rid = done, q.id
	if !t.keeps {
		q.absent = nil
	} else if q.kept.len() > 0 {
		t.recoverAgain()
	}
}

// stamps records that a member has promised a claim of this node, which may be void by now.
func (t *turn) stamps(member string, id uint64) {
	if t.learns(member, id) {
		t.peer(member).my = id
	}
}

// learns reports whether that is news.
func (t *turn) learns(member string, id uint64) bool {
	q := t.peer(member)
	return q != nil && id <= t.last && id > q.my
}

// my returns the claim of this node that a member has promised last, as far as is known here.
func (p *partition) my(member string) uint64 {
	if q := p.peer(member); q != nil {
		return q.my
	}
	return 0
}

// onPull starts the hand-over to the new holder. A Pull of an earlier promise gets Done if
// nothing is here: the holder waits for that answer, and the promise is forgotten here.
func (t *turn) onPull(from string, m Message) {
	if t.rel.to == from && t.rel.id == m.ID {
		t.rel.pulled = true
		if t.cleared() {
			t.answer()
		}
		return
	}
	if q := t.peer(from); q != nil && q.seen == m.ID && t.tok == none && !t.copies() {
		t.send(from, Message{Kind: Done, ID: m.ID})
	}
}

// onOffer handles the offer of a member that has copies of a partition that
// this node owns. It claims from that member, unless a claim is out whose
// answer will tell. m.Rel is the claim of this node that the member had
// promised when it sent the offer. An offer that is older than the present
// claim says nothing new.
func (t *turn) onOffer(from string, m Message) {
	if t.owner != t.self || !t.level(from).present() || t.tok == none {
		return
	}
	if q := t.peer(from); q != nil && q.ask != unasked {
		if q.ask == asked || m.ID < q.id {
			return
		}
		if m.Rel == q.id {
			switch {
			case q.ask < done || t.keeps && q.ask != clean && !m.Flag:
				return // it is to send what it has, or to report it
			case q.kept.len() > 0 && t.on(ruleOfferOnce):
				return
			}
		}
	}
	t.askAgain(from)
}
