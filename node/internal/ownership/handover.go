package ownership

// mayBeSealed reports whether session may be sealed: the partition is promised,
// its holder has asked for the copies, and session neither stays nor is sealed.
func (t *turn) mayBeSealed(session string) bool {
	return t.rel.pulled && t.tok == none && t.kept.find(session) == nil && t.sealed.find(session) == nil
}

// beginSeal records that session is sealed. One copy less runs here.
func (t *turn) beginSeal(session string, form Form, replicated bool) {
	t.sealed.put(sealed{session: session, to: t.rel.to, id: t.rel.id, form: form, replicated: replicated})
	t.count(form, -1)
}

// isSent returns the copy of session that was sent to a member under an id.
// Answers under another id concern an earlier transfer.
func (t *turn) isSent(session, to string, id uint64) (s sealed, ok bool) {
	if p := t.sealed.find(session); p != nil {
		s = *p
	}
	return s, s.sent && s.to == to && s.id == id
}

// onActive drops the copy that the target runs now. It answers Forgot in any case, even if no
// copy is here: the target waits for that answer before it leaves.
func (t *turn) onActive(from string, m Message) {
	if s, ok := t.isSent(m.Session, from, m.ID); ok {
		t.sealed.drop(s.session)
		what := Drop
		if s.form == Ended {
			what = Bury
		}
		t.out = append(t.out, Effect{Do: what, Partition: t.number, To: from, ID: m.ID, Session: s.session, Form: s.form})
	}
	if t.on(ruleForgot) {
		t.send(from, Message{Kind: Forgot, ID: m.ID, Session: m.Session})
	}
}

// onRefused takes a copy back that the target did not take. With Flag the claim is void, and
// with it the promise. Without, the target had a cause to refuse, and the session stays here.
func (t *turn) onRefused(from string, m Message) {
	s, ok := t.isSent(m.Session, from, m.ID)
	if !ok {
		return
	}
	mine := t.rel.to == from && t.rel.id == m.ID
	t.resume(s, mine && !m.Flag && t.on(ruleMark))
	if mine && m.Flag {
		t.promise(release{})
	}
}

// onForgot records that the source knows that this node took a session. While more sessions of
// the same claim may come, the record is kept: a delayed Transfer must not be taken again.
func (t *turn) onForgot(from string, m Message) {
	q := t.peer(from)
	if q == nil {
		return
	}
	switch a := q.accepted(m.Session); {
	case a == nil || a.id != m.ID:
	case q.ask == pulling && q.id == a.id:
		a.confirmed = true
	default:
		q.acc.drop(m.Session)
	}
}

// arrive decides whether to take a session that has arrived completely. The
// cases:
//
// - It was accepted before under this id: the source has missed Active, which is sent again.
// - The claim is void: Refused with Flag.
// - A sealed copy is on its way from here: no answer. The source sends again, and by then
// this node knows the outcome.
// - It was refused before under this id: refused again, or the source would run a copy that
// this node has taken after all.
func (t *turn) arrive(in Incoming) (take bool) {
	q := t.peer(in.From)
	if q != nil && t.on(ruleAccepted) {
		if a := q.accepted(in.Session); a != nil && a.id == in.ID {
			if a.owed {
				return false // Active follows
			}
			t.send(in.From, Message{Kind: Active, ID: in.ID, Session: in.Session})
			return false
		}
	}
	if q == nil || q.id != in.ID || q.ask != pulling && !q.endsWhatStays(in) {
		t.send(in.From, Message{Kind: Refused, ID: in.ID, Session: in.Session, Flag: true})
		return false
	}
	if s := t.sealed.find(in.Session); s != nil && !t.comesBack(s, in) {
		return false
	}
	if k := q.kept.find(in.Session); k != nil && in.Form != Ended && t.on(ruleRefused) {
		t.refuse(in, k.Backup, "refused before", nil)
		return false
	}
	return true
}

// comesBack reports whether in is the session that is sealed here, from the member that it is
// sealed for. That member has taken it, and cannot say so before it has standbys.
func (t *turn) comesBack(s *sealed, in Incoming) bool {
	return s.replicated && in.Replicated && s.sent && s.to == in.From && t.keeps && t.on(ruleBack)
}

// endsWhatStays reports whether in is the end of a session that stays at q. It
// may come when q is done.
func (q *peer) endsWhatStays(in Incoming) bool {
	return q.ask >= done && in.Form == Ended && q.kept.find(in.Session) != nil
}

// accept records that in was taken, and tells the source.
func (t *turn) accept(in Incoming, ended bool) {
	q := t.peer(in.From)
	owed := in.Replicated && t.keeps && in.Form != Backup && t.on(ruleActive)
	q.acc.put(accepted{session: in.Session, id: in.ID, owed: owed})
	q.kept.drop(in.Session)
	t.woke = true
	if !owed {
		t.send(in.From, Message{Kind: Active, ID: in.ID, Session: in.Session})
	}
	if in.Replicated && t.keeps {
		t.sealed.drop(in.Session) // see comesBack
		t.fences.drop(in.Session) // of its keeper, whose late records count no more
		t.setEnd(in.Session, ended)
		return
	}
	if ended {
		t.tombs = addName(t.tombs, in.Session)
	} else {
		t.tombs = dropName(t.tombs, in.Session)
	}
}

// refuse records that in stays at its source, and tells the source.
func (t *turn) refuse(in Incoming, backup bool, cause string, names []string) {
	q := t.peer(in.From)
	q.kept.add(Kept{Session: in.Session, Backup: backup})
	t.woke = true
	t.send(in.From, Message{Kind: Refused, ID: in.ID, Session: in.Session, Cause: cause, Names: names})
}
