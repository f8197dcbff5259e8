package ownership

import "slices"

// receive is R6 for all messages of partitions.
func (t *turn) receive(from string, m Message) {
	switch m.Kind {
	case Claim:
		t.onClaim(from, m)
	case NotYet:
		if q := t.entry(from, m.ID); q != nil && q.ask == asked && m.Flag {
			t.askAgain(from)
		}
	case Promise:
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
	}
}

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
	t.meet(from).seen = m.ID
	t.promise(release{to: from, id: m.ID})
	t.answer()
}

// answer tells the claimer that it has the promise.
func (t *turn) answer() {
	m := Message{Kind: Promise, ID: t.rel.id}
	if t.settled() {
		m.Kind, m.Kept = Done, t.kept.list()
	}
	t.send(t.rel.to, m)
}

func (t *turn) onDone(from string, m Message) {
	q := t.entry(from, m.ID)
	if q == nil {
		return
	}
	t.woke = true
	stays := m.Kept
	if q.ask == done {
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
	q.ask, q.filter, q.absent, q.acc = done, "", nil, roll[accepted]{}
}

func (t *turn) onPull(from string, m Message) {
	if t.rel.to == from && t.rel.id == m.ID {
		t.rel.pulled = true
		if t.settled() {
			t.answer()
		}
		return
	}
	if q := t.peer(from); q != nil && q.seen == m.ID && t.tok == none && !t.copies() {
		t.send(from, Message{Kind: Done, ID: m.ID})
	}
}

// onOffer: a member has something of a partition that is this node's. It is asked,
// unless it is being asked already and the answer will tell.
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
			case q.ask != done:
				return
			case q.kept.len() > 0 && t.on(ruleOfferOnce):
				return
			}
		}
	}
	t.askAgain(from)
}
